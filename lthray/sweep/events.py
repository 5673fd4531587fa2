"""What a sweep tells whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass

from lthray.spec.trajectory import TrajectorySpec


@dataclass(frozen=True)
class Note:
    """A line worth reading."""

    text: str


@dataclass(frozen=True)
class Planned:
    """What a sweep is about to do."""

    trajectories: int
    """Trajectories of the whole sweep."""
    complete: int
    """Of them, complete before this run."""
    trials: dict[str, tuple[TrajectorySpec, ...]]
    """The stack that each trial trains; where a sample is yet to be drawn, one of its cell without the values drawn."""
    rounds: int
    """Trainings to do: trajectories times rounds that are missing."""
    iterations: int
    """Iterations to do, over all trajectories."""
    stopped: int = 0
    """Trajectories that the scheduler of a search stopped before this run."""
    attack: str = ""
    """What tickets are measured under, where nothing is trained; an iteration is then an image."""


@dataclass(frozen=True)
class TrialBegan:
    """A trial begins, or begins again."""

    trial: str
    stack: tuple[TrajectorySpec, ...]
    """What it trains."""


@dataclass(frozen=True)
class TrialProgress:
    """How far a trial is."""

    trial: str
    round: int
    iteration: int
    """Iterations of this round done."""
    round_done: bool
    iterations_done: int
    """Iterations done since the trial began, over its trajectories."""
    rate: float
    """Iterations a second of the whole stack, evaluation included."""
    weights_remaining: float
    natural: float
    """Latest natural test accuracy, mean over the stack."""
    adversarial: dict[str, float]
    """Latest adversarial test accuracy by attack, mean over the stack."""
    running: int
    """Trajectories of the stack that go on."""
    device: str
    """What it trains on: `cpu`, or `cuda` and the GPU's name."""


@dataclass(frozen=True)
class TrajectoryFailed:
    """A trajectory can't go on."""

    trial: str
    trajectory_id: str
    round: int
    reason: str


@dataclass(frozen=True)
class TrialStopped:
    """The scheduler of a search has stopped a trial after a round."""

    trial: str
    round: int
    value: float
    """Of the search's metric."""


@dataclass(frozen=True)
class TrialRetried:
    """A trial broke, or its worker died, and it is started again."""

    trial: str


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended, for good or ill."""

    trial: str


Event = Note | Planned | TrialBegan | TrialProgress | TrajectoryFailed | TrialStopped | TrialRetried | TrialEnded
Notify = Callable[[Event], None]
