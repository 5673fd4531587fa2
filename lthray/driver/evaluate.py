"""`lthray evaluate` on Ray Tune: the tickets that have no row yet become trials, one for each trajectory."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lthray.driver.child import drive
from lthray.driver.events import Notify
from lthray.driver.lock import hold_and_report
from lthray.engine.results import Failure
from lthray.errors import InputError
from lthray.methods.attacks import SUITES
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.evaluations import rounds_to_measure, unmeasured
from lthray.store.folder import Store


@dataclass(frozen=True)
class Remeasured:
    """How an evaluation ended."""

    tickets: int
    """Tickets that the request asks for."""
    done: int
    """Those of them that have a row now."""
    measured: int
    """Tickets that this run measured."""
    failures: dict[str, Failure]
    """Trajectories with a ticket that could not be measured, by id."""
    missing: int
    """Tickets without a row, of trajectories that did not fail: the evaluation was interrupted."""


def run(
    store: Store,
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    request: EvaluationRequest,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Remeasured:
    """Measures the tickets that have no row yet.

    Args:
        store: The results folder.
        sweep: Its sweep, for what a trial asks of Ray.
        trajectories: Whose tickets to measure: what `selection.select` gave.
        request: What to measure.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None to start Ray on this machine alone.
        notify: Takes the evaluation's events.

    Raises:
        InputError: the folder can't be used, a package is missing, a data set can't be read, or Ray can't be reached.
        RunError: Ray dies again and again.
        KeyboardInterrupt: interrupted before measuring began; later, an interrupt ends in a Remeasured.
    """
    if request.attack.name in SUITES:
        _check_suite(trajectories)

    def remaining() -> dict[str, list[int]]:
        return {spec.trajectory_id: unmeasured(store, spec, request) for spec in trajectories}

    with hold_and_report(store.folder, notify) as tell:
        tickets = {spec.trajectory_id: rounds_to_measure(store, spec, request) for spec in trajectories}
        before = remaining()

        def count_rows() -> int:
            return -sum(map(len, remaining().values()))

        measure = partial(_measure, store, sweep, trajectories, request, data_dir, address)
        failures = drive(measure, count_rows, tell)
        after = remaining()
    failures = {name: failure for name, failure in failures.items() if after[name]}
    return Remeasured(
        tickets=sum(map(len, tickets.values())),
        done=sum(len(tickets[name]) - len(after[name]) for name in tickets),
        measured=sum(len(before[name]) - len(after[name]) for name in tickets),
        failures=failures,
        missing=sum(len(rounds) for name, rounds in after.items() if name not in failures),
    )


def _check_suite(trajectories: Iterable[TrajectorySpec]) -> None:
    """Checks that AutoAttack can attack the trajectories' networks, and that its package is installed.

    Raises:
        InputError: the images or the number of classes are not those that it takes, or the package is missing.
    """
    for spec in trajectories:
        shape, classes = spec.data.shape, spec.data.classes
        if len(shape) != 3 or shape[1] != shape[2] or classes < 4:
            raise InputError(
                f"--attack autoattack: takes square images of at least 4 classes; {spec.dataset}'s are"
                f" {'x'.join(map(str, shape))}, of {classes} classes"
            )
    if find_spec("torchattacks") is None:
        raise InputError(
            "--attack autoattack: the package torchattacks is not installed:"
            " pip install --no-deps 'torchattacks>=3.5.1'"
        )


def _measure(*arguments: Any) -> dict[str, Failure]:
    from lthray.driver.measuring import measure  # Ray takes seconds to import, and only the child needs it

    return measure(*arguments)
