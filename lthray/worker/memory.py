"""What a trial takes of a node's memory: a bound that is known beforehand, and the result of a measurement."""

import math
from dataclasses import dataclass

from lthray.engine.arrays import CHUNK
from lthray.spec.trajectory import TrajectorySpec

GIB = 2**30
NUMBER, COPIES = 4, 16
"""Bytes of a number, and an upper bound on the copies of a weight (start, mask, averages, ...) or activation held."""


@dataclass(frozen=True)
class Footprint:
    """What a trial takes of its share of the memory, in bytes."""

    base: float
    """The process, its libraries and the data set."""
    per_trajectory: float
    """Upper bound for one trajectory of the stack."""
    budget: float
    """What a trial may take."""

    @property
    def fits(self) -> int:
        """The largest stack that fits; 0 where not even one trajectory does."""
        return max(0, int((self.budget - self.base) // self.per_trajectory))

    def __str__(self) -> str:
        return (
            f"a trial takes {_size(self.base)} and {_size(self.per_trajectory)} for each trajectory of its stack;"
            f" of its {_size(self.budget)}, a stack of {self.fits:,} fits"
        )


def memory_bound(spec: TrajectorySpec, stack: int) -> float:
    """An upper bound on what a CPU trial takes, in bytes: where this fits, nothing needs to be measured.

    Nothing bounds a module, whose activations are not known before they are measured.
    """
    if spec.units is None:
        return math.inf
    weights = sum(spec.weights_left(0)[0].values())
    attacked = {spec.train_attack, spec.retrain.train_attack} != {"none"}
    images = spec.batch_size * (1 + attacked)
    per_trajectory = 64 * 2**20 + COPIES * NUMBER * (weights + images * spec.units)
    data = NUMBER * spec.inputs * (spec.data.examples + spec.data.test)
    return 1.5 * GIB + data + COPIES * NUMBER * CHUNK["cpu"] * spec.units + stack * per_trajectory


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.0f} MiB"
