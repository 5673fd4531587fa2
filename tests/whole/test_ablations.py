"""The sweep files of sweeps/: what their comments say is true, and each runs at a tiny size."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from lthray.spec.sweepfile import load
from tests.helpers import ROOT, lthray

SWEEPS = ROOT / "sweeps"
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
    assert path.read_text(encoding="utf-8").splitlines()[1].endswith("?")  # after the line that names the schema
    said = re.search(r"([\d,]+) trajectories, ([\d,]+) trainings of ([\d,]+) iterations in all", comment(path)).groups()
    sources = sweep.transfer.size() if sweep.transfer else 1
    trajectories = [spec for one in trajectories for spec in [one] * (sources if one.strategy == "transfer" else 1)]
    trainings = sum(spec.rounds + 1 for spec in trajectories)
    iterations = sum(spec.iterations_from(0) for spec in trajectories)
    assert said == (f"{len(trajectories):,}", f"{trainings:,}", f"{iterations:,}")


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_is_tried_in_a_minute(path):
    _, trajectories = load(path, tried(path))
    assert {spec.dataset for spec in trajectories} == {"digits-8x8"}
    assert sum(spec.iterations_from(0) for spec in trajectories) <= 50_000


def run(path: Path, out: Path, *sets: str) -> None:
    smaller = ["rounds=2", "iterations=120", "eval_every=60", "grid.seed=[0]", *sets]
    done = lthray("sweep", path, "--out", out, *(word for one in [*tried(path), *smaller] for word in ("--set", one)))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_runs(path, tmp_path):
    """As its comment says to try it, only smaller still."""
    if "transfer.from=" in path.read_text(encoding="utf-8"):
        run(SWEEPS / "ablations" / "masks.yaml", tmp_path / "masks")
        run(path, tmp_path / "r", f"transfer.from={tmp_path / 'masks'}")
    else:
        run(path, tmp_path / "r")
    rounds = pd.read_parquet(tmp_path / "r" / "rounds")
    assert (rounds.groupby("trajectory_id")["round"].count() == 3).all()
