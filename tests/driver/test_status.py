"""What `lthray status` says, from the results folder alone."""

import io
import json
import os
import platform

import pytest
from rich.console import Console

from lthray.cli import printing
from lthray.driver import lock
from lthray.driver.status import status
from lthray.engine.results import Failure
from lthray.engine.trajectory import run
from lthray.spec.sweepfile import load
from lthray.store.folder import Store
from tests.helpers import TINY


@pytest.fixture
def begun(sweep_file, tmp_path, digits):
    """Two strategies, two seeds: one trajectory complete, one failed, one with a round done, one untouched."""
    path = sweep_file(
        trajectory=TINY["trajectory"] | {"rounds": 1}, grid={"strategy": ["reset", "random"], "seed": [0, 1]}
    )
    sweep, trajectories = load(path)
    store = Store(tmp_path / "results")
    store.create(sweep.resolved())
    whole, failed, half, _ = trajectories
    for results in run([whole], digits):
        store.write_round(results[0])
    store.write_failure(Failure(failed, 0, "the loss stopped being finite"))
    store.write_round(next(run([half], digits))[0])
    return sweep, trajectories, store


def shown(found) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(printing.status_page(found))
    return console.file.getvalue()


def test_without_a_sweep_running(begun):
    sweep, trajectories, store = begun
    found = status(sweep, trajectories, store)
    total = found.total
    assert (total.trajectories, total.complete, total.running, total.failed, total.waiting) == (4, 1, 0, 1, 2)
    assert (total.rounds_done, total.rounds) == (3, 8)
    assert found.varied == ["strategy"]
    assert {key: one.complete for key, one in found.groups.items()} == {("reset",): 1, ("random",): 0}
    lines = shown(found).splitlines()
    assert lines[1].split() == ["reset", "2", "1", "0", "1", "2", "of", "4"]
    assert "no sweep is running here: run the same lthray sweep again for the rest" in lines
    assert f"failed: {trajectories[1].trajectory_id} in round 0: the loss stopped being finite" in lines


def test_while_a_sweep_is_running(begun):
    sweep, trajectories, store = begun
    trial = {
        "trial": "1", "title": "digits-8x8 · fgsm · 2 strategies", "running": 2, "rounds": 2,
        "trajectories": [trajectories[2].trajectory_id, trajectories[1].trajectory_id], "round": 1,
        "done_in_round": 20, "rate": 1234.4, "weights_remaining": 0.802, "natural": 0.9,
        "adversarial": {"fgsm": 0.5}, "device": "cpu",
    }  # fmt: skip
    progress = {
        "work": {"done": 1, "of": 9, "unit": "iterations"},
        "trials": {"ended": 0, "of": 1},
        "seconds_left": 70.0,
    }
    with lock.hold(store.folder, lambda: progress | {"running": [trial]}, lambda: None, print):
        found = status(sweep, trajectories, store)
    assert (found.total.complete, found.total.running, found.total.failed, found.total.waiting) == (1, 2, 0, 1)
    page = shown(found)
    assert f"(process {os.getpid()} on {platform.node()}): 0 of 1 trial ended, 1,234 it/s, 1 min 10 s left" in page
    (row,) = [line for line in page.splitlines() if "digits-8x8" in line]
    assert " ".join(row.split()) == "1 digits-8x8 · fgsm · 2 strategies 2 1/2 80.2 % 20 1,234 90.0 % fgsm 50.0 %"


def test_it_is_plain_json(begun):
    sweep, trajectories, store = begun
    told = json.loads(json.dumps(status(sweep, trajectories, store).as_json()))
    assert told["name"] == "tiny"
    assert (told["complete"], told["failed"], told["waiting"], told["driver"]) == (1, 1, 2, None)
    assert told["groups"][1]["fields"] == {"strategy": "random"}
    assert told["groups"][1]["rounds_done"] == 1
    assert told["failures"] == {trajectories[1].trajectory_id: {"round": 0, "error": "the loss stopped being finite"}}
