"""`lthray schema`: the JSON schema of sweep files, for editors."""

import json

import typer

from lthray.cli.options import mistakes


def schema() -> None:
    """Print the JSON schema of sweep files, with which an editor completes and checks their fields."""
    with mistakes():
        from lthray.spec.schema import sweep_schema

        typer.echo(json.dumps(sweep_schema(), indent=1, ensure_ascii=False))
