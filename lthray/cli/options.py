"""What the commands share: arguments, exit statuses, and how mistakes are told."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.errors import InputError, OneLineError, RunError

FAILED, BAD_INPUT, INTERRUPTED = 1, 2, 130

Folder = Annotated[str, typer.Argument(metavar="DIR", help="A results folder, by path or URL (s3://bucket/run).")]
SweepFile = Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="The sweep file.")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        envvar="LTHRAY_DATA_DIR",
        help="Where data sets are, or are downloaded to. [dim]\\[default: the user's cache folder][/]",
    ),
]
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
def mistakes() -> Iterator[None]:
    """Users see one line for their own mistake, never a traceback."""
    console = Console(stderr=True)
    try:
        yield
    except OneLineError as error:
        console.print(f"lthray: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(FAILED if isinstance(error, RunError) else BAD_INPUT) from None
    except KeyboardInterrupt:
        console.print("lthray: interrupted")
        raise typer.Exit(INTERRUPTED) from None


def _cluster_address(address: str | None) -> str | None:
    """The cluster that `--address` or RAY_ADDRESS names, None for none; checked before anything is made or started."""
    variable = os.environ.get("RAY_ADDRESS")
    if address == "auto" and variable:  # so Ray has it, and so it is inside a Ray job
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
        " machine alone. [dim]\\[default: local][/]",
    ),
]
