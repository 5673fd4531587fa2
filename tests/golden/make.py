"""Makes golden folders with the lthray that is installed: python tests/golden/make.py tests/golden/VERSION [--rows]

See README.md beside this file.
"""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SWEEPS = Path(__file__).parent / "sweeps"
ORDER = ("source", "strategies", "criteria", "networks", "search", "transfer")
"""The sweeps: transfer.yaml takes masks of source.yaml's results."""
WHOLE = ("source", "transfer")
"""The sweeps whose folders are kept whole, with their tickets; of the others the rows are."""
EVALUATION = ("pgd", "--set", "pgd.steps=20", "--set", "pgd.restarts=2", "--set", "attack_label=ground-truth")


def train(folder: Path) -> None:
    """Trains every golden sweep into `folder`/results, and measures the source's tickets under another attack."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ORDER:
        _run(folder, "sweep", SWEEPS / f"{name}.yaml", "--out", f"results/{name}")
    _run(folder, "evaluate", "results/source", "--attack", *EVALUATION)


def machine() -> dict[str, str]:
    """What rows are the same to the bit on: the processor and the libraries that compute on it."""
    cpu = Path("/proc/cpuinfo")
    facts = dict(line.split(":", 1) for line in cpu.read_text().splitlines() if ":" in line) if cpu.exists() else {}
    known = {name.strip(): value.strip() for name, value in facts.items()}
    parts = [known[name] for name in ("model name", "cpu family", "model") if name in known]
    return {"processor": ", ".join(parts) or platform.processor()} | {
        name: version(name) for name in ("torch", "numba", "numpy")
    }


def keep(results: Path, golden: Path, whole: Collection[str]) -> None:
    """Puts what `train` made into a golden folder: the folders named whole, of the others tables of one file each."""
    for name in ORDER:
        if name in whole:
            shutil.copytree(results / name, golden / name, ignore=shutil.ignore_patterns(".lock", "report"))
            continue
        for table in ("rounds", "curves", "evaluations"):
            if files := sorted((results / name / table).glob("*.parquet")):
                (golden / "rows").mkdir(parents=True, exist_ok=True)
                rows = pa.concat_tables([pq.read_table(file) for file in files])
                pq.write_table(rows, golden / "rows" / f"{name}-{table}.parquet", compression="zstd")
    (golden / "machine.json").write_text(json.dumps(machine(), indent=1) + "\n")


def _run(folder: Path, *arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "lthray", *map(str, arguments)], cwd=folder, check=True)


if __name__ == "__main__":
    golden, rows_alone = Path(sys.argv[1]), "--rows" in sys.argv[2:]
    golden.mkdir(parents=True)  # an old golden folder is never written over
    with tempfile.TemporaryDirectory() as scratch:
        train(Path(scratch))
        keep(Path(scratch) / "results", golden, () if rows_alone else WHOLE)
