"""`lthray evaluate` on Ray Tune: the tickets that have no row yet become trials, one a trajectory."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lthray.engine.autoattack import require
from lthray.engine.results import Failure
from lthray.spec.attack_settings import AUTOATTACK
from lthray.spec.sweepfile import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep.cluster import check_shared, nodes
from lthray.sweep.connection import connected
from lthray.sweep.datasets import gather
from lthray.sweep.driver import drive
from lthray.sweep.events import Note, Notify, Planned
from lthray.sweep.lock import reported
from lthray.sweep.planning import fit_to_cluster
from lthray.sweep.trials import Stack, fit, laid_down
from lthray.worker.evaluate import measure_tickets
from lthray.worker.wanted import Wanted


@dataclass(frozen=True)
class Remeasured:
    """How an evaluation ended."""

    tickets: int
    """Tickets wanted."""
    done: int
    """Of them, those that have their row now."""
    measured: int
    """Tickets that this run measured."""
    failures: dict[str, Failure]
    """Trajectories with a ticket that could not be measured, by id."""
    missing: int
    """Tickets without a row of trajectories that did not fail: the evaluation was interrupted."""


def run(
    store: Store,
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    wanted: Wanted,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Remeasured:
    """Measures what is missing.

    Args:
        store: The results folder.
        sweep: Its sweep, for what a trial asks of Ray.
        trajectories: What `wanted.chosen` gave.
        wanted: What to measure of their tickets.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None for one of this machine's own.
        notify: Told what goes on.

    Raises:
        InputError: the folder, the data or the cluster is not to be had.
        RunError: Ray dies again and again.
        KeyboardInterrupt: interrupted before measuring began; later an interrupt ends in a Remeasured.
    """
    if wanted.attack.startswith(AUTOATTACK):
        require()
    with reported(store.folder, notify) as tell:
        tickets = {spec.trajectory_id: wanted.rounds_of(spec, store) for spec in trajectories}
        before = {spec.trajectory_id: wanted.missing(spec, store) for spec in trajectories}

        def count_rows() -> int:
            return -sum(len(wanted.missing(spec, store)) for spec in trajectories)

        measure = partial(_measure_missing, store, sweep, trajectories, wanted, data_dir, address)
        failures = drive(measure, address, count_rows, tell)
        after = {spec.trajectory_id: wanted.missing(spec, store) for spec in trajectories}
    failures = {name: one for name, one in failures.items() if after[name]}
    return Remeasured(
        tickets=sum(map(len, tickets.values())),
        done=sum(len(tickets[name]) - len(after[name]) for name in tickets),
        measured=sum(len(before[name]) - len(after[name]) for name in tickets),
        failures=failures,
        missing=sum(len(rounds) for name, rounds in after.items() if name not in failures),
    )


def _measure_missing(
    store: Store,
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    wanted: Wanted,
    data_dir: Path,
    address: str | None,
    tell: Notify,
) -> dict[str, Failure]:
    """Measures the tickets without a row; returns the trajectories that failed and why."""
    before = {spec.trajectory_id: wanted.missing(spec, store) for spec in trajectories}
    stacks = [(spec,) for spec in trajectories if before[spec.trajectory_id]]
    if not stacks:
        return {}
    store.clear_parts()
    data = gather([spec.dataset for (spec,) in stacks], data_dir, lambda text: tell(Note(text)))
    tell(Note(f"connecting to Ray at {address}" if address else "starting Ray"))
    with connected(address):
        if address:
            check_shared(store)
        share = fit_to_cluster(sweep.resources, nodes(), tell)
        trials: dict[str, Stack] = {str(i + 1): stack for i, stack in enumerate(stacks)}
        tell(
            Planned(
                trajectories=len(trajectories),
                complete=len(trajectories) - len(stacks),
                trials=trials,
                rounds=sum(map(len, before.values())),
                iterations=sum(len(before[spec.trajectory_id]) * wanted.images_of(spec) for (spec,) in stacks),
                attack=wanted.attack,
            )
        )
        measure = partial(
            measure_tickets, wanted=wanted, folder=store.folder, threads=max(1, int(share.cpus)), gpus=share.gpus
        )
        broken = partial(_unmeasured, store, wanted)
        return fit(laid_down(trials, measure), store, data, share, sweep.resources, [], tell, broken)


def _unmeasured(store: Store, wanted: Wanted, spec: TrajectorySpec, reason: str) -> Failure | None:
    left = wanted.missing(spec, store)
    return Failure(spec, left[0], reason) if left else None
