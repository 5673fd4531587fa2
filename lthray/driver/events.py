"""What a sweep tells whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass

from lthray.engine.results import Failure
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.report import Note as Note
from lthray.worker.report import Progress, Unit


@dataclass(frozen=True)
class Planned:
    """What a sweep is about to do."""

    trajectories: int
    """Trajectories of the whole sweep."""
    complete: int
    """Those of them that were complete before this run."""
    trials: dict[str, tuple[TrajectorySpec, ...]]
    """Each trial's stack; for a sample that is not drawn yet, a stack of its cell without the drawn values."""
    rounds: int
    """Rounds to do, over all trajectories."""
    work: int
    """Units of work to do, over all trajectories."""
    unit: Unit = "iterations"
    stopped: int = 0
    """Trajectories that the scheduler of a search stopped before this run."""
    attack: str = ""
    """Attack that tickets are measured under; empty where the sweep trains."""


@dataclass(frozen=True)
class Replanned:
    """Nodes have joined, and the trajectories that wait are planned anew."""

    trials: dict[str, tuple[TrajectorySpec, ...]]
    """The stack of each trial: those begun before, and the new ones."""
    waiting: int
    """The new ones among them."""
    slots: int
    """Trials that fit on the cluster at the same time."""


@dataclass(frozen=True)
class TrialBegan:
    """A trial begins, or begins again."""

    trial: str
    stack: tuple[TrajectorySpec, ...]


@dataclass(frozen=True)
class TrialProgress:
    """How far a trial is."""

    trial: str
    progress: Progress


@dataclass(frozen=True)
class TrajectoryFailed:
    """A trajectory can't go on."""

    trial: str
    failure: Failure


@dataclass(frozen=True)
class TrialStopped:
    """The scheduler of a search has stopped a trial after a round."""

    trial: str
    round: int
    metric: float
    """The search's metric after that round."""


@dataclass(frozen=True)
class TrialRetried:
    """A trial failed, or its worker died, and it is started again."""

    trial: str
    cause: str
    """Why, in words."""
    stack: int | None
    """The most trajectories that it trains at once from now on, where they are fewer than before."""


@dataclass(frozen=True)
class TrialEnded:
    """A trial ended: it is complete, failed or stopped."""

    trial: str


Event = (
    Note
    | Planned
    | Replanned
    | TrialBegan
    | TrialProgress
    | TrajectoryFailed
    | TrialStopped
    | TrialRetried
    | TrialEnded
)
Notify = Callable[[Event], None]
