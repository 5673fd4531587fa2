"""`lthray bench`: measures how fast this processor trains and evaluates."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from lthray.cli.options import make_console, mistakes
from lthray.errors import InputError


def bench(
    threads: Annotated[int, typer.Option(min=1, metavar="N", help="Threads of torch and of lthray.")] = 1,
    repeats: Annotated[
        int, typer.Option(min=2, metavar="N", help="How often each measurement is repeated, in turns.")
    ] = 15,
    peers: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Python file or package with the training loops to compare with.",
            show_default="benchmarks/peers of the checkout that lthray runs from, else none",
        ),
    ] = None,
    loop: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Compare with this training loop alone; may be repeated.",
            show_default="all whose packages are installed; with --trajectory torchattacks, torch.compile and jax",
        ),
    ] = None,
    round_: Annotated[
        list[int] | None,
        typer.Option(
            "--round",
            min=0,
            max=20,
            metavar="N",
            help="Measure at the density of this round of the paper; may be repeated.",
            show_default="0, 3, 8, 15 and 20",
        ),
    ] = None,
    trajectory: Annotated[
        bool,
        typer.Option(
            "--trajectory", help="Measure each of the paper's 21 rounds, and sum them up to whole trajectories."
        ),
    ] = False,
    avx2: Annotated[
        bool, typer.Option("--avx2", help="Measure without AVX-512, as on a processor that has AVX2 alone.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the measurements to this file.")
    ] = None,
) -> None:
    """Measure how fast this processor trains and evaluates, against other loops and against bare matrix products."""
    with mistakes():
        if json_file and not json_file.parent.is_dir():
            raise InputError(f"{json_file}: there is no folder {json_file.parent}")
        if trajectory and round_:
            raise InputError("--trajectory measures every round; leave out --round")
        if avx2:
            from lthray.bench.instructions import avx2_environment

            # Libraries choose their instructions when they are loaded, so that bench starts again in this environment.
            arguments = [argument for argument in sys.argv[1:] if argument != "--avx2"]
            os.execve(sys.executable, [sys.executable, "-m", "lthray", *arguments], os.environ | avx2_environment())
        from lthray.bench.measure import ROUNDS
        from lthray.bench.run import Comparison, run

        comparison = Comparison(peers, loop or (), round_ or ROUNDS, trajectory)
        measurements, tables = run(threads, repeats, comparison, make_console().print)
        for table in tables:
            make_console(width=250).print(table)
        if json_file:
            try:
                json_file.write_text(json.dumps(measurements, indent=1) + "\n", encoding="utf-8")
            except OSError as error:
                raise InputError(f"{json_file}: can't be written: {error.strerror or error}") from None
