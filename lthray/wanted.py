"""Which stored tickets are to be measured, under what, and which of them are measured already."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lthray import samples
from lthray.attackspec import check
from lthray.errors import InputError
from lthray.facts import DATASETS
from lthray.spec import TrajectorySpec
from lthray.store import Store
from lthray.sweepfile import SweepSpec, load


@dataclass(frozen=True)
class Wanted:
    """What is to be measured of tickets."""

    attack: str
    """Full name."""
    split: str
    """`validation` or `test`."""
    images: int | None
    """How many of the split's images, from the first on; None for all."""
    rounds: frozenset[int]
    """The rounds; empty for all that have a ticket."""

    def images_of(self, spec: TrajectorySpec) -> int:
        """Images to measure of a trajectory's split."""
        every = spec.validation_size if self.split == "validation" else DATASETS[spec.dataset].test
        return every if self.images is None else min(self.images, every)

    def rounds_of(self, spec: TrajectorySpec, store: Store) -> list[int]:
        """The rounds wanted of a trajectory that have a ticket."""
        done = min(store.rounds_done(spec.trajectory_id), spec.rounds + 1)
        return [number for number in range(done) if not self.rounds or number in self.rounds]

    def missing(self, spec: TrajectorySpec, store: Store) -> list[int]:
        """Those of `rounds_of` that have no row yet."""
        known, images = store.measured(spec.trajectory_id), self.images_of(spec)
        rounds = self.rounds_of(spec, store)
        return [number for number in rounds if (number, "final", self.split, self.attack, images) not in known]


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
