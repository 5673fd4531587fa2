"""The command line: its commands, each in a module of its name."""

import os
from typing import Annotated

import typer

import lthray
from lthray.cli.bench import bench
from lthray.cli.compact import compact
from lthray.cli.completion import complete_in_bash
from lthray.cli.evaluate import evaluate
from lthray.cli.explain import explain
from lthray.cli.habits import SweepCommand
from lthray.cli.init import init
from lthray.cli.migrate import migrate
from lthray.cli.protocol import protocol
from lthray.cli.report import report
from lthray.cli.schema import schema
from lthray.cli.status import status
from lthray.cli.submit import submit
from lthray.cli.sweep import sweep
from lthray.cli.sweeps import sweeps

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


_COMMANDS = (
    init, sweeps, sweep, status, report, evaluate, compact, migrate, protocol, explain, schema, submit, bench,
)  # fmt: skip
for _command in _COMMANDS:
    app.command(cls=SweepCommand if _command in (sweep, submit) else None)(_command)


def main() -> None:
    """Runs the command line, or completes it for a shell that asks."""
    if os.environ.get("_LTHRAY_COMPLETE") == "complete_bash":
        complete_in_bash(app)
    else:
        app()
