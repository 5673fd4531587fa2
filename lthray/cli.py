"""The command line."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

import lthray
from lthray.errors import InputError

if TYPE_CHECKING:  # torch, Ray and pandas take seconds to import: each command imports what it needs
    from lthray.spec import TrajectorySpec
    from lthray.store import Store
    from lthray.sweep import Outcome

app = typer.Typer(
    name="lthray",
    help="Are sparse networks robust? Sweeps pruning trajectories under attack, on a laptop or a Ray cluster.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder, as `lthray sweep` made it.")]


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
    sweep_file: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder. [dim]\\[default: results/NAME][/]")
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar="LTHRAY_DATA_DIR",
            help="Where data sets are, or are downloaded to. [dim]\\[default: the user's cache folder][/]",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change the sweep file: iterations=2000, pgd.steps=20, grid.seed=[0,1]. A field fixed this way"
            " leaves the grid. May be given more than once.",
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDR", help="A running Ray cluster, auto or HOST:PORT. [dim]\\[default: this machine alone][/]"
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
        folder = out or Path("results") / spec.name
        if dry_run:
            _print_plan(console, trajectories, list(spec.grid), folder)
            return
        from platformdirs import user_cache_path

        from lthray import display
        from lthray import sweep as ray_sweep

        with display.watch(console) as notify:
            outcome = ray_sweep.run(
                spec, trajectories, folder, data_dir or user_cache_path("lthray") / "data", address, notify
            )
    raise typer.Exit(_print_outcome(console, outcome, len(trajectories), folder))


@app.command()
def status(folder: Folder) -> None:
    """Say how far a sweep is: what is done, what is missing, what failed."""
    console = Console()
    with _mistakes():
        from lthray.store import Store
        from lthray.sweepfile import load

        store = Store(folder)
        store.require()
        spec, trajectories = load(folder / "sweep.yaml")
        _print_status(console, trajectories, list(spec.grid), store)


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Results folders; several are compared.")],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to write the report. [dim]\\[default: DIR/report; report-A-B beside A for several][/]",
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

        first, *others = (folder.resolve() for folder in folders)
        together = "-".join(["report", first.name, *(folder.name for folder in others)])
        target = out or (first.parent / together if others else folders[0] / "report")
        try:
            page = write_report(load(*folders), target, margin=margin / 100, by=by or [], processes=os.cpu_count() or 1)
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


@app.command()
def bench(
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of torch, and of lthray.")] = 1,
    repeats: Annotated[int, typer.Option(min=2, metavar="N", help="How often everything takes its turn.")] = 15,
    peers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The loops to compare with. [dim]\\[default: benchmarks/peers.py of the checkout lthray runs from,"
            " else none][/]",
        ),
    ] = None,
    trajectory: Annotated[
        bool,
        typer.Option("--trajectory", help="Each of the paper's 21 rounds, summed up to whole trajectories."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write what was measured, too.")
    ] = None,
) -> None:
    """Measure how fast this processor trains and evaluates, beside other loops and beside its matrix products alone."""
    console = Console()
    with _mistakes():
        if json_file and not json_file.parent.is_dir():
            raise InputError(f"{json_file}: there is no folder {json_file.parent}")
        from lthray.benchtable import run

        found, shown = run(threads, repeats, peers, trajectory, console.print)
        wide = console if console.is_terminal else Console(width=250)
        for one in shown:
            wide.print(one, highlight=False)
        if json_file:
            try:
                json_file.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            except OSError as error:
                raise InputError(f"{json_file}: can't be written: {error.strerror or error}") from None


def _print_plan(console: Console, trajectories: "Sequence[TrajectorySpec]", varied: list[str], folder: Path) -> None:
    from lthray.store import Store

    store = Store(folder)
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("trajectory", *varied, "rounds done"):
        table.add_column(name, no_wrap=True)
    trainings = iterations = complete = 0
    for spec in trajectories:
        done = min(store.rounds_done(spec.trajectory_id), spec.rounds + 1)
        fields = spec.flat()
        table.add_row(spec.trajectory_id, *(str(fields[name]) for name in varied), f"{done} of {spec.rounds + 1}")
        trainings += spec.rounds + 1 - done
        iterations += (spec.rounds + 1 - done) * spec.iterations
        complete += done == spec.rounds + 1
    wide = console if console.is_terminal else Console(width=200)
    wide.print(table)
    console.print(
        f"{len(trajectories)} trajectories, {complete} of them complete in {folder};"
        f" to do: {trainings:,} trainings of {iterations:,} iterations in all",
        highlight=False,
        soft_wrap=True,
    )


def _print_outcome(console: Console, outcome: "Outcome", trajectories: int, folder: Path) -> int:
    if outcome.failures:
        table = Table(
            "trajectory", "round", "error", title="failed", title_justify="left", box=None, header_style="dim"
        )
        for trajectory_id, failure in outcome.failures.items():
            table.add_row(trajectory_id, str(failure.round), failure.reason)
        console.print(table)
    trained = f"trained {outcome.trained:,} rounds" if outcome.trained else "nothing to train"
    console.print(
        f"{trained}; {outcome.complete} of {trajectories} trajectories complete in {folder}",
        highlight=False,
        soft_wrap=True,
    )
    if outcome.missing:
        console.print("interrupted: run the same command again for the rest", highlight=False)
        return INTERRUPTED
    if outcome.failures:
        return FAILED
    console.print(f"next: lthray report {folder}", highlight=False, soft_wrap=True)
    return 0


def _print_status(
    console: Console, trajectories: "Sequence[TrajectorySpec]", varied: list[str], store: "Store"
) -> None:
    failures = store.failures()
    shown = [name for name in varied if name != "seed"]
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in shown:
        table.add_column(name, no_wrap=True)
    for name in ("trajectories", "complete", "failed", "rounds done"):
        table.add_column(name, justify="right", no_wrap=True)
    rows: dict[tuple[str, ...], list[tuple[int, int, bool]]] = {}
    for spec in trajectories:
        fields, done = spec.flat(), min(store.rounds_done(spec.trajectory_id), spec.rounds + 1)
        key = tuple(str(fields[name]) for name in shown)
        rows.setdefault(key, []).append((done, spec.rounds + 1, spec.trajectory_id in failures))
    for key, group in rows.items():
        table.add_row(*key, *_tally(group))
    every = [one for group in rows.values() for one in group]
    if shown:
        table.add_section()
        table.add_row(*("all" if i == 0 else "" for i in range(len(shown))), *_tally(every), style="bold")
    console.print(table)
    for trajectory_id, failure in failures.items():
        console.print(
            f"failed: {trajectory_id} in round {failure['round']}: {failure['error']}", style="red", highlight=False
        )


def _tally(group: "Sequence[tuple[int, int, bool]]") -> tuple[str, ...]:
    complete = sum(done == wanted for done, wanted, _ in group)
    rounds, of = sum(done for done, _, _ in group), sum(wanted for _, wanted, _ in group)
    return str(len(group)), str(complete), str(sum(failed for _, _, failed in group)), f"{rounds:,} of {of:,}"


def main() -> None:
    """Runs the command line."""
    app()
