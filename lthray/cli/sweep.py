"""`lthray sweep`: trains a sweep's unfinished trajectories."""

from typing import Annotated

import typer

from lthray.cli.options import (
    FAILED,
    INTERRUPTED,
    AcceptChangedCode,
    Address,
    DataDir,
    Force,
    Settings,
    SweepFile,
    make_console,
    mistakes,
    print_sets,
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
    accept_changed_code: AcceptChangedCode = False,
    force: Force = False,
) -> None:
    """Train the sweep's unfinished trajectories.

    Run the same command again after an interruption or with a larger grid: no finished round is trained twice.

    Exit status: 0 all complete, 1 some failed, 2 bad input, 130 interrupted.
    """
    with mistakes():
        from lthray.api.preparing import prepare
        from lthray.cli.printing import outcome_page, plan_page

        prepared = prepare(
            sweep_file,
            out=out,
            sets=set_ or [],
            data_dir=data_dir,
            accept_changed_code=accept_changed_code,
            force=force,
        )
        store, folder = prepared.store, prepared.folder
        print_sets(set_ or [])
        if dry_run:
            from lthray.driver.opening import outdated_line

            specs = prepared.known()
            wide = make_console(width=200)
            wide.print(plan_page(prepared.sweep, specs, store.done(specs), folder))
            if line := outdated_line(store, prepared.sweep, prepared.trajectories):
                wide.print(line, highlight=False, soft_wrap=True)
            return
        from lthray.api.sweeping import train

        console = make_console()
        outcome = train(prepared, address, console)
        console.print(outcome_page(outcome, folder), soft_wrap=True)
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)
