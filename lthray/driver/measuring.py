"""Measures stored tickets in trials on Ray, one for each trajectory."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lthray.driver.events import Notify, Planned
from lthray.driver.session import connect
from lthray.driver.trials import Stack, fit, fixed_trials
from lthray.engine.results import Failure
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.evaluations import unmeasured
from lthray.store.folder import Store


def measure(
    store: Store,
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    request: EvaluationRequest,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> dict[str, Failure]:
    """Measures the tickets that have no row yet; see `evaluate.run` for the arguments.

    Returns:
        The trajectories that failed, by id.

    Raises:
        InputError: a data set can't be read, or Ray can't be reached.
    """
    rounds = {spec.trajectory_id: unmeasured(store, spec, request) for spec in trajectories}
    missing = [spec for spec in trajectories if rounds[spec.trajectory_id]]
    if not missing:
        return {}
    store.clear_parts()
    with connect(store, sweep, missing, data_dir, address, notify) as session:
        stacks: dict[str, Stack] = {str(number): (spec,) for number, spec in enumerate(missing, start=1)}
        notify(
            Planned(
                trajectories=len(trajectories),
                complete=len(trajectories) - len(missing),
                trials=stacks,
                rounds=sum(map(len, rounds.values())),
                work=sum(len(rounds[spec.trajectory_id]) * request.image_count(spec) for spec in missing),
                unit="images",
                attack=str(request.attack),
            )
        )
        share = session.share
        body = partial(_measure_tickets, request=request, store=store, threads=share.threads, gpus=share.gpus)
        return fit(session, fixed_trials(stacks, body), partial(_failure, store, request))


def _measure_tickets(*arguments: Any, **settings: Any) -> None:
    from lthray.worker.evaluate import measure_tickets  # it imports torch, which takes seconds

    measure_tickets(*arguments, **settings)


def _failure(store: Store, request: EvaluationRequest, spec: TrajectorySpec, reason: str) -> Failure | None:
    rounds = unmeasured(store, spec, request)
    return Failure(spec, rounds[0], reason) if rounds else None
