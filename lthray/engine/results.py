"""What a trajectory leaves behind, as plain values and arrays that the engine and the store share."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from lthray.methods.attacks import Attack
from lthray.spec.trajectory import TrajectorySpec

if TYPE_CHECKING:  # torch is slow to import, and whoever reads a results folder needs none of it
    from torch import Tensor

Array = np.ndarray[Any, Any]
Mask: TypeAlias = "Array | Tensor"


def count_remaining(masks: Iterable[Mask]) -> int:
    """How many weights are not pruned, from one mask a layer."""
    return sum(int(mask.sum()) for mask in masks)


def share_remaining(masks: Iterable[Mask]) -> float:
    """Share of weights that are not pruned, in (0, 1], from one mask a layer."""
    masks = list(masks)
    return count_remaining(masks) / sum(math.prod(mask.shape) for mask in masks)


@dataclass(frozen=True)
class Ticket:
    """A network at the end of a round, under the mask it was trained with."""

    weights: dict[str, Array]
    """By layer name, (out, in) float32; pruned weights are zero. A module's other tensors too, by their own names."""
    masks: dict[str, Array]
    """By layer name, (out, in) uint8; 1 where a weight remains."""


@dataclass(frozen=True)
class CurveRow:
    """One evaluation of one split under one attack."""

    iteration: int
    reported_iteration: int
    split: str
    attack: Attack
    loss: float
    accuracy: float
    zero_gradient_share: float | None
    """Share of images without any gradient to attack along, in [0, 1]; None for attack `none`."""


@dataclass(frozen=True)
class RoundResult:
    """A trajectory's finished round."""

    spec: TrajectorySpec
    round: int
    ticket: Ticket
    curves: list[CurveRow]
    early_stopping_iteration: int
    stack: int
    """Trajectories that shared the seconds below."""
    train_seconds: float
    """This trajectory's share of the wall time that its stack trained."""
    eval_seconds: float
    """This trajectory's share of the wall time that its stack was evaluated."""
    device: str
    images: Mapping[str, int]
    """Number of images of each split."""
    rewound: Ticket | None = None
    """Of round 0: the network at the iteration that `rewind_to` names, if it names one."""
    ends: Sequence[CurveRow] = ()
    """Under the end attacks, on test images, at early stopping and at the end; one row where both are one iteration."""
    end_images: int = 0
    """Number of images that the end attacks were measured on."""

    @property
    def iterations(self) -> int:
        """Optimizer steps of the round."""
        return self.spec.in_round(self.round).iterations

    @property
    def weights_remaining_count(self) -> int:
        """Weights not pruned."""
        return count_remaining(self.ticket.masks.values())

    @property
    def weights_remaining(self) -> float:
        """Share of weights not pruned, in (0, 1]."""
        return share_remaining(self.ticket.masks.values())

    def row(self, attack: Attack, split: str, iteration: int) -> CurveRow | None:
        """One evaluation; None where the attack was not measured."""
        key = attack, split, iteration
        return next((row for row in self.curves if (row.attack, row.split, row.iteration) == key), None)


@dataclass(frozen=True)
class Checkpoint:
    """A trajectory inside a round, right after an evaluation: resumed from here, the round gives the same bits.

    Arrays are by layer name, (out, in) float32, and those of a module's other tensors by their own names. Masks are
    left out, because they follow from the round before.
    """

    spec: TrajectorySpec
    round: int
    iteration: int
    """Optimizer steps done in the round, at least 1."""
    weights: dict[str, Array]
    mean: dict[str, Array]
    """Adam's average of the gradient."""
    square: dict[str, Array]
    """Adam's average of the squared gradient."""
    rewound: dict[str, Array] | None
    """The weights at the iteration that `rewind_to` names, once a round 0 has passed it."""
    early_stopped: dict[str, Array] | None
    """The weights with the smallest validation objective so far, if there are end attacks to measure them under."""
    generator: Array
    """State of the generator of the train attack's random starts, uint8."""
    perturbation: Array | None
    """(B, D) float32, of free adversarial training alone."""
    curves: list[CurveRow]
    """The round's evaluations so far."""
    train_seconds: float
    eval_seconds: float
    device: str
    """As `RoundResult.device`; another device rounds differently."""


@dataclass(frozen=True)
class Failure:
    """A trajectory that cannot go on, and why."""

    spec: TrajectorySpec
    round: int
    reason: str
    """In one line."""
    traceback: str = ""
    """Of an exception in the user's own code: the part that is the user's."""


@dataclass(frozen=True)
class Resume:
    """What a trajectory needs to go on after a finished round."""

    last: Ticket
    """Ticket of the last finished round."""
    dense: Ticket | None
    """Ticket of round 0, if later rounds go back to it."""
    rewound: Ticket | None = None
    """The network at the iteration of round 0 that `rewind_to` names, if it names one."""
