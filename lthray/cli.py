"""The command line."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

import lthray
from lthray.benchcommand import bench
from lthray.errors import InputError
from lthray.evaluatecommand import evaluate
from lthray.options import FAILED, INTERRUPTED, Address, DataDir, Folder, Settings, SweepFile, mistakes
from lthray.submitcommand import submit

if TYPE_CHECKING:  # torch, Ray and pandas take seconds to import: each command imports what it needs
    pass

app = typer.Typer(
    name="lthray",
    help="Are sparse networks robust? Sweeps pruning trajectories under attack, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lthray {lthray.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
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
) -> None:
    """Train what is missing of a sweep's trajectories.

    Run it again after an interruption, or with a larger grid: what is finished is never trained twice.

    Exit status: 0 all complete, 1 some failed, 2 bad input, 130 interrupted.
    """
    console = Console()
    with mistakes():
        from lthray.sweepfile import load

        spec, trajectories = load(sweep_file, set_ or [])
        folder = out or str(Path("results") / spec.name)
        if dry_run:
            from lthray.pages import plan_page
            from lthray.samples import trajectories as known
            from lthray.store import Store

            store = Store(folder)
            found = known(spec, trajectories, store)
            wide = console if console.is_terminal else Console(width=200)
            wide.print(plan_page(spec, found, store.done(found), folder))
            return
        from platformdirs import user_cache_path

        from lthray import display
        from lthray import sweep as ray_sweep
        from lthray.pages import outcome_page

        with display.watch(console) as notify:
            outcome = ray_sweep.run(
                spec, trajectories, folder, data_dir or user_cache_path("lthray") / "data", address, notify
            )
        Console(soft_wrap=True).print(outcome_page(outcome, folder))
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")] = False,
) -> None:
    """Say how far a sweep is: what is done, what runs and how fast, what failed.

    Works while the sweep runs, from any machine that reaches its results.
    """
    console = Console()
    with mistakes():
        from lthray.pages import status_page
        from lthray.samples import trajectories as known
        from lthray.status import status
        from lthray.store import Store
        from lthray.sweepfile import load

        store = Store(folder)
        store.require()
        spec, trajectories = load(store.folder / "sweep.yaml")
        found = status(spec, known(spec, trajectories, store), store)
        if as_json:
            typer.echo(json.dumps(found.as_json(), indent=1))
        else:
            console.print(status_page(found))


app.command()(evaluate)


@app.command()
def compact(folder: Folder) -> None:
    """Put the tickets of each trajectory into a few files.

    A sweep does so itself when a trajectory ends; this is for folders of sweeps that did not.
    """
    console = Console()
    with mistakes():
        from rich.progress import track

        from lthray.progress import SweepProgress
        from lthray.running import announced
        from lthray.store import Store

        store = Store(folder)
        store.require()
        with announced(store.folder, SweepProgress().snapshot, lambda: None, console.print):
            found = store.with_tickets()
            done = [store.compact(one) for one in track(found, "compacting", console=console, transient=True)]
    console.print(f"compacted {sum(done)} of {len(done)} trajectories", highlight=False)


@app.command()
def report(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Results folders, by path or URL; several are compared.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to write the report. [dim]\\[default: DIR/report; report-A-B beside A for several;"
            " ./report-NAME for a URL][/]",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            help="Show a field that varies as colour, or row=FIELD, column=FIELD. May be given more than once.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(min=0, max=100, metavar="POINTS", help="The loss of accuracy, in points, that counts as none."),
    ] = 1.0,
) -> None:
    """Draw the results: `index.html` with a verdict on each of the poster's claims, its figures and its tables."""
    with mistakes():
        from analysis import LayoutError, NotResultsError, load, write_report
        from lthray.storage import is_local, location

        where = [location(folder) for folder in folders]
        name = "-".join(["report", *(folder.resolve().name for folder in where)])
        beside = Path(folders[0]) if is_local(where[0]) else None
        if beside and len(where) == 1:
            target = out or beside / "report"
        else:
            target = out or (beside.resolve().parent if beside else Path()) / name
        try:
            page = write_report(load(*where), target, margin=margin / 100, by=by or [], processes=os.cpu_count() or 1)
        except (NotResultsError, LayoutError) as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{target}: can't be written: {error.strerror or error}") from None
    Console().print(f"report: {page}", highlight=False, soft_wrap=True)


@app.command()
def protocol(
    first: Annotated[str, typer.Argument(metavar="A", help="A preset: paper or released-code.")] = "paper",
    second: Annotated[str | None, typer.Argument(metavar="B", help="Another, to compare it with.")] = None,
) -> None:
    """Print a preset with every field, or what two presets do differently."""
    console = Console()
    with mistakes():
        from lthray.presets import PRESETS, describe, preset

        chosen = [first] if second is None else [first, second]
        for name in chosen:
            if name not in PRESETS:
                raise InputError(f"{name}: no such protocol; there are {' and '.join(PRESETS)}")
        presets = [preset(name) for name in chosen]
        table = Table("field", *chosen, "", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for name, meaning in describe().items():
            values = [str(fields[name]).lower() for fields in presets]
            if name != "protocol" and (second is None or len(set(values)) > 1):
                table.add_row(name, *values, meaning.partition("\n")[0])
        console.print(table)


app.command()(submit)
app.command()(bench)


def main() -> None:
    """Runs the command line."""
    app()
