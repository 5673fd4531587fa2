"""What the commands share: arguments, exit statuses, and how mistakes are told."""

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
    """Checks `--address` before anything is read, made or started."""
    with mistakes():
        if address and address.startswith("ray://"):
            raise InputError(
                f"--address {address}: Ray Client is not supported; send the sweep with lthray submit --address"
                " http://HEAD:8265, or run lthray on a machine of the cluster with --address HOST:PORT"
            )
        if address and address != "auto" and not re.fullmatch(r"[^/\s]+:\d+", address):
            raise InputError(f"--address {address}: found neither auto nor HOST:PORT, such as 10.0.0.5:6379")
    return address


Address = Annotated[
    str | None,
    typer.Option(
        metavar="ADDR",
        callback=_cluster_address,
        help="A running Ray cluster: auto or HOST:PORT. [dim]\\[default: this machine alone][/]",
    ),
]
