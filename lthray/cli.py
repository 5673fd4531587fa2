"""The command line."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

import lthray
from lthray.errors import InputError

if TYPE_CHECKING:  # torch, Ray and pandas take seconds to import: each command imports what it needs
    from lthray.jobs import Job

app = typer.Typer(
    name="lthray",
    help="Are sparse networks robust? Sweeps pruning trajectories under attack, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Folder = Annotated[str, typer.Argument(metavar="DIR", help="A results folder, by path or URL (s3://bucket/run).")]
SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change the sweep file: iterations=2000, pgd.steps=20, grid.seed=[0,1]. A field fixed this way"
        " leaves the grid. May be given more than once.",
    ),
]


@contextmanager
def _mistakes() -> Iterator[None]:
    """Users see one line for their own mistake, never a traceback."""
    console = Console(stderr=True)
    try:
        yield
    except InputError as error:
        console.print(f"lthray: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(BAD_INPUT) from None
    except KeyboardInterrupt:
        console.print("lthray: interrupted")
        raise typer.Exit(INTERRUPTED) from None


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
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="LTHRAY_DATA_DIR",
            help="Where data sets are, or are downloaded to. [dim]\\[default: the user's cache folder][/]",
        ),
    ] = None,
    set_: Settings = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR",
            help="A running Ray cluster: auto, HOST:PORT or ray://HOST:PORT. [dim]\\[default: this machine alone][/]",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the trajectories and what they cost; train nothing.")
    ] = False,
) -> None:
    """Train what is missing of a sweep's trajectories.

    Run it again after an interruption, or with a larger grid: what is finished is never trained twice.

    Exit status: 0 all complete, 1 some failed, 2 bad input, 130 interrupted.
    """
    console = Console()
    with _mistakes():
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
def submit(
    sweep_file: SweepFile,
    address: Annotated[
        str, typer.Option(metavar="URL", help="The cluster's dashboard, http://HEAD:8265.", show_default=False)
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Results folder as the cluster sees it, or a URL. [dim]\\[default: ~/results/NAME on the head][/]",
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Where the head has its data sets. [dim]\\[default: a cache folder][/]"),
    ] = None,
    set_: Settings = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="An environment variable for the job; NAME alone takes it from here. May be given more than once.",
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Let the job install what lthray needs, where nodes have only Ray.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Show the job's log until it ends.")] = True,
) -> None:
    """Send a sweep to a Ray cluster as a job, with this lthray's own code, and follow its log.

    Ctrl-C asks whether to stop the job; left alone, it goes on.

    Exit status: that of the sweep, see `lthray sweep`; 130 if the job was stopped or is no longer followed.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False)
    with _mistakes():
        from lthray.sweepfile import load

        spec, _ = load(sweep_file, set_ or [])
        from lthray import jobs

        folder = out or f"~/results/{spec.name}"
        command = jobs.entrypoint(folder, data_dir, set_ or [])
        variables, pip = jobs.variables(env or []), jobs.requirements(folder) if install else []
        client = jobs.connect(address)
        job = jobs.submit(client, sweep_file, command, variables, pip)
        console.print(
            f"job {job.id}; results go to {folder}{'' if '://' in folder else ', which all nodes must share'}\n"
            f"follow it with  ray job logs --follow --address {address} {job.id}\n"
            f"stop it with    ray job stop --address {address} {job.id}"
        )
        if follow:
            raise typer.Exit(_follow(console, job))


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, for programs.")] = False,
) -> None:
    """Say how far a sweep is: what is done, what runs and how fast, what failed.

    Works while the sweep runs, from any machine that reaches its results.
    """
    console = Console()
    with _mistakes():
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


@app.command()
def compact(folder: Folder) -> None:
    """Put the tickets of each trajectory into a few files.

    A sweep does so itself when a trajectory ends; this is for folders of sweeps that did not.
    """
    console = Console()
    with _mistakes():
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
    with _mistakes():
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
    with _mistakes():
        from lthray.spec import PRESETS, describe, preset

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


def _follow(console: Console, job: "Job") -> int:
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

    def log(text: str) -> None:
        typer.echo(text, nl=False)

    def note(text: str) -> None:
        errors.print(f"lthray: {text}")

    try:
        try:
            ending = job.follow(log, note)
        except KeyboardInterrupt:
            if not (sys.stdin.isatty() and typer.confirm("\nStop the job? If not, it goes on", err=True)):
                raise
            job.stop()
            ending = job.follow(log, note)
    except (KeyboardInterrupt, typer.Abort):
        note("the job goes on; how to follow and stop it stands above")
        return INTERRUPTED
    except ConnectionError as error:
        note(f"no connection to the cluster ({error}); the job goes on if the cluster does")
        return INTERRUPTED
    if ending.status == "STOPPED":
        note("the job was stopped; submit it again for the rest")
        return INTERRUPTED
    if ending.exit_status in (0, FAILED, BAD_INPUT, INTERRUPTED):
        return ending.exit_status
    note(f"the job {ending.status.lower()}: {ending.message}")
    return FAILED


def main() -> None:
    """Runs the command line."""
    app()
