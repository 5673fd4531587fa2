"""`lthray protocol`: prints a preset, or how two presets differ."""

from typing import Annotated

import typer
from rich.table import Table

from lthray.cli.completion import complete_protocol
from lthray.cli.options import make_console, mistakes
from lthray.errors import InputError


def protocol(
    first: Annotated[
        str, typer.Argument(metavar="A", help="The preset: paper or released-code.", autocompletion=complete_protocol)
    ] = "paper",
    second: Annotated[
        str | None,
        typer.Argument(
            metavar="B", help="A second preset, to compare the first with.", autocompletion=complete_protocol
        ),
    ] = None,
) -> None:
    """Print every field of a preset, or the fields in which two presets differ."""
    with mistakes():
        from lthray.spec.presets import PRESETS, preset
        from lthray.spec.reference import describe_fields

        chosen = [first] if second is None else [first, second]
        for name in chosen:
            if name not in PRESETS:
                raise InputError(f"{name}: no such protocol; there are {' and '.join(PRESETS)}")
        presets = [preset(name) for name in chosen]
        table = Table("field", *chosen, "meaning", box=None, header_style="dim", padding=(0, 2, 0, 0))
        meanings = {field.name: field.meaning for field in describe_fields()}
        for name in presets[0]:
            values = [str(fields[name]).lower() for fields in presets]
            if name != "protocol" and (second is None or len(set(values)) > 1):
                table.add_row(name, *values, meanings[name])
        make_console().print(table)
