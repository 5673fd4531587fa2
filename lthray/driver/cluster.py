"""The nodes of a Ray cluster: what they have, and what they reach."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray

from lthray.driver.events import Note, Notify
from lthray.driver.planning import Share, count_slots
from lthray.engine.arrays import Arrays
from lthray.errors import InputError, last_line
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.memory import Footprint

COUNT_SECONDS = 2.0
"""Time between two looks at what the cluster has."""
NOTE_SECONDS = 30.0
"""Time between two notes that no node is left."""


def check_shared(store: Store) -> None:
    """Checks that every node of the cluster reaches the results folder.

    Raises:
        InputError: a node does not reach it, so that its results would be lost, or lthray can't run on a node.
    """
    look = ray.remote(num_cpus=0)(lambda: Store(store.folder).holds_sweep())
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    try:
        looks = [
            look.options(name="lthray-check-folder", scheduling_strategy=here(node["NodeID"], soft=False)).remote()
            for node in nodes
        ]
        seen = ray.get(looks)
    except ray.exceptions.RayError as error:
        raise InputError(
            f"lthray can't run on every node of the cluster ({last_line(error)}); install it on all of them, or send"
            " the sweep with lthray submit"
        ) from None
    for node, sees in zip(nodes, seen, strict=True):
        if not sees:
            raise InputError(
                f"{store.folder}: node {node['NodeManagerAddress']} of the cluster does not see this folder;"
                " --out must be a folder that all nodes share, or a URL such as s3://bucket/run"
            )


def nodes() -> list[dict[str, float]]:
    """What each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


class Slots:
    """Counts the trials that fit on the cluster at the same time, anew every few seconds.

    Args:
        share: What a trial gets.
    """

    def __init__(self, share: Share) -> None:
        self.share, self.counted, self.when = share, share.slots, time.monotonic()

    def __call__(self) -> int:
        """The count."""
        if time.monotonic() - self.when > COUNT_SECONDS:
            self.counted, self.when = count_slots(self.share, nodes()), time.monotonic()
        return self.counted


@contextmanager
def note_lost_nodes(share: Share, notify: Notify) -> Iterator[None]:
    """Announces, while the block lasts, that trials wait because no node is left with a trial's share."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(NOTE_SECONDS) and ray.is_initialized():
            if not any(node.get("CPU", 0) >= share.cpus and node.get("GPU", 0) >= share.gpus for node in nodes()):
                gpus = f" and {share.gpus:g} GPUs" if share.gpus else ""
                notify(Note(f"no node with {share.cpus:g} CPUs{gpus} is left in the cluster: waiting until one joins"))

    thread = threading.Thread(target=watch, daemon=True, name="nodes")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def footprint(spec: TrajectorySpec, arrays: Arrays, share: Share) -> Footprint:
    """Measures the memory of a trial of such trajectories, in a process of its own on the cluster.

    Raises:
        InputError: not even one trajectory can be trained.
    """
    probe = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_calls=1, max_retries=0)(_measure)
    try:
        measured: Footprint = ray.get(
            probe.options(name="lthray-measure-memory").remote(spec, arrays, share.gpus, share.memory)
        )
    except ray.exceptions.RayError as error:
        raise InputError(f"a first iteration can't be trained on the cluster: {last_line(error)}") from None
    return measured


def _measure(*arguments: Any) -> Footprint:
    from lthray.worker.probe import measure  # it imports torch, which takes seconds and the driver does without

    return measure(*arguments)
