"""A sweep run in this process."""

import signal
import subprocess
import sys

import pytest

from lthray.driver.events import TrialProgress
from lthray.driver.run import run
from lthray.spec.sweepfile import load

DRIVER = """
import sys
from pathlib import Path
import lthray.cli.sweep, lthray.cli.evaluate, lthray.api.live, lthray.cli.printing, lthray.driver.run
import lthray.driver.evaluate, lthray.driver.training
from lthray.driver.datasets.known import read

read("digits-8x8", Path())
print(*sorted({"numba", "torch", "torchvision"} & sys.modules.keys()))
"""


def test_neither_the_command_nor_its_driver_imports_torch():
    """The import takes seconds, and a driver only sends work to the workers."""
    process = subprocess.run([sys.executable, "-c", DRIVER], capture_output=True, text=True, check=True)
    assert process.stdout.split() == []


@pytest.mark.slow
def test_a_sweep_interrupted_in_its_first_round_says_what_is_left(sweep_file, tmp_path):
    sweep, trajectories = load(sweep_file(grid={"seed": [0, 1]}), ["iterations=1000000", "eval_every=100"])

    def interrupt(event):
        if isinstance(event, TrialProgress):
            signal.raise_signal(signal.SIGINT)

    outcome = run(sweep, trajectories, tmp_path / "r", tmp_path, None, interrupt)
    assert (outcome.missing, outcome.trained, outcome.complete) == (2, 0, 0)
    assert not outcome.failures
