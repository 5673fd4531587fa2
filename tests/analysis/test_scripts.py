"""What `analysis/` offers readers, run as they run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis import synthetic
from tests.helpers import ROOT

SCRIPTS = sorted((ROOT / "analysis").glob("*.py"))
NOTEBOOK = ROOT / "analysis" / "poster.ipynb"


def python(*arguments: object, cwd: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(cwd)}
    done = subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, cwd=cwd, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A sweep with more than a script shows at once: two data sets, networks trained with and without an attack."""
    folder = tmp_path_factory.mktemp("read") / "results" / "quickstart"
    axes = {"dataset": ["mnist", "fashion-mnist"], "train_attack": ["none", "fgsm"], "seed": [0, 1]}
    return synthetic.write(folder, synthetic.grid(**axes, strategy=["reset", "random", "continued"], rounds=5))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_prints_its_table_and_draws_its_figure(script, results, tmp_path):
    said = python(script, results, tmp_path / "out.svg", cwd=tmp_path)
    assert {"mnist", "fashion-mnist"} <= set(said.replace(",", " ").split())
    assert "nan" not in said.lower()
    assert (tmp_path / "out.svg").stat().st_size > 10_000


def test_the_scripts_answer_the_posters_questions(results, tmp_path):
    assert {"early_stopping", "adversarial_accuracy", "natural_accuracy"} <= {script.stem for script in SCRIPTS}
    said = python(ROOT / "analysis" / "natural_accuracy.py", results, cwd=tmp_path)
    assert (tmp_path / "natural_accuracy.svg").is_file()
    table = said.split("dataset mnist, train_attack fgsm: natural test accuracy at early stopping")[1]
    cells = table.splitlines()[4].split()
    rounds = synthetic.grid(dataset="mnist", train_attack="fgsm", seed=[0, 1], strategy="reset", rounds=5)
    mean = sum(frame["early_stopping_none_accuracy_test"][0] for frame in rounds) / 2
    assert cells[:3] == ["0", "100.0", f"{100 * mean:.1f}"]


def test_the_notebooks_cells_run(results, tmp_path):
    """In order and in one process, but outside Jupyter."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert len(cells) > 5
    (tmp_path / "cells.py").write_text("\n".join(cells), encoding="utf-8")
    python(tmp_path / "cells.py", cwd=_beside(results))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
    assert not [output for output in outputs if output["output_type"] in ("error", "stream")]


def _beside(results: Path) -> Path:
    """The folder that the notebook would lie in."""
    folder = results.parents[1] / "analysis"
    folder.mkdir(exist_ok=True)
    return folder
