"""What the commands share: arguments, exit statuses, the console, and how they report the user's mistakes."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.errors import CodeError, InputError, OneLineError, RunError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Folder = Annotated[str, typer.Argument(metavar="DIR", help="The results folder: a path or a URL (s3://bucket/run).")]
SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")]
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
        help="Overrides a key of the sweep file: iterations=2000, pgd.steps=20, grid.seed=[0,1]. A field given"
        " this way is no longer varied. May be repeated.",
    ),
]


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


def data_folder(data_dir: Path | None) -> Path:
    """Where the data sets are: `--data-dir`, or the user's cache folder."""
    from platformdirs import user_cache_path

    return data_dir or user_cache_path("lthray") / "data"


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
    variable = os.environ.get("RAY_ADDRESS")
    if address == "auto" and variable:  # as Ray reads it, also inside a Ray job
        address = variable
    if address in (None, "local"):
        return None
    option = "RAY_ADDRESS" if address == variable else "--address"
    with mistakes():
        if address.startswith("ray://"):
            raise InputError(
                f"{option} {address}: Ray Client is not supported; send the sweep with lthray submit --address"
                " http://HEAD:8265, or run lthray on a machine of the cluster with --address HOST:PORT"
            )
        if address != "auto" and not re.fullmatch(r"[^/\s]+:\d+", address):
            raise InputError(f"{option} {address}: allowed are auto, local, and HOST:PORT such as 10.0.0.5:6379")
    return address


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
