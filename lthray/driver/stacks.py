"""Stacks that wait for a slot: Tune gets each when a slot is free, and those left are planned anew when nodes join."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from ray.tune.search import ConcurrencyLimiter, Searcher

from lthray.driver.events import Notify, Replanned
from lthray.driver.trials import Stack, Tuning
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.body import TrialBody

Plan = Callable[[Sequence[TrajectorySpec], int], Sequence[Stack]]
"""Stacks of trajectories for so many slots; see `planning.plan`."""


def planned_trials(
    trajectories: Sequence[TrajectorySpec], plan: Plan, slots: Callable[[], int], body: TrialBody, notify: Notify
) -> tuple[Tuning, dict[str, Stack]]:
    """A trial for each stack of a plan that follows the cluster.

    Args:
        trajectories: What to train.
        plan: Plans their stacks.
        slots: Counts the trials that fit on the cluster at the same time.
        body: Trains a stack.
        notify: Takes an event where the stacks that wait are planned anew.

    Returns:
        What Tune is to run, and the first plan's stacks by the trial's name.
    """
    waiting = WaitingStacks(trajectories, plan, slots, notify)
    stacks = dict(waiting.stacks)
    by_id = {spec.trajectory_id: spec for spec in trajectories}
    options = {"search_alg": SlotLimiter(waiting, slots), "num_samples": -1}
    return Tuning(partial(_stack_by_ids, by_id), body, options=options), stacks


def _stack_by_ids(by_id: Mapping[str, TrajectorySpec], config: Mapping[str, Any]) -> Stack:
    return tuple(by_id[name] for name in config["trajectories"])


class SlotLimiter(ConcurrencyLimiter):  # type: ignore[misc]
    """Has Tune begin as many trials as fit on the cluster as it is now.

    Args:
        searcher: Gives the trials.
        slots: Counts the trials that fit on the cluster at the same time.
    """

    def __init__(self, searcher: Searcher, slots: Callable[[], int]) -> None:
        super().__init__(searcher, max_concurrent=slots())
        self.slots = slots

    def suggest(self, trial_id: str) -> Any:
        """Called by Tune whenever it could begin a trial."""
        self.max_concurrent = self.slots()
        return super().suggest(trial_id)


class WaitingStacks(Searcher):  # type: ignore[misc]
    """Gives Tune one stack after another; see `planned_trials` for the arguments."""

    def __init__(
        self, trajectories: Sequence[TrajectorySpec], plan: Plan, slots: Callable[[], int], notify: Notify
    ) -> None:
        super().__init__()
        self.plan, self.slots, self.notify = plan, slots, notify
        self.planned_for = slots()
        self.names = map(str, count(1))
        self.begun: dict[str, Stack] = {}
        self.stacks = self._named(plan(trajectories, self.planned_for))
        """Those that wait, by the trial's name."""

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its searcher with its state: events can't be pickled, and lthray restores no Tune state."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Called by Tune whenever a slot is free."""
        self._follow_cluster()
        if not self.stacks:
            return Searcher.FINISHED
        name = next(iter(self.stacks))
        stack = self.begun[name] = self.stacks.pop(name)
        return {"trial": name, "trajectories": [spec.trajectory_id for spec in stack]}

    def _follow_cluster(self) -> None:
        """Plans the waiting stacks anew where the cluster has more slots than they were planned for."""
        if (slots := self.slots()) <= self.planned_for:
            return
        self.planned_for = slots
        stacks = self.plan([spec for stack in self.stacks.values() for spec in stack], slots)
        if len(stacks) > len(self.stacks):
            self.stacks = self._named(stacks)
            self.notify(Replanned(self.begun | self.stacks, len(stacks), slots))

    def _named(self, stacks: Sequence[Stack]) -> dict[str, Stack]:
        return {next(self.names): stack for stack in stacks}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Called by Tune at a trial's end, which no other trial depends on."""

    def save(self, checkpoint_path: str) -> None:
        """Called by Tune now and then; there is nothing to save that the results folder does not remember."""
