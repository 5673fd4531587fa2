"""`lthray sweep`: trains what is missing of a sweep."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.cli.options import FAILED, INTERRUPTED, Address, DataDir, Settings, SweepFile, mistakes


def sweep(
    sweep_file: SweepFile,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="Results folder, by path or URL (s3://bucket/run). [dim]\\[default: results/NAME][/]"
        ),
    ] = None,
    data_dir: DataDir = None,
    set_: Settings = None,
    address: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the trajectories and what they cost; train nothing.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write into the folder even if it holds another sweep.")
    ] = False,
) -> None:
    """Train what is missing of a sweep's trajectories.

    Run it again after an interruption, or with a larger grid: what is finished is never trained twice.

    Exit status: 0 all complete, 1 some failed, 2 bad input, 130 interrupted.
    """
    console = Console()
    with mistakes():
        from lthray.spec.sweepfile import load
        from lthray.store.folder import Store
        from lthray.sweep.opening import check_owner, migrate, outdated_line

        spec, trajectories = load(sweep_file, set_ or [])
        folder = out or str(Path("results") / spec.name)
        store = Store(folder)
        if not force:
            check_owner(store, spec, trajectories)
        if dry_run:
            from lthray.cli.printing import plan_page
            from lthray.sweep.samples import trajectories as known

            found = known(spec, trajectories, store)
            wide = console if console.is_terminal else Console(width=200)
            wide.print(plan_page(spec, found, store.done(found), folder))
            if line := outdated_line(store, spec, trajectories):
                wide.print(line, highlight=False, soft_wrap=True)
            return
        migrate(store, spec, trajectories, partial(console.print, highlight=False, soft_wrap=True))
        from platformdirs import user_cache_path

        from lthray.cli import live
        from lthray.cli.printing import outcome_page
        from lthray.sweep import run as ray_sweep

        with live.watch(console) as notify:
            outcome = ray_sweep.run(
                spec, trajectories, folder, data_dir or user_cache_path("lthray") / "data", address, notify
            )
        Console(soft_wrap=True).print(outcome_page(outcome, folder))
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)
