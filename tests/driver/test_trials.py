"""Trials on a real Ray: what their workers report, and how they fail."""

import os
import signal

import pytest

from lthray.driver import trials, tuners
from lthray.driver.connection import connected
from lthray.driver.events import Note, TrajectoryFailed, TrialProgress, TrialRetried
from lthray.driver.planning import Share
from lthray.driver.session import Session
from lthray.engine.results import Failure
from lthray.errors import InputError
from lthray.spec.sections import ResourcesSpec
from lthray.store.folder import Store
from lthray.worker.report import Progress, Score

PROGRESS = Progress("images", 1, 20, 40, True, 1.5, 0.8, 0.9, {"fgsm": 0.5}, 2, "cpu")


@pytest.fixture(scope="module")
def ray_here():
    handler = signal.getsignal(signal.SIGTERM)  # a connection is made for a process of its own, which ignores it
    with connected(None):
        yield
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def stack(make):
    return tuple(make(seed=seed) for seed in (0, 1))


def fit(folder, body, stacks, retries=0):
    """Runs a trial for each stack; returns the events and the failures."""
    events = []
    session = Session(Store(folder), ResourcesSpec(retries=retries, gpus=0), {}, Share(1, 0, 1), events.append)
    named = {str(number): stack for number, stack in enumerate(stacks, start=1)}
    failures = trials.fit(session, trials.fixed_trials(named, body), lambda spec, reason: Failure(spec, 0, reason))
    return events, failures


def test_messages_arrive_as_they_were_sent(ray_here, stack, tmp_path):
    def body(stack, data, report, largest):
        report(PROGRESS)
        report(Note("half a stack"))
        report(Failure(stack[1], 1, "not finite"))

    events, failures = fit(tmp_path, body, [stack])
    (progress,) = (event for event in events if isinstance(event, TrialProgress))
    assert progress == TrialProgress("1", PROGRESS)
    assert Note("trial 1: half a stack") in events
    assert failures == {stack[1].trajectory_id: Failure(stack[1], 1, "not finite")}
    assert TrajectoryFailed("1", failures[stack[1].trajectory_id]) in events


ERRORS = [
    (ValueError("iterations: too few\nFor further information visit ..."), "ValueError: iterations: too few"),
    (InputError("rounds/x.parquet: can't be read; delete it"), "rounds/x.parquet: can't be read; delete it"),
    (KeyError(), "KeyError: KeyError"),
]


def raise_error(stack, data, report, largest):
    raise ERRORS[stack[0].seed][0]


def test_a_trial_s_error_is_its_cause_not_the_last_line_of_its_text(ray_here, make, tmp_path):
    stacks = [(make(seed=seed),) for seed in range(len(ERRORS))]
    _, failures = fit(tmp_path, raise_error, stacks)
    assert [failures[spec.trajectory_id].reason for (spec,) in stacks] == [reason for _, reason in ERRORS]


class Unreadable:
    """A body that no worker can unpickle, as where a package is missing there."""

    def __reduce__(self):
        return _break, (os.getpid(),)


def _break(driver):
    if os.getpid() != driver:
        raise ImportError("No module named 'elsewhere'")
    return Unreadable()


def test_a_worker_that_fails_before_its_trial_starts_is_a_failure_of_the_trial(ray_here, stack, tmp_path):
    _, failures = fit(tmp_path, Unreadable(), [stack])
    assert failures.keys() == {spec.trajectory_id for spec in stack}
    for failure in failures.values():
        assert "No module named 'elsewhere'" in failure.reason


def test_a_worker_that_dies_has_no_traceback_to_read(ray_here, stack, tmp_path):
    _, failures = fit(tmp_path, lambda stack, data, report, largest: os._exit(1), [stack])
    assert {failure.reason for failure in failures.values()} == {
        "its worker process died (killed, out of memory, or crashed) and no retry is left"
    }


def test_a_worker_that_is_killed_comes_back_with_half_its_stack(ray_here, make, tmp_path):
    """Its process is killed as the kernel does it, as long as it would train more than one trajectory."""

    def body(stack, data, report, largest):
        if largest != 1:
            os.kill(os.getpid(), signal.SIGKILL)
        report(Note(f"{len(stack)} trajectories, {largest} at once"))

    events, failures = fit(tmp_path, body, [tuple(make(seed=seed) for seed in range(5))], retries=3)
    killed = "its worker process died (killed, out of memory, or crashed)"
    retries = [event for event in events if isinstance(event, TrialRetried)]
    assert retries == [TrialRetried("1", killed, stack) for stack in (3, 2, 1)]
    assert Note("trial 1: 5 trajectories, 1 at once") in events
    assert not failures


def test_an_exception_is_no_reason_for_a_smaller_stack(ray_here, stack, tmp_path):
    def body(stack, data, report, largest):
        raise ValueError("too few")

    events, failures = fit(tmp_path, body, [stack], retries=1)
    assert [event for event in events if isinstance(event, TrialRetried)] == [
        TrialRetried("1", "ValueError: too few", None)
    ]
    assert len(failures) == 2


def test_messages_and_tune_s_results_are_the_same_values(stack):
    messages = [PROGRESS, Score(0.25, 1), Failure(stack[1], 1, "not finite"), Note("half a stack")]
    results = [trials._result(message, stack) for message in messages]
    assert [trials._message(result | {"done": False}, stack) for result in results] == messages
    assert [result.get("timesteps_total") for result in results] == [40 + 20, 40, None, None]
    assert (tuners.METRIC in results[1], results[1][tuners.ROUNDS_DONE]) == (True, 1)
