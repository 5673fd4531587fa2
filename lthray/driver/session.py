"""What any work on Ray needs first: data sets, a connection to Ray, and a trial's share of its machines."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lthray.driver import own
from lthray.driver.cluster import check_shared, nodes
from lthray.driver.connection import connected
from lthray.driver.datasets import start_reading
from lthray.driver.events import Note, Notify
from lthray.driver.planning import Share, fit_to_cluster
from lthray.engine.arrays import Arrays
from lthray.spec.sections import ResourcesSpec
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store


@dataclass(frozen=True)
class Session:
    """A connection to Ray, ready for trials."""

    store: Store
    """Results folder."""
    resources: ResourcesSpec
    """What a trial asks of Ray."""
    data: dict[str, Arrays]
    """Data sets by name."""
    share: Share
    """What a trial gets."""
    notify: Notify
    """Takes the trials' events."""


@contextmanager
def connect(
    store: Store,
    sweep: SweepSpec,
    specs: Iterable[TrajectorySpec],
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Iterator[Session]:
    """Connects to Ray for as long as the block lasts, and reads the data sets while Ray starts.

    Args:
        store: Results folder.
        sweep: The sweep, for what a trial asks of Ray and for the folder of the user's own data.
        specs: The trajectories.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None to start Ray on this machine alone.
        notify: Takes messages for the user.

    Raises:
        InputError: a data set can't be read, Ray can't be reached, or not every node reaches the results folder.
        ModuleNotFoundError: PyTorch is not installed here.
    """
    if find_spec("torch") is None:  # Only workers import it, but every trial would fail.
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    packages = own.fetch(store, sweep.own)
    data = start_reading(specs, Path(sweep.own.folder), data_dir, lambda text: notify(Note(text)))
    notify(Note(f"connecting to Ray at {address}" if address else "starting Ray"))
    with connected(address, packages):
        if address:
            check_shared(store)
        share = fit_to_cluster(sweep.resources, nodes(), notify)
        yield Session(store, sweep.resources, data.result(), share, notify)
