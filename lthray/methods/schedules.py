"""Schedules of the learning rate: functions that make one of torch's schedulers for a round.

As in `criteria`, torch is not imported when this module is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler


@dataclass(frozen=True)
class Course:
    """What a schedule may depend on."""

    iterations: int
    """Optimizer steps of the schedule: those of the round after its warm-up."""
    milestones: Sequence[int] = ()
    """Iterations at which the rate is multiplied by `gamma`, counted from the end of the warm-up."""
    gamma: float = 0.1
    """Factor of the learning rate at each milestone."""
    final: float = 0.0
    """The last learning rate, as a share of the first."""


Schedule: TypeAlias = "Callable[[Optimizer, Course], LRScheduler]"
"""Makes a scheduler that is stepped once an iteration."""


def constant(optimizer: "Optimizer", course: Course) -> "LRScheduler":
    """The learning rate as it is."""
    from torch.optim.lr_scheduler import ConstantLR

    return ConstantLR(optimizer, factor=1.0, total_iters=0)


def cosine(optimizer: "Optimizer", course: Course) -> "LRScheduler":
    """Half a cosine from the learning rate to its share `final` (Loshchilov and Hutter 2017, without restarts)."""
    from torch.optim.lr_scheduler import CosineAnnealingLR

    rate = optimizer.param_groups[0]["lr"]
    return CosineAnnealingLR(optimizer, course.iterations, eta_min=course.final * rate)


def step(optimizer: "Optimizer", course: Course) -> "LRScheduler":
    """Multiplies the learning rate by gamma at each milestone."""
    from torch.optim.lr_scheduler import MultiStepLR

    return MultiStepLR(optimizer, list(course.milestones), course.gamma)


def linear(optimizer: "Optimizer", course: Course) -> "LRScheduler":
    """A straight line from the learning rate to its share `final`."""
    from torch.optim.lr_scheduler import LinearLR

    return LinearLR(optimizer, start_factor=1.0, end_factor=course.final, total_iters=course.iterations)


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "step": step, "linear": linear}
"""The schedules by name."""
