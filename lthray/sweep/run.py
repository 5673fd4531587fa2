"""A sweep on Ray Tune, seen from the process that has the folder and the display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lthray.engine.results import Failure
from lthray.spec.sweepfile import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep import samples, transfer
from lthray.sweep.driver import drive
from lthray.sweep.events import Notify
from lthray.sweep.lock import reported


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    trajectories: int
    """Trajectories that the sweep asks for."""
    complete: int
    """Trajectories that are complete now."""
    stopped: int
    """Trajectories that the scheduler of a search has stopped."""
    trained: int
    """Rounds that this run trained."""
    failures: dict[str, Failure]
    """Trajectories that can't go on, by id."""
    missing: int
    """Trajectories neither complete nor stopped nor failed: the sweep was interrupted."""


def run(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    folder: str | Path,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Outcome:
    """Trains what is missing of a sweep into `folder`.

    Args:
        sweep: The sweep.
        trajectories: Its trajectories, as far as the sweep file says them.
        folder: Results folder, by path or URL; made where it is not there.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None for one of this machine's own.
        notify: Told what goes on.

    Raises:
        InputError: the folder, the sources, the data or the cluster are not to be had.
        RunError: Ray dies again and again.
        KeyboardInterrupt: interrupted before training began; later an interrupt ends in an Outcome.
    """
    store = Store(folder)
    trajectories = transfer.resolved(sweep, trajectories, store)  # before anything is written
    with reported(store.folder, notify) as tell:
        store.create(sweep.resolved())
        before = store.done(samples.trajectories(sweep, trajectories, store))

        def count_rounds() -> int:
            return sum(store.done(samples.trajectories(sweep, trajectories, store)).values())

        errors = drive(partial(_train, sweep, trajectories, store, data_dir, address), address, count_rounds, tell)
        return _outcome(sweep, samples.trajectories(sweep, trajectories, store), store, before, errors)


def _train(*arguments: Any) -> dict[str, Failure]:
    from lthray.sweep.missing import train  # torch and Ray take seconds to import, and only the child needs them

    return train(*arguments)


def _outcome(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    store: Store,
    before: Mapping[str, int],
    errors: Mapping[str, Failure],
) -> Outcome:
    after, stopped = store.done(trajectories), samples.stopped(sweep, store)
    incomplete = {spec.trajectory_id for spec in trajectories if after[spec.trajectory_id] <= spec.rounds}
    failures = {id_: failure for id_, failure in errors.items() if id_ in incomplete}
    complete, idle = len(trajectories) - len(incomplete), len((incomplete & stopped) - failures.keys())
    return Outcome(
        trajectories=sweep.size(),
        complete=complete,
        stopped=idle,
        trained=sum(after.values()) - sum(before.values()),
        failures=failures,
        missing=sweep.size() - complete - idle - len(failures),
    )
