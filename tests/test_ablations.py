"""The sweep files of sweeps/: what their comments say is true, and each runs at a tiny size."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from lthray.sweepfile import load
from tests.conftest import lthray

SWEEPS = Path(__file__).parent.parent / "sweeps"
ABLATIONS = sorted((SWEEPS / "ablations").glob("*.yaml"))


def comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    return " ".join(line.removeprefix("#").strip().removesuffix("\\") for line in lines if line.startswith("#"))


def tried(path: Path) -> list[str]:
    """The `--set` of the command that the comment shows."""
    words = shlex.split(comment(path).rpartition("lthray sweep ")[2])
    return [words[i + 1] for i, word in enumerate(words) if word == "--set"]


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_costs_what_its_comment_says_and_is_a_question(path):
    sweep, trajectories = load(path)
    assert sweep.name == path.stem
    assert path.read_text(encoding="utf-8").splitlines()[0].endswith("?")
    said = re.search(r"([\d,]+) trajectories, ([\d,]+) trainings of ([\d,]+) iterations in all", comment(path)).groups()
    trainings = sum(spec.rounds + 1 for spec in trajectories)
    iterations = sum(spec.iterations_from(0) for spec in trajectories)
    assert said == (f"{len(trajectories):,}", f"{trainings:,}", f"{iterations:,}")


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_is_tried_in_a_minute(path):
    _, trajectories = load(path, tried(path))
    assert {spec.dataset for spec in trajectories} == {"digits-8x8"}
    assert sum(spec.iterations_from(0) for spec in trajectories) <= 50_000


@pytest.mark.slow
@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_runs(path, tmp_path):
    """As its comment says to try it, only smaller still."""
    smaller = ["rounds=2", "iterations=40", "eval_every=20", "grid.seed=[0]"]
    sets = [word for one in [*tried(path), *smaller] for word in ("--set", one)]
    done = lthray("sweep", path, "--out", tmp_path / "r", *sets)
    assert done.returncode == 0, done.stderr
    rounds = pd.read_parquet(tmp_path / "r" / "rounds")
    assert (rounds.groupby("trajectory_id")["round"].count() == 3).all()
    assert lthray("report", tmp_path / "r").returncode == 0
