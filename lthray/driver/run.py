"""A sweep on Ray Tune, in the process that has the folder's lock and the display."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lthray.driver import samples, transfer
from lthray.driver.child import drive
from lthray.driver.events import Notify
from lthray.driver.lock import hold_and_report
from lthray.driver.own import keep
from lthray.engine.results import Failure
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store


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
    """Trajectories left to train, because the sweep was interrupted: neither complete nor stopped nor failed."""


def run(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    folder: str | Path,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Outcome:
    """Trains the unfinished trajectories of a sweep into `folder`.

    Args:
        sweep: The sweep.
        trajectories: Its trajectories, as far as the sweep file says them.
        folder: Results folder, by path or URL; made if it does not exist.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None to start Ray on this machine alone.
        notify: Takes the sweep's events.

    Raises:
        InputError: the folder can't be used, a source or a data set can't be read, or Ray can't be reached.
        RunError: Ray dies again and again.
        KeyboardInterrupt: interrupted before training began; later, an interrupt ends in an Outcome.
    """
    store = Store(folder)
    from_file = transfer.resolve_sources(sweep, trajectories, store)  # A missing source ends it before it writes.
    with hold_and_report(store.folder, notify) as tell:
        store.create(sweep.resolved())
        keep(store, sweep.own)
        before = store.done(samples.trajectories(sweep, from_file, store))

        def count_rounds() -> int:
            return sum(store.done(samples.trajectories(sweep, from_file, store)).values())

        failures = drive(partial(_train, sweep, from_file, store, data_dir, address), count_rounds, tell)
        return _outcome(sweep, samples.trajectories(sweep, from_file, store), store, before, failures)


def _train(*arguments: Any) -> dict[str, Failure]:
    from lthray.driver.training import train  # torch and Ray take seconds to import, and only the child needs them

    return train(*arguments)


def _outcome(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    store: Store,
    before: Mapping[str, int],
    failures: Mapping[str, Failure],
) -> Outcome:
    after = store.done(trajectories)
    incomplete = {spec.trajectory_id for spec in trajectories if after[spec.trajectory_id] <= spec.rounds}
    failed = {name: failure for name, failure in failures.items() if name in incomplete}
    stopped = (incomplete & samples.stopped(sweep, store)) - failed.keys()
    complete = len(trajectories) - len(incomplete)
    return Outcome(
        trajectories=sweep.size(),
        complete=complete,
        stopped=len(stopped),
        trained=sum(after.values()) - sum(before.values()),
        failures=failed,
        missing=sweep.size() - complete - len(stopped) - len(failed),
    )
