"""Published results of the poster's protocol come out again when they are trained anew, within rounding."""

import os
from pathlib import Path

import pandas as pd
import pytest

from lthray.driver.datasets import known
from lthray.engine.data import on_device
from lthray.engine.trajectory import run
from lthray.spec.sweepfile import load
from tests.helpers import CPU, ROOT

DATA = Path(os.environ.get("LTHRAY_DATA_DIR", ""))
FOLDER = ROOT / "analysis" / "poster"

pytestmark = pytest.mark.skipif(
    not (DATA / "FashionMNIST").is_dir(), reason="Fashion-MNIST is in no LTHRAY_DATA_DIR: its published rows need it"
)


@pytest.fixture(scope="module")
def fashion():
    return on_device(known.read("fashion-mnist", DATA), 10_000, CPU)


def trained(folder, fields, fashion):
    """A published trajectory, and the rows of its curves as this machine trains them under some other fields."""
    _, trajectories = load(FOLDER / folder / "sweep.yaml", ["grid.seed=[0]"])
    spec = next(spec for spec in trajectories if spec.strategy == "reset")
    rows = []
    for (result,) in run([spec.model_copy(update={"end_attacks": (), **fields})], fashion):
        rows += [vars(row) | {"round": result.round, "attack": str(row.attack)} for row in result.curves]
    return spec, pd.DataFrame(rows)


def compare(spec, folder, rows, loss, accuracy):
    published = pd.read_parquet(FOLDER / folder / "curves", filters=[("trajectory_id", "==", spec.trajectory_id)])
    keys = ["round", "iteration", "split", "attack"]
    both = rows.merge(published, on=keys, suffixes=("", "_published"))
    assert len(both) == len(rows)
    print(f"largest difference in loss {(both['loss'] - both['loss_published']).abs().max():.2g}")
    assert (both["loss"] - both["loss_published"]).abs().max() < loss
    assert (both["accuracy"] - both["accuracy_published"]).abs().max() < accuracy


@pytest.mark.slow
def test_the_first_iterations_of_a_published_trajectory_are_trained_again(fashion):
    """1,500 iterations of round 0, under PGD: on the machine that published them the same bits, elsewhere nearly."""
    spec, rows = trained("fashion-pgd", {"rounds": 0, "iterations": 1_500}, fashion)
    assert len(rows) == 16
    compare(spec, "fashion-pgd", rows, loss=0.05, accuracy=0.02)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.skipif("LTHRAY_LONG" not in os.environ, reason="takes some ten minutes: set LTHRAY_LONG=1")
def test_two_rounds_of_a_published_trajectory_are_trained_again(fashion):
    """Rounds 0 and 1 whole, on natural images. Over 100,000 iterations, another machine's rounding grows."""
    spec, rows = trained("fashion-natural", {"rounds": 1}, fashion)
    assert set(rows["round"]) == {0, 1}
    compare(spec, "fashion-natural", rows, loss=0.2, accuracy=0.05)
