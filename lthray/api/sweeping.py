"""Sweeps from Python."""

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from lthray.api import live
from lthray.api.preparing import Prepared, Settings, prepare, resolve_address
from lthray.driver.opening import migrate
from lthray.errors import RunError
from lthray.spec.ways import describe_training

if TYPE_CHECKING:  # pandas and Ray take a second to import, which the command line's own pages do without
    import pandas as pd

    from lthray.api.results import Results
    from lthray.driver.run import Outcome


def sweep(
    sweep: str | os.PathLike[str] | Mapping[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    set: Settings = (),
    data_dir: str | os.PathLike[str] | None = None,
    address: str | None = None,
    accept_changed_code: bool = False,
    force: bool = False,
    progress: bool = True,
) -> "Results":
    """Trains a sweep's unfinished trajectories, as `lthray sweep` does, and returns its results.

    Called again after an interruption or with a larger grid, it trains no finished round twice. Trajectories that fail
    are in `Results.failures`; they stop no other.

    Args:
        sweep: The sweep file, the name of a shipped sweep such as `quickstart`, or what such a file holds. References
            and data files that a mapping names are looked up in the working folder.
        out: Results folder, by path or URL; by default `results/` and the sweep's name.
        set: Overrides keys of the sweep: `{"iterations": 2000, "grid.seed": [0, 1]}`.
        data_dir: Where data sets are, or are downloaded to; by default LTHRAY_DATA_DIR or the user's cache folder.
        address: A running Ray cluster as HOST:PORT, or `auto` for the Ray that runs in this process or on this machine.
            By default the sweep starts a Ray of its own on this machine, beside any other.
        accept_changed_code: Go on although the user's own files changed since rounds were trained.
        force: Write into the folder even if it holds another sweep.
        progress: Whether to print how far it is.

    Raises:
        InputError: the sweep, the folder, a data set or the address is wrong; the line says which and what is allowed.
        RunError: no trajectory finished a round, or Ray died again and again.
        KeyboardInterrupt: it was interrupted; finished rounds are kept.
    """
    prepared = prepare(
        sweep, out=out, sets=set, data_dir=data_dir, accept_changed_code=accept_changed_code, force=force
    )
    console = Console(markup=False, highlight=False, quiet=not progress)
    outcome = train(prepared, resolve_address(address), console)
    if outcome.missing:
        raise KeyboardInterrupt(f"{outcome.missing} trajectories are left to train in {prepared.folder}")
    if outcome.failures and not any(prepared.store.done(prepared.known()).values()):
        failure = next(iter(outcome.failures.values()))
        raise RunError(f"no trajectory finished a round; trajectory {failure.spec.trajectory_id}: {failure.reason}")
    from lthray.api.results import open

    return open(prepared.folder)


def train(prepared: Prepared, address: str | None, console: Console) -> "Outcome":
    """Trains a sweep's unfinished trajectories, and shows on a console how far they are."""
    from lthray.driver.run import run

    say = partial(console.print, highlight=False, soft_wrap=True)
    migrate(prepared.store, prepared.sweep, prepared.trajectories, say)
    with live.watch(console) as notify:
        return run(prepared.sweep, prepared.trajectories, prepared.folder, prepared.data_dir, address, notify)


def plan(
    sweep: str | os.PathLike[str] | Mapping[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    set: Settings = (),
    data_dir: str | os.PathLike[str] | None = None,
) -> "pd.DataFrame":
    """What a sweep would train, as `lthray sweep --dry-run` says it; nothing is trained or written.

    Args:
        sweep: See `sweep`, as for the other arguments.
        out: Results folder.
        set: Overrides keys of the sweep.
        data_dir: Where data sets are.

    Returns:
        One row per trajectory: `trajectory_id`, `rounds_done`, `rounds_left`, `iterations_left`, `way` (how it is
        trained on a CPU, in words), and all its fields by dotted name, as the tables have them.

    Raises:
        InputError: see `sweep`.
    """
    import pandas as pd

    prepared = prepare(sweep, out=out, sets=set, data_dir=data_dir, accept_changed_code=True)
    specs = prepared.known()
    done = prepared.store.done(specs)
    return pd.DataFrame(
        {
            "trajectory_id": spec.trajectory_id,
            "rounds_done": done[spec.trajectory_id],
            "rounds_left": spec.rounds + 1 - done[spec.trajectory_id],
            "iterations_left": spec.iterations_from(done[spec.trajectory_id]),
            "way": describe_training(spec),
            **spec.flat(),
        }
        for spec in specs
    )
