"""Which trajectories of a results folder an evaluation measures; needs neither torch nor Ray."""

from collections.abc import Mapping, Sequence

from lthray.driver import samples
from lthray.driver.own import package_in
from lthray.errors import InputError
from lthray.spec.attack_settings import check
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.evaluations import rounds_to_measure
from lthray.store.folder import Store


def select(
    store: Store, request: EvaluationRequest, where: Mapping[str, Sequence[object]]
) -> tuple[SweepSpec, list[TrajectorySpec]]:
    """A folder's sweep, and those of its trajectories whose tickets a request asks for.

    Args:
        store: The results folder.
        request: What to measure.
        where: Allowed values by field; trajectories with another value are left out.

    Raises:
        InputError: the folder holds no results, there is no such ticket, or the attack is impossible with the
            fields of a trajectory.
    """
    store.require()
    sweep, from_file = load(store.folder / "sweep.yaml")
    trajectories = samples.trajectories(sweep, from_file, store)
    selected = [spec for spec in trajectories if all(spec.flat()[name] in values for name, values in where.items())]
    if where and not selected:
        conditions = ", ".join(f"{name}={' or '.join(map(str, values))}" for name, values in where.items())
        raise InputError(f"--where: none of the {len(trajectories)} trajectories of {store.folder} has {conditions}")
    for spec in selected:
        _check_code(store, spec, request.attack.name)
        try:
            check(request.attack, spec.setting(request.attack), spec.inputs)
        except ValueError as error:
            reason = str(error).removeprefix(f"eval_attacks: {request.attack}: ")
            raise InputError(f"--attack {request.attack}: trajectory {spec.trajectory_id}: {reason}") from None
    with_tickets = [spec for spec in selected if rounds_to_measure(store, spec, request)]
    if not with_tickets:
        rounds = f" of round {', '.join(map(str, sorted(request.rounds)))}" if request.rounds else ""
        raise InputError(f"{store.folder}: no trajectory has a ticket{rounds} yet")
    return sweep, with_tickets


def _check_code(store: Store, spec: TrajectorySpec, attack: str) -> None:
    """Checks that the code of a trajectory has an attack of the user's.

    Raises:
        InputError: it does not.
    """
    file, colon, _ = attack.partition(":")
    if colon and file.endswith(".py") and not (package_in(store, spec.own.code) / file).is_file():
        raise InputError(
            f"--attack {attack}: trajectory {spec.trajectory_id} was trained without {file}; only files that a sweep's"
            " own fields name travel with its results"
        )
