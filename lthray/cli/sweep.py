"""`lthray sweep`: trains a sweep's unfinished trajectories."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lthray.cli.options import (
    FAILED,
    INTERRUPTED,
    Address,
    DataDir,
    Settings,
    SweepFile,
    data_folder,
    make_console,
    mistakes,
)


def sweep(
    sweep_file: SweepFile,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Results folder: a path or a URL (s3://bucket/run).", show_default="results/NAME"
        ),
    ] = None,
    data_dir: DataDir = None,
    set_: Settings = None,
    address: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the trajectories and what is still to train; train nothing.")
    ] = False,
    accept_changed_code: Annotated[
        bool,
        typer.Option("--accept-changed-code", help="Go on although your own files changed since rounds were trained."),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into the folder even if it holds another sweep.")
    ] = False,
) -> None:
    """Train the sweep's unfinished trajectories.

    Run the same command again after an interruption or with a larger grid: no finished round is trained twice.

    Exit status: 0 all complete, 1 some failed, 2 bad input, 130 interrupted.
    """
    with mistakes():
        from lthray.driver.opening import check_owner, migrate, outdated_line
        from lthray.driver.own import check_code, look_up
        from lthray.spec.sweepfile import load
        from lthray.store.folder import Store

        data = data_folder(data_dir)
        spec, trajectories = load(sweep_file, set_ or [], partial(look_up, data_dir=data))
        folder = out or str(Path("results") / spec.name)
        store = Store(folder)
        if not force:
            check_owner(store, spec, trajectories)
        if not accept_changed_code:
            check_code(store, trajectories)
        if dry_run:
            from lthray.cli.printing import plan_page
            from lthray.driver.samples import trajectories as known

            specs = known(spec, trajectories, store)
            wide = make_console(width=200)
            wide.print(plan_page(spec, specs, store.done(specs), folder))
            if line := outdated_line(store, spec, trajectories):
                wide.print(line, highlight=False, soft_wrap=True)
            return
        console = make_console()
        migrate(store, spec, trajectories, partial(console.print, highlight=False, soft_wrap=True))
        from lthray.cli import live
        from lthray.cli.printing import outcome_page
        from lthray.driver import run as ray_sweep

        with live.watch(console) as notify:
            outcome = ray_sweep.run(spec, trajectories, folder, data, address, notify)
        console.print(outcome_page(outcome, folder), soft_wrap=True)
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)
