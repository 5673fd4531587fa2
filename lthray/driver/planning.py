"""Which trajectories are trained side by side, and on what share of the machines."""

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lthray.driver.events import Note, Notify
from lthray.errors import InputError
from lthray.spec.first_round import first_round_key
from lthray.spec.sections import ResourcesSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.memory import memory_bound

LARGEST_STACK = {"cpu": 5, "gpu": 64}
"""The largest stack of `stack: auto`, if memory allows it: on a CPU, larger stacks are no faster."""
STACK_OVERHEAD = {"cpu": 1.0, "gpu": 15.0}
"""Fixed cost of a stack, in trajectories; a GPU trains a small stack no faster than a large one."""


@dataclass(frozen=True)
class Share:
    """What a trial gets."""

    cpus: float
    gpus: float
    slots: int
    """Trials that fit at the same time."""
    memory: float = math.inf
    """Bytes of a node's memory that a trial may take."""

    @property
    def threads(self) -> int:
        """CPU threads of a trial."""
        return max(1, int(self.cpus))

    @property
    def kind(self) -> str:
        """`gpu` or `cpu`."""
        return "gpu" if self.gpus else "cpu"


def plan(
    missing: Sequence[TrajectorySpec], done: Mapping[str, int], share: Share, stack: int | str, fits: int
) -> list[tuple[TrajectorySpec, ...]]:
    """Stacks of trajectories that can be trained side by side.

    They are in the order of the grid, except that of stacks with the same round 0 the first comes before all others'
    second, and so on: by the time the others begin, it may be there to be taken over.

    Args:
        missing: Trajectories to train.
        done: Rounds finished, by trajectory.
        share: What a trial gets.
        stack: Largest stack, or `auto` for the size that keeps all slots busy for the shortest time.
        fits: Largest stack that fits into a trial's memory.
    """
    groups: dict[tuple[Any, ...], list[TrajectorySpec]] = {}
    for spec in missing:
        groups.setdefault((*spec.stack_key, done[spec.trajectory_id]), []).append(spec)

    def cut(size: int) -> list[tuple[TrajectorySpec, ...]]:
        stacks = []
        for group in groups.values():
            parts = math.ceil(len(group) / size)
            edges = [len(group) * i // parts for i in range(parts + 1)]
            stacks += [tuple(group[low:high]) for low, high in itertools.pairwise(edges)]
        return stacks

    def duration(size: int) -> float:
        slots = [0.0] * share.slots
        for length in sorted((len(part) + STACK_OVERHEAD[share.kind] for part in cut(size)), reverse=True):
            heapq.heapreplace(slots, slots[0] + length)
        return max(slots)

    if isinstance(stack, int):
        size = max(1, min(stack, fits))
    else:
        largest = max(1, min(LARGEST_STACK[share.kind], fits, max(map(len, groups.values()), default=1)))
        size = min(range(1, largest + 1), key=duration)
    return _new_first_rounds_first(cut(size), done)


def _new_first_rounds_first(
    stacks: Sequence[tuple[TrajectorySpec, ...]], done: Mapping[str, int]
) -> list[tuple[TrajectorySpec, ...]]:
    before: Counter[str] = Counter()
    places = []
    for stack in stacks:
        keys = {first_round_key(spec) for spec in stack if not done[spec.trajectory_id]}
        places.append(max((before[key] for key in keys), default=0))
        before.update(keys)
    return [stack for _, stack in sorted(zip(places, stacks, strict=True), key=lambda placed: placed[0])]


def largest_stack(missing: Sequence[TrajectorySpec], share: Share, stack: int | str) -> int:
    """The largest stack that `plan` may make if memory suffices."""
    groups = Counter(spec.stack_key for spec in missing)
    return min(max(groups.values(), default=1), stack if isinstance(stack, int) else LARGEST_STACK[share.kind])


def largest_memory(missing: Sequence[TrajectorySpec]) -> TrajectorySpec:
    """The trajectory whose training takes the most memory."""
    return max(missing, key=lambda spec: memory_bound(spec, 1))


def fit_to_cluster(resources: ResourcesSpec, nodes: Sequence[Mapping[str, float]], notify: Notify) -> Share:
    """A trial's share, limited to what some node has, so that no trial waits for ever.

    Raises:
        InputError: no node has a CPU for trials.
    """
    if not any(node.get("CPU", 0.0) for node in nodes):
        raise InputError("no node of the Ray cluster has a CPU for trials: wait until its workers have joined")
    most_gpus = max(node.get("GPU", 0.0) for node in nodes)
    gpus = min(resources.gpus, most_gpus)
    if resources.gpus and not most_gpus:
        notify(Note("no GPU in reach of Ray: trials run on CPU"))
    elif gpus < resources.gpus:
        notify(Note(f"no node has {resources.gpus:g} GPUs: trials take {gpus:g}"))
    most_cpus = max(node.get("CPU", 0.0) for node in nodes if node.get("GPU", 0.0) >= gpus)
    cpus = min(resources.cpus, most_cpus)
    if cpus < resources.cpus:
        notify(Note(f"no node has {resources.cpus:g} CPUs{' beside its GPU' if gpus else ''}: trials take {cpus:g}"))
    slots = [_slots(node, cpus, gpus) for node in nodes]
    memory = min(
        (node.get("memory", math.inf) / n for node, n in zip(nodes, slots, strict=True) if n), default=math.inf
    )
    return Share(cpus, gpus, max(1, sum(slots)), memory)


def count_slots(share: Share, nodes: Sequence[Mapping[str, float]]) -> int:
    """Trials that fit on the nodes at the same time; at least 1, for which Ray waits where none fits."""
    return max(1, sum(_slots(node, share.cpus, share.gpus) for node in nodes))


def _slots(node: Mapping[str, float], cpus: float, gpus: float) -> int:
    return int(
        min(node.get("CPU", 0.0) / cpus if cpus else math.inf, node.get("GPU", 0.0) / gpus if gpus else math.inf)
    )
