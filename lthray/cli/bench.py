"""`lthray bench`."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.cli.options import mistakes
from lthray.errors import InputError


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
    with mistakes():
        if json_file and not json_file.parent.is_dir():
            raise InputError(f"{json_file}: there is no folder {json_file.parent}")
        from lthray.bench.run import run

        results, shown = run(threads, repeats, peers, trajectory, console.print)
        wide = console if console.is_terminal else Console(width=250)
        for one in shown:
            wide.print(one, highlight=False)
        if json_file:
            try:
                json_file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            except OSError as error:
                raise InputError(f"{json_file}: can't be written: {error.strerror or error}") from None
