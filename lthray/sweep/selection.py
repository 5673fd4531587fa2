"""Which trajectories of a results folder are to be measured; needs neither torch nor Ray."""

from collections.abc import Mapping, Sequence

from lthray.errors import InputError
from lthray.spec.attack_settings import check
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep import samples
from lthray.worker.wanted import Wanted


def chosen(
    store: Store, wanted: Wanted, where: Mapping[str, Sequence[object]]
) -> tuple[SweepSpec, list[TrajectorySpec]]:
    """A folder's sweep, and those of its trajectories that are to be measured.

    Args:
        store: The results folder.
        wanted: What to measure.
        where: The values that fields may have.

    Raises:
        InputError: the folder holds no results, no ticket is wanted, or the attack can't be made of a trajectory's
            fields.
    """
    store.require()
    sweep, trajectories = load(store.folder / "sweep.yaml")
    every = samples.trajectories(sweep, trajectories, store)
    found = [spec for spec in every if all(spec.flat()[name] in values for name, values in where.items())]
    if where and not found:
        said = ", ".join(f"{name}={' or '.join(map(str, values))}" for name, values in where.items())
        raise InputError(f"--where: none of the {len(every)} trajectories of {store.folder} has {said}")
    for spec in found:
        try:
            check({wanted.attack: spec.setting(wanted.attack)}, spec.inputs)
        except ValueError as error:
            said = str(error).removeprefix(f"eval_attacks: {wanted.attack}: ")
            raise InputError(f"--attack {wanted.attack}: trajectory {spec.trajectory_id}: {said}") from None
    found = [spec for spec in found if wanted.rounds_of(spec, store)]
    if not found:
        rounds = f" of round {', '.join(map(str, sorted(wanted.rounds)))}" if wanted.rounds else ""
        raise InputError(f"{store.folder}: no trajectory has a ticket{rounds} yet")
    return sweep, found
