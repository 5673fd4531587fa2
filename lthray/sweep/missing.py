"""What is missing of a sweep becomes trials: each trains a stack on its share of the machines."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from lthray.engine.data import Arrays
from lthray.engine.results import Failure
from lthray.spec.sweepfile import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep import samples, transfer, tuners
from lthray.sweep.cluster import check_shared, footprint, nodes
from lthray.sweep.connection import connected
from lthray.sweep.datasets import gather
from lthray.sweep.events import Note, Notify, Planned
from lthray.sweep.loggers import callbacks
from lthray.sweep.planning import Share, fit_to_cluster, hungriest, largest_stack, plan
from lthray.sweep.trials import fit, laid_down, training
from lthray.worker.memory import generous


def train(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    store: Store,
    data_dir: Path,
    address: str | None,
    tell: Notify,
) -> dict[str, Failure]:
    """Trains what the results folder lacks.

    Args:
        sweep: The sweep.
        trajectories: Its trajectories, as far as the sweep file says them.
        store: The results folder.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None for one of this machine's own.
        tell: Told what goes on.

    Returns:
        The trajectories that failed and why, by id.

    Raises:
        InputError: the sources, the data or the cluster are not to be had.
        KeyboardInterrupt: interrupted before training began.
    """
    trajectories = samples.trajectories(sweep, trajectories, store)
    before, stopped = store.done(trajectories), samples.stopped(sweep, store)
    missing = [
        spec for spec in trajectories if before[spec.trajectory_id] <= spec.rounds and spec.trajectory_id not in stopped
    ]
    if copied := transfer.keep(sweep, missing, store):
        tell(Note(f"copied the masks of {copied} source{'' if copied == 1 else 's'}"))
    cells = tuners.cells(sweep, store, missing) if sweep.search and sweep.search.adaptive else []
    coming = tuners.planned(sweep, cells, stopped)
    wanted = [spec for stack in coming.values() for spec in stack] if cells else missing
    if not wanted:
        tell(_planned(sweep, wanted, before, stopped, {}))
        return {}
    data = gather([spec.dataset for spec in wanted], data_dir, lambda text: tell(Note(text)))
    tell(Note(f"connecting to Ray at {address}" if address else "starting Ray"))
    with connected(address):
        if address:
            check_shared(store)
        share = fit_to_cluster(sweep.resources, nodes(), tell)
        loggers = callbacks(sweep.loggers)
        fits = _fits(wanted, data, share, sweep.resources.stack, tell)
        if cells:
            tuning = tuners.tuning(sweep, store, cells, share)
        else:
            stacks = plan(missing, before, share, sweep.resources.stack, fits)
            coming = {str(i + 1): stack for i, stack in enumerate(stacks)}
            tuning = laid_down(coming, training(store, share))
        tell(_planned(sweep, wanted, before, stopped, coming))
        return fit(tuning, store, data, share, sweep.resources, loggers, tell)


def _fits(
    missing: Sequence[TrajectorySpec], data: Mapping[str, Arrays], share: Share, stack: int | str, notify: Notify
) -> int:
    """The largest stack that a trial's memory takes; it is measured where it may matter."""
    spec, largest = hungriest(missing), largest_stack(missing, share, stack)
    if not share.gpus and generous(spec, largest) <= share.memory:
        return largest
    found = footprint(spec, data[spec.dataset], share)
    notify(Note(f"memory: {found}"))
    if not found.fits:
        notify(Note("memory: not even one trajectory fits: give trials more (resources.cpus, resources.gpus)"))
    elif isinstance(stack, int) and found.fits < stack:
        notify(Note(f"memory: stacks are cut to {found.fits} trajectories, not {stack}"))
    return max(1, found.fits)


def _planned(
    sweep: SweepSpec,
    wanted: Sequence[TrajectorySpec],
    before: Mapping[str, int],
    stopped: Set[str],
    trials: Mapping[str, tuple[TrajectorySpec, ...]],
) -> Planned:
    # the samples of a search that are yet to be drawn have no rounds done
    rounds = [spec.rounds + 1 - before.get(spec.trajectory_id, 0) for spec in wanted]
    return Planned(
        trajectories=sweep.size(),
        complete=sweep.size() - sum(number > 0 for number in rounds) - len(stopped & before.keys()),
        stopped=len(stopped & before.keys()),
        trials=dict(trials),
        rounds=sum(rounds),
        iterations=sum(spec.iterations_from(before.get(spec.trajectory_id, 0)) for spec in wanted),
    )
