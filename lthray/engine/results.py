"""What a trajectory leaves behind: plain values and arrays, known to the maths and to the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lthray.spec.trajectory import TrajectorySpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Ticket:
    """A network at the end of a round, under the mask it was trained with."""

    weights: dict[str, Array]
    """Layer name to (out, in) float32; pruned weights are zero."""
    masks: dict[str, Array]
    """Layer name to (out, in) uint8; 1 where a weight remains."""


@dataclass(frozen=True)
class CurveRow:
    """One evaluation of one split under one attack."""

    iteration: int
    reported_iteration: int
    split: str
    attack: str
    loss: float
    accuracy: float
    zero_gradient_share: float | None
    """Share of images without any gradient to attack along, in [0, 1]; None for attack `none`."""


@dataclass(frozen=True)
class RoundResult:
    """One trajectory's round, finished."""

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
    """The same of evaluation."""
    device: str
    images: Mapping[str, int]
    """Images of each split measured."""
    early: Ticket | None = None
    """Of round 0: the network at the iteration that `rewind_to` names, where it names one."""

    @property
    def iterations(self) -> int:
        """Optimizer steps of the round."""
        return self.spec.in_round(self.round).iterations

    @property
    def weights_remaining_count(self) -> int:
        """Weights not pruned."""
        return sum(int(mask.sum()) for mask in self.ticket.masks.values())

    @property
    def weights_remaining(self) -> float:
        """Share of weights not pruned, in (0, 1]."""
        return self.weights_remaining_count / sum(mask.size for mask in self.ticket.masks.values())

    def row(self, attack: str, split: str, iteration: int) -> CurveRow | None:
        """One evaluation; None where the attack was not measured."""
        wanted = attack, split, iteration
        return next((row for row in self.curves if (row.attack, row.split, row.iteration) == wanted), None)


@dataclass(frozen=True)
class Failure:
    """A trajectory that can't go on, and why."""

    spec: TrajectorySpec
    round: int
    reason: str


@dataclass(frozen=True)
class Resume:
    """What a trajectory needs to go on after a finished round."""

    last: Ticket
    """Ticket of the last finished round."""
    dense: Ticket | None
    """Ticket of round 0, where later rounds go back to it."""
    early: Ticket | None = None
    """The network at the iteration of round 0 that `rewind_to` names, where it names one."""
