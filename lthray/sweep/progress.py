"""How far a sweep is, as its events tell it."""

import time
from dataclasses import dataclass, field
from typing import Any

from lthray.spec.trajectory import TrajectorySpec
from lthray.sweep.events import (
    Event,
    Planned,
    TrajectoryFailed,
    TrialBegan,
    TrialEnded,
    TrialProgress,
    TrialRetried,
    TrialStopped,
)


def title(stack: tuple[TrajectorySpec, ...]) -> str:
    """What a stack's trajectories have in common, and how many seeds and strategies they are."""
    spec = stack[0]
    attack = "no attack" if spec.train_attack == "none" else spec.train_attack
    strategies = list(dict.fromkeys(one.strategy for one in stack))
    who = strategies[0] if len(strategies) == 1 else f"{len(strategies)} strategies"
    return f"{spec.dataset} · {attack} · {who}"


@dataclass
class SweepProgress:
    """A sweep as its events tell it, with the clock that the time left is reckoned by."""

    plan: Planned | None = None
    latest: dict[str, TrialProgress] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    failed: list[TrajectoryFailed] = field(default_factory=list)
    retried: int = 0
    spared: int = 0
    """Iterations that the scheduler's stops have made needless."""
    began: float = field(default_factory=time.monotonic)
    first_progress: tuple[float, int] | None = None

    def take(self, event: Event) -> None:
        """Brings the state up to an event."""
        match event:
            case Planned():  # again where Ray died: the trials are others then
                self.plan, self.first_progress, self.spared = event, None, 0
                for seen in (self.latest, self.ended, self.failed):
                    seen.clear()
            case TrialBegan() if self.plan:
                self.plan.trials[event.trial] = event.stack
            case TrialStopped() if self.plan:
                self.spared += sum(one.iterations_from(event.round + 1) for one in self.plan.trials[event.trial])
            case TrialProgress():
                self.latest[event.trial] = event
                self.first_progress = self.first_progress or (time.monotonic(), self.done())
            case TrialEnded():
                self.ended.add(event.trial)
            case TrialRetried():
                self.retried += 1
            case TrajectoryFailed():
                self.failed.append(event)

    def done(self) -> int:
        """Iterations done in this run."""
        return sum(one.iterations_done for one in self.latest.values())

    def share(self) -> float:
        """Share of this run's iterations done, in [0, 1]."""
        return self.done() / self.wanted() if self.wanted() else 1.0

    def wanted(self) -> int:
        """Iterations to do in this run."""
        return self.plan.iterations - self.spared if self.plan else 0

    def seconds_left(self) -> float | None:
        """Time left at this run's pace so far; None before there is a pace."""
        if not self.plan or not self.first_progress:
            return None
        since, already = self.first_progress
        made, seconds = self.done() - already, time.monotonic() - since
        return (self.wanted() - self.done()) * seconds / made if made > 0 and seconds > 0 else None

    def running(self) -> dict[str, TrialProgress]:
        """The latest of every trial that has reported and not ended."""
        return {name: one for name, one in list(self.latest.items()) if name not in self.ended}

    def snapshot(self) -> dict[str, Any]:
        """The state as plain values, for another process to read."""
        if not self.plan:
            return {"attack": "", "iterations": None, "trials": None, "retried": 0, "seconds_left": None, "running": []}
        left = self.seconds_left()
        return {
            "attack": self.plan.attack,
            "iterations": {"done": self.done(), "of": self.wanted()},
            "trials": {"ended": len(self.ended), "of": len(self.plan.trials)},
            "retried": self.retried,
            "seconds_left": None if left is None else round(left, 1),
            "running": [
                {
                    "trial": name,
                    "trains": title(self.plan.trials[name]),
                    "trajectories": [spec.trajectory_id for spec in self.plan.trials[name]],
                    "stack": one.running,
                    "round": one.round,
                    "rounds": self.plan.trials[name][0].rounds,
                    "iteration": one.iteration,
                    "iterations_per_second": round(one.rate, 1),
                    "weights_remaining": one.weights_remaining,
                    "natural": one.natural,
                    "adversarial": one.adversarial,
                    "device": one.device,
                }
                for name, one in self.running().items()
            ],
        }
