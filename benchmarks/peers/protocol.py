"""What the loops share: the numbers of the training objective, the order of the images, the size of a pass."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lthray.methods.attacks import Setting
from lthray.spec.trajectory import TrajectorySpec

EVALUATION_BATCH = 512
"""Images per pass of an evaluation; 256 to 1,024 are equally fast in the jitted loops."""


class Objective(NamedTuple):
    """The constants of a training step; hashable, since compilers take them as constants."""

    attack: Setting | None
    adversarial_weight: float
    label_smoothing: float
    learning_rate: float

    @classmethod
    def read(cls, spec: TrajectorySpec) -> "Objective":
        """The objective of a trajectory."""
        return cls(spec.train_setting, spec.adversarial_weight, spec.label_smoothing, spec.learning_rate)


def shuffled_batches(images: int, size: int) -> Iterator[Tensor]:
    """Indices (size,) of each batch, without end: every epoch is a new permutation, whose remainder is dropped."""
    while True:
        yield from torch.randperm(images)[: images // size * size].view(-1, size)
