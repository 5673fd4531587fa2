"""The Ray cluster: one of this machine's own or a running one, what its nodes have, and what they can reach."""

import lthray.ray_env  # noqa: F401 - sets what Ray reads when it is imported

# isort: split
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator

import ray

from lthray.engine.data import Arrays
from lthray.errors import InputError, last_line
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep.planning import Share
from lthray.worker.memory import Footprint, measure


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[None]:
    """A connection to Ray, closed in the end; SIGTERM is as gentle as Ctrl-C meanwhile."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        _knock(address)
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **({} if address else {"include_dashboard": False}),
        )
    except (OSError, ValueError, RuntimeError) as error:
        where = f"--address {address}: no Ray cluster can be reached" if address else "Ray can't be started"
        raise InputError(f"{where}: {(str(error).strip() or type(error).__name__).splitlines()[0]}") from None
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Fails at once where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def check_shared(store: Store) -> None:
    """Checks that every node of the cluster reaches the results folder.

    Raises:
        InputError: one does not: its results would be lost; or lthray can't run there.
    """
    look = ray.remote(num_cpus=0)(lambda: Store(store.folder).holds_sweep())
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    try:
        seen = ray.get([look.options(scheduling_strategy=here(node["NodeID"], soft=False)).remote() for node in nodes])
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


def footprint(spec: TrajectorySpec, arrays: Arrays, share: Share) -> Footprint:
    """Measures, in a process of its own somewhere on the cluster, what a trial of such trajectories takes.

    Raises:
        InputError: not even one trajectory can be trained.
    """
    probe = ray.remote(num_cpus=share.cpus, num_gpus=share.gpus, max_calls=1, max_retries=0)(measure)
    try:
        found: Footprint = ray.get(probe.remote(spec.model_dump(), arrays, share.gpus, share.memory))
    except ray.exceptions.RayError as error:
        raise InputError(f"a first iteration can't be trained on the cluster: {last_line(error)}") from None
    return found
