"""Trains a sweep's unfinished trajectories in trials: each trains a stack on its share of the machines."""

from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from lthray.driver import samples, transfer, tuners
from lthray.driver.cluster import Slots, footprint
from lthray.driver.events import Note, Notify, Planned
from lthray.driver.loggers import callbacks
from lthray.driver.planning import largest_memory, largest_stack, plan
from lthray.driver.session import Session, connect
from lthray.driver.stacks import planned_trials
from lthray.driver.trials import Stack, fit
from lthray.engine.results import Failure
from lthray.errors import InputError
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.memory import memory_bound


def train(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    store: Store,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> dict[str, Failure]:
    """Trains the unfinished trajectories.

    Args:
        sweep: The sweep.
        trajectories: Its trajectories, as far as the sweep file says them, with their sources.
        store: The results folder.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None to start Ray on this machine alone.
        notify: Takes the sweep's events.

    Returns:
        The trajectories that failed, by id.

    Raises:
        InputError: a source or a data set can't be read, or Ray can't be reached.
        KeyboardInterrupt: interrupted before training began.
    """
    trajectories = samples.trajectories(sweep, trajectories, store)
    before, stopped = store.done(trajectories), samples.stopped(sweep, store)
    missing = [
        spec for spec in trajectories if before[spec.trajectory_id] <= spec.rounds and spec.trajectory_id not in stopped
    ]
    if copied := transfer.copy_masks(sweep, missing, store):
        notify(Note(f"copied the masks of {copied} source{'' if copied == 1 else 's'}"))
    cells = tuners.read_cells(sweep, store, missing) if sweep.search and sweep.search.adaptive else []
    stacks = tuners.planned(sweep, cells, stopped)
    to_train = [spec for stack in stacks.values() for spec in stack] if cells else missing
    if not to_train:
        notify(_planned(sweep, to_train, before, stopped, {}))
        return {}
    with connect(store, sweep, to_train, data_dir, address, notify) as session:
        share, slots = session.share, Slots(session.share)
        loggers = callbacks(sweep.loggers)
        fits = _fits(to_train, session)
        train = partial(
            _train_stack,
            store=store,
            threads=share.threads,
            gpus=share.gpus,
            checkpoint_minutes=sweep.resources.checkpoint_minutes,
        )
        if cells:
            tuning = tuners.tuning(sweep, store, cells, train, slots)
        else:
            tuning, stacks = planned_trials(
                missing,
                lambda specs, slots: plan(specs, before, replace(share, slots=slots), sweep.resources.stack, fits),
                slots,
                train,
                notify,
            )
        notify(_planned(sweep, to_train, before, stopped, stacks))
        return fit(session, tuning, partial(_failure, store), loggers)


def _train_stack(*arguments: Any, **settings: Any) -> None:
    from lthray.worker.train import train_stack  # it imports torch, which takes seconds and the driver does without

    train_stack(*arguments, **settings)


def _failure(store: Store, spec: TrajectorySpec, reason: str) -> Failure | None:
    """Writes and returns the failure of a trajectory whose trial ended in an error; None if it is complete."""
    failure = Failure(spec, store.rounds_done(spec.trajectory_id), reason)
    if failure.round > spec.rounds:
        return None
    with suppress(OSError):  # On a full disk the failure is at least reported.
        store.write_failure(failure)
    return failure


def _fits(missing: Sequence[TrajectorySpec], session: Session) -> int:
    """The largest stack that fits into a trial's memory, which is measured where it may be short."""
    share, stack, notify = session.share, session.resources.stack, session.notify
    spec, largest = largest_memory(missing), largest_stack(missing, share, stack)
    if not share.gpus and memory_bound(spec, largest) <= share.memory:
        return largest
    try:
        measured = footprint(spec, session.data[spec.dataset], share)
    except InputError as error:
        if not spec.has_references:
            raise
        # An exception of the user's code concerns its trajectories alone, and each of them will say so.
        notify(Note(f"memory: {error}: trials train one trajectory at a time"))
        return 1
    notify(Note(f"memory: {measured}"))
    if not measured.fits:
        notify(Note("memory: not even one trajectory fits: give trials more (resources.cpus, resources.gpus)"))
    elif isinstance(stack, int) and measured.fits < stack:
        notify(Note(f"memory: stacks are cut to {measured.fits} trajectories, not {stack}"))
    return max(1, measured.fits)


def _planned(
    sweep: SweepSpec,
    to_train: Sequence[TrajectorySpec],
    before: Mapping[str, int],
    stopped: Set[str],
    stacks: Mapping[str, Stack],
) -> Planned:
    # Samples that are yet to be drawn are not in `before`: they have no rounds done.
    rounds = [spec.rounds + 1 - before.get(spec.trajectory_id, 0) for spec in to_train]
    return Planned(
        trajectories=sweep.size(),
        complete=sweep.size() - sum(number > 0 for number in rounds) - len(stopped & before.keys()),
        stopped=len(stopped & before.keys()),
        trials=dict(stacks),
        rounds=sum(rounds),
        work=sum(spec.iterations_from(before.get(spec.trajectory_id, 0)) for spec in to_train),
    )
