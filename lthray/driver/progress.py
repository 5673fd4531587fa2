"""How far a sweep is, computed from its events."""

import time
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lthray.driver.events import (
    Event,
    Planned,
    Replanned,
    TrajectoryFailed,
    TrialBegan,
    TrialEnded,
    TrialProgress,
    TrialRetried,
    TrialStopped,
)
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.report import Progress


def title(stack: tuple[TrajectorySpec, ...]) -> str:
    """What the trajectories of a stack have in common: data set, attack and strategy, or how many strategies."""
    spec = stack[0]
    attack = "no attack" if spec.train_attack == "none" else spec.train_attack
    strategies = {spec.strategy for spec in stack}
    strategy = spec.strategy if len(strategies) == 1 else f"{len(strategies)} strategies"
    return f"{spec.dataset} · {attack} · {strategy}"


@dataclass
class SweepProgress:
    """A sweep's state, with the clock that its time left is estimated by."""

    plan: Planned | None = None
    latest: dict[str, Progress] = field(default_factory=dict)
    """Each trial's latest progress."""
    ended: set[str] = field(default_factory=set)
    failed: list[TrajectoryFailed] = field(default_factory=list)
    retried: int = 0
    spared: int = 0
    """Work that the scheduler's stops have made needless."""
    began: float = field(default_factory=time.monotonic)
    first_progress: tuple[float, int] | None = None
    """When the first trial reported, and the work done by then."""

    def take(self, event: Event) -> None:
        """Brings the state up to an event."""
        match event:
            case Planned():  # planned again after Ray died, with other trials
                self.plan, self.first_progress, self.spared = event, None, 0
                for seen in (self.latest, self.ended, self.failed):
                    seen.clear()
            case Replanned() if self.plan:
                self.plan = replace(self.plan, trials=dict(event.trials))
            case TrialBegan() if self.plan:
                self.plan.trials[event.trial] = event.stack
            case TrialStopped() if self.plan:
                self.spared += sum(spec.iterations_from(event.round + 1) for spec in self.plan.trials[event.trial])
            case TrialProgress():
                self.latest[event.trial] = event.progress
                self.first_progress = self.first_progress or (time.monotonic(), self.done())
            case TrialEnded():
                self.ended.add(event.trial)
            case TrialRetried():
                self.retried += 1
            case TrajectoryFailed():
                self.failed.append(event)

    def done(self) -> int:
        """Work done in this run."""
        return sum(progress.done_in_trial for progress in self.latest.values())

    def share(self) -> float:
        """Share of this run's work that is done, in [0, 1]."""
        return self.done() / self.work() if self.work() else 1.0

    def work(self) -> int:
        """Work to do in this run."""
        return self.plan.work - self.spared if self.plan else 0

    def seconds_left(self) -> float | None:
        """Time left at this run's pace so far; None before there is a pace."""
        if not self.plan or not self.first_progress:
            return None
        since, already = self.first_progress
        done, seconds = self.done() - already, time.monotonic() - since
        return (self.work() - self.done()) * seconds / done if done > 0 and seconds > 0 else None

    def running(self) -> dict[str, Progress]:
        """The latest progress of each trial that has reported and not ended."""
        # Ray's callbacks add trials while the display and the lock's heartbeat read them in threads of their own.
        return {trial: progress for trial, progress in list(self.latest.items()) if trial not in self.ended}

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, for another process to read."""
        plan, left = self.plan, self.seconds_left()
        return {
            "attack": plan.attack if plan else "",
            "work": {"done": self.done(), "of": self.work(), "unit": plan.unit} if plan else None,
            "trials": {"ended": len(self.ended), "of": len(plan.trials)} if plan else None,
            "retried": self.retried,
            "seconds_left": None if left is None else round(left, 1),
            "running": [self._row(trial, plan.trials[trial]) for trial in self.running()] if plan else [],
        }

    def _row(self, trial: str, stack: tuple[TrajectorySpec, ...]) -> dict[str, Any]:
        return {
            "trial": trial,
            "title": title(stack),
            "trajectories": [spec.trajectory_id for spec in stack],
            "rounds": stack[0].rounds,
            **asdict(self.latest[trial]),
        }
