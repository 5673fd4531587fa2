"""Which stored tickets are to be measured, under what, and which of them are measured already."""

from dataclasses import dataclass

from lthray.methods.attacks import Attack
from lthray.methods.datasets import DATASETS
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store


@dataclass(frozen=True)
class Wanted:
    """What is to be measured of tickets."""

    attack: Attack
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
        return [number for number in rounds if (number, "final", self.split, str(self.attack), images) not in known]
