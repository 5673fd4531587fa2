"""The sweep files that come with lthray, by names such as `quickstart` and `ablations/weight-decay`."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lthray
from lthray.errors import InputError
from lthray.spec.identity import AUTO
from lthray.spec.sweepfile import parse
from lthray.spec.yaml_text import read_yaml


@dataclass(frozen=True)
class ShippedSweep:
    """What a shipped sweep asks, and what it costs."""

    name: str
    question: str
    """The first sentence of its file."""
    trajectories: int
    trainings: int
    """Rounds of all trajectories, the dense network's among them."""
    iterations: int
    """Optimizer steps in all."""
    datasets: list[str]


def sweeps_folder() -> Path:
    """The folder of the shipped files: in the package where a wheel is installed, else beside it, in the checkout."""
    package = Path(lthray.__file__).parent
    return next((folder for folder in (package / "sweeps", package.parent / "sweeps") if folder.is_dir()), package)


def shipped_files() -> dict[str, Path]:
    """The shipped files by name, without `.yaml`."""
    folder = sweeps_folder()
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in folder.rglob("*.yaml")}
    return dict(sorted(files.items(), key=lambda item: (item[0].count("/"), item[0])))


def find_sweep(source: Path) -> Path:
    """The sweep file that a path or the name of a shipped sweep stands for; a file on disk wins over a name.

    Raises:
        InputError: it is neither; the line has the nearest names.
    """
    shipped = shipped_files()
    if source.is_file() or (source.exists() and str(source) not in shipped):
        return source
    if str(source) in shipped:
        return shipped[str(source)]
    by_end = {name.rpartition("/")[2]: name for name in shipped}
    close = [by_end[end] for end in difflib.get_close_matches(source.stem, by_end, 3, cutoff=0.7)]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    listed = "lthray sweeps lists those that come with lthray"
    raise InputError(f"{source}: no such file and no shipped sweep; {hint}{listed}")


def describe_shipped() -> list[ShippedSweep]:
    """The shipped sweeps, by name."""
    return [_describe(name, path) for name, path in shipped_files().items()]


def _describe(name: str, path: Path) -> ShippedSweep:
    text = path.read_text(encoding="utf-8")
    comments = re.findall(r"^#(?! yaml-language-server) ?(.*)$", text, re.MULTILINE)
    sentence = re.match(r".+?[.?](?=\s|$)", " ".join(comments))
    sweep = parse(read_yaml(text, str(path)))
    cells = [sweep.fields_of(cell) for cell in sweep.cells()]

    def over_all(costs: list[int]) -> int:
        return sum(costs) * sweep.size() // len(cells)  # each cell's samples, seeds and transferred masks cost alike

    trainings = over_all([int(fields["rounds"]) + 1 for fields in cells])
    iterations = over_all([_iterations(fields) for fields in cells])
    datasets = sorted({str(fields["dataset"]) for fields in cells})
    return ShippedSweep(name, sentence.group() if sentence else "", sweep.size(), trainings, iterations, datasets)


def _iterations(fields: Mapping[str, Any]) -> int:
    """Optimizer steps of a trajectory, from its fields as a file gives them: some are valid with their data alone."""
    first, later = fields["iterations"], fields["retrain.iterations"]
    return int(first + fields["rounds"] * (first if later == AUTO else later))
