"""A sweep run in this process."""

import signal

import pytest

from lthray.spec.sweepfile import load
from lthray.sweep.events import TrialProgress
from lthray.sweep.run import run


@pytest.mark.slow
def test_a_sweep_interrupted_in_its_first_round_says_what_is_left(sweep_file, tmp_path):
    sweep, trajectories = load(sweep_file(grid={"seed": [0, 1]}), ["iterations=1000000", "eval_every=100"])

    def interrupt(event):
        if isinstance(event, TrialProgress):
            signal.raise_signal(signal.SIGINT)

    outcome = run(sweep, trajectories, tmp_path / "r", tmp_path, None, interrupt)
    assert (outcome.missing, outcome.trained, outcome.complete) == (2, 0, 0)
    assert not outcome.failures
