"""What the commands share: arguments, exit statuses, the console, and how they report the user's mistakes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.cli.completion import complete_set, complete_sweep_file
from lthray.errors import CodeError, OneLineError, RunError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The results folder: a path or a URL (s3://bucket/run).")]
SweepFile = Annotated[
    Path,
    typer.Argument(
        metavar="SWEEP.yaml",
        help="The sweep file, or the name of a shipped sweep (lthray sweeps lists them).",
        autocompletion=complete_sweep_file,
    ),
]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar="LTHRAY_DATA_DIR",
        help="Folder of the data sets; a missing one is downloaded into it.",
        show_default="the user's cache folder",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        autocompletion=complete_set,
        help="Overrides a key of the sweep file: iterations=2000, epsilon=8/255, pgd.steps=20. A field given this way"
        " is no longer varied. Several values vary it: seed=0,1 is grid.seed=[0,1]. May be repeated.",
    ),
]

AcceptChangedCode = Annotated[
    bool,
    typer.Option("--accept-changed-code", help="Go on although your own files changed since rounds were trained."),
]
Force = Annotated[bool, typer.Option("--force", help="Write into the folder even if it holds another sweep.")]


def make_console(width: int | None = None) -> Console:
    """The console for a command's results, which are printed unchanged: no markup is read, nothing is coloured.

    Args:
        width: Columns, for tables that must not be cut even without a terminal; by default, rich's choice.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    return (
        console
        if console.is_terminal or not width
        else Console(width=width, markup=False, highlight=False, emoji=False)
    )


def print_sets(sets: Sequence[str]) -> None:
    """Prints how each `--set` was understood that was not written in the plain way."""
    from lthray.spec.assignments import describe_sets

    for line in describe_sets(sets):
        make_console().print(line, soft_wrap=True)


@contextmanager
def mistakes() -> Iterator[None]:
    """Reports a mistake of the user's in one line, without a traceback, and ends the command."""
    console = Console(stderr=True, emoji=False)
    try:
        yield
    except OneLineError as error:
        if isinstance(error, CodeError):
            console.print(error.traceback, markup=False, highlight=False, soft_wrap=True)
        console.print(f"lthray: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED if isinstance(error, RunError) else BAD_INPUT) from None
    except KeyboardInterrupt:
        console.print("lthray: interrupted")
        raise typer.Exit(INTERRUPTED) from None


def _cluster_address(address: str | None) -> str | None:
    """The cluster that `--address` or RAY_ADDRESS names, None for none; checked before anything is made or started."""
    with mistakes():
        from lthray.api.preparing import resolve_address

        return resolve_address(address, "--address")


Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        envvar="RAY_ADDRESS",
        callback=_cluster_address,
        help="A running Ray cluster: HOST:PORT, or auto for the one that this machine is a node of; local is this"
        " machine alone.",
        show_default="local",
    ),
]
