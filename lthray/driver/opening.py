"""Opens a results folder: refuses another sweep's, and migrates the results of an older lthray."""

from collections.abc import Callable, Sequence

from lthray.driver import samples
from lthray.driver.lock import hold
from lthray.driver.progress import SweepProgress
from lthray.errors import InputError
from lthray.files import read
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.yaml_text import read_yaml
from lthray.store import migration
from lthray.store.folder import SWEEP, Store


def check_owner(store: Store, sweep: SweepSpec, trajectories: Sequence[TrajectorySpec]) -> None:
    """Checks that a folder is new or this sweep's: it has the sweep's name, or one of its trajectories.

    Args:
        store: The results folder, which may not be there.
        sweep: The sweep to run.
        trajectories: Its trajectories as its file says them.

    Raises:
        InputError: it is another sweep's.
    """
    path = store.folder / SWEEP
    if not store.holds_sweep():
        return
    tree = read_yaml(read(path).decode(), str(path))
    owner = tree.get("name") if isinstance(tree, dict) else None
    if owner == sweep.name:
        return
    if {spec.trajectory_id for spec in trajectories}.isdisjoint(spec.trajectory_id for spec in load(path)[1]):
        raise InputError(
            f"{store.folder}: holds the sweep {owner}, which has no trajectory in common with {sweep.name}: name"
            " another folder with --out, or write into this one with --force"
        )


def migrate(store: Store, sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], say: Callable[[str], None]) -> bool:
    """Migrates outdated results, and says how many there were; writes nothing where there are none.

    Args:
        store: The results folder, which may not be there.
        sweep: The sweep whose results are expected there.
        trajectories: Its trajectories as its file says them.
        say: Takes a line that says what was done.

    Returns:
        Whether anything had to be migrated.

    Raises:
        InputError: a file is damaged or can't be written, or a sweep is writing into the folder.
    """
    expected = _expected(store, sweep, trajectories)
    if not migration.find_outdated(store, expected):
        return False
    with hold(store.folder, SweepProgress().snapshot, lambda: None, say):
        store.clear_parts()
        outdated = migration.find_outdated(store, expected)
        try:
            migration.migrate(store, outdated)
        except OSError as error:
            raise InputError(f"{store.folder}: can't be migrated: {error.strerror or error}") from None
    say(f"migrated {outdated} of {store.folder} to the ids of this version of lthray")
    return True


def outdated_line(store: Store, sweep: SweepSpec, trajectories: Sequence[TrajectorySpec]) -> str | None:
    """A warning for commands that only read a folder which has outdated results; None where it has none."""
    outdated = migration.find_outdated(store, _expected(store, sweep, trajectories))
    return f"not counted: {outdated} of an older lthray; run lthray migrate {store.folder}" if outdated else None


def _expected(store: Store, sweep: SweepSpec, trajectories: Sequence[TrajectorySpec]) -> set[str]:
    drawn = [spec for sample in samples.drawn(sweep, store) for spec in sweep.stack_of(sample)]
    return {spec.trajectory_id for spec in (*trajectories, *drawn)}
