"""`lthray protocol`: the presets, and what they do differently."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from lthray.cli.options import mistakes
from lthray.errors import InputError


def protocol(
    first: Annotated[str, typer.Argument(metavar="A", help="A preset: paper or released-code.")] = "paper",
    second: Annotated[str | None, typer.Argument(metavar="B", help="Another, to compare it with.")] = None,
) -> None:
    """Print a preset with every field, or what two presets do differently."""
    console = Console()
    with mistakes():
        from lthray.spec.presets import PRESETS, describe, preset

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
