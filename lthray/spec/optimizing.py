"""Groups of a trajectory's fields that say how weights are updated: the optimizer, and its learning rate's schedule."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lthray.methods.schedules import SCHEDULES
from lthray.spec.about import LOTTERY, About
from lthray.spec.identity import Base
from lthray.spec.numbers import Number, Whole
from lthray.spec.strict import Strict, one_of
from lthray.spec.training_fields import Floats


class OptimizerSpec(Strict):
    """The optimizer; its learning rate is `learning_rate`. A round begins with a fresh one."""

    name: Annotated[Literal["adam", "adamw", "sgd"], Base("adam"), About(source=LOTTERY)] = "adam"
    """Optimizer, as torch.optim has it: adam, adamw (with decoupled weight decay) or sgd."""
    momentum: Annotated[Number, Field(ge=0, lt=1), Base(0.0), About(examples=(0.0, 0.9))] = 0.0
    """Momentum of sgd."""
    nesterov: Annotated[bool, Base(False), About()] = False
    """Nesterov's momentum, for sgd."""
    weight_decay: Annotated[Number, Field(ge=0), Base(0.0), About(examples=(0.0, 5e-4))] = 0.0
    """Weight decay; of adam and sgd it is added to the gradient, times the weight."""
    clip_norm: Annotated[Number, Field(ge=0), Base(0.0), About("norm of the gradient", examples=(0.0, 1.0))] = 0.0
    """Largest norm of a network's whole gradient, which is scaled down to it; 0 for no clipping."""

    @model_validator(mode="after")
    def _check_momentum(self) -> Self:
        if self.momentum and self.name != "sgd":
            raise ValueError(f"momentum: is for sgd, and not for {self.name}")
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov: needs momentum, for example 0.9")
        return self


class ScheduleSpec(Strict):
    """How the learning rate changes during a round."""

    name: Annotated[str, one_of(SCHEDULES, group="schedules"), Base("constant"), About(source=LOTTERY)] = "constant"
    """Schedule: constant, cosine, step, linear, or a function of your own."""
    warmup: Annotated[Whole, Field(ge=0, le=10**9), Base(0), About("iterations", examples=(0, 1000))] = 0
    """Iterations over which the learning rate first grows in proportion to the iterations done."""
    milestones: Annotated[Floats, Base(()), About("share of the round", examples=([0.5], [0.5, 0.75]))] = ()
    """For step: shares of the round, a list of numbers in (0, 1), at which the rate is multiplied by gamma."""
    gamma: Annotated[Number, Field(gt=0, le=1), Base(0.1), About(examples=(0.1, 0.2))] = 0.1
    """For step: factor of the learning rate at each milestone."""
    final: Annotated[Number, Field(ge=0, le=1), Base(0.0), About("share of the learning rate", examples=(0.0, 0.1))] = (
        0.0
    )
    """For cosine and linear: the last learning rate, as a share of `learning_rate`."""

    @model_validator(mode="after")
    def _check_milestones(self) -> Self:
        if not all(0 < share < 1 for share in self.milestones) or any(a >= b for a, b in pairwise(self.milestones)):
            raise ValueError("milestones: takes increasing shares of the round, each between 0 and 1, as [0.5, 0.75]")
        if bool(self.milestones) != (self.name == "step"):
            raise ValueError(f"milestones: {'is missing' if self.name == 'step' else 'is for schedule step'}")
        return self
