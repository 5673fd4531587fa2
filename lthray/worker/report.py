"""What a trial reports while it runs: messages from its worker to whoever watches the sweep."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lthray.engine.results import Failure

Unit = Literal["iterations", "images"]
"""What work is counted in: optimizer steps of a trajectory, or images measured under an attack."""


@dataclass(frozen=True)
class Progress:
    """How far a trial is."""

    unit: Unit
    round: int
    done_in_round: int
    """Units done of this round, by each trajectory."""
    done_in_trial: int
    """Units done since the trial began, by all its trajectories together."""
    round_done: bool
    """Whether the round's results are in the results folder."""
    rate: float
    """Units a second of the whole stack, evaluation included; 0 before the first are done."""
    weights_remaining: float
    """Share of weights not pruned, in (0, 1]."""
    natural: float | None
    """Latest natural accuracy, in [0, 1], mean over the stack; None before the trial's first evaluation."""
    adversarial: dict[str, float]
    """Latest adversarial accuracy by attack, mean over the stack."""
    running: int
    """Trajectories of the stack that go on."""
    device: str
    """`cpu`, or `cuda` and the GPU's name."""


@dataclass(frozen=True)
class Score:
    """How good a sample of a search is after a round that all its trajectories have finished."""

    metric: float
    """The search's metric, mean over the sample's trajectories."""
    rounds_done: int


@dataclass(frozen=True)
class Note:
    """A message for the user, in one line."""

    text: str


Message = Progress | Score | Failure | Note
Report = Callable[[Message], None]
