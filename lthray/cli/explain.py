"""`lthray explain`: what a field means, what it takes, and how it is varied."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lthray.cli.completion import complete_name
from lthray.cli.options import make_console, mistakes
from lthray.errors import InputError

if TYPE_CHECKING:
    from lthray.spec.reference import FieldDescription


def explain(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="FIELD",
            autocompletion=complete_name,
            help="A field, a group or a section by its dotted name: epsilon, pgd, prune.rates, resources.stack.",
            show_default="all fields, a line each",
        ),
    ] = None,
) -> None:
    """Print what a field of a sweep file means: its values, unit, presets and source, and how to vary it."""
    with mistakes():
        page = _overview() if name is None else _page(name)
        make_console(width=200).print(page)


def _page(name: str) -> RenderableType:
    """What there is to say of a field, a group or a section.

    Raises:
        InputError: there is none of this name.
    """
    from lthray.spec.field_names import FIELDS, FULL_LIST, GROUPS
    from lthray.spec.own import ARGUMENTS
    from lthray.spec.reference import declared, describe_fields, describe_group
    from lthray.spec.suggestions import did_you_mean

    section, _, rest = name.partition(".")
    short = rest if section in ("trajectory", "grid") and (rest in FIELDS or rest in GROUPS) else name
    short = "model_args" if short.startswith(ARGUMENTS) else short
    described = {field.name: field for field in describe_fields()}
    inside = [field for field in described.values() if field.name.startswith(f"{short}.")]
    if short in described:
        return Group(_field_page(described[short]), *([_table(inside)] if inside else []))
    if inside:
        return Group(_heading(short, describe_group(short)), "", _table(inside))
    if short in declared():
        looked_up = "Never set in a sweep file: lthray looks it up."
        return Group(_heading(short, declared()[short].description or ""), looked_up)
    raise InputError(f"{name}: no such field{did_you_mean(name, [*described, *sorted(GROUPS)], FULL_LIST)}")


def _field_page(field: "FieldDescription") -> RenderableType:
    from lthray.spec.reference import NOT_IN_ID, how_to_vary

    lines = {
        "values": field.values,
        "unit": field.unit,
        "paper": field.paper,
        "released-code": field.released_code,
        "base value": field.base,
        "source": field.source,
        "to set it" if not field.base or NOT_IN_ID in field.base else "to vary it": how_to_vary(field.name),
    }
    if not field.base:  # it is no field of a trajectory, and no preset has a say
        lines = {"default" if label == "paper" else label: text for label, text in lines.items()} | {
            "released-code": ""
        }
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    for label, text in lines.items():
        if text:
            table.add_row(f"  {label}", text)
    return Group(_heading(field.name, field.meaning), "", table)


def _heading(name: str, meaning: str) -> Text:
    return Text.assemble((name, "bold"), f": {meaning}")


def _overview() -> RenderableType:
    """All fields, group by group."""
    from lthray.spec.reference import describe_fields

    return Group(*_groups(describe_fields()), "lthray explain FIELD says more of a single one")


def _groups(fields: "Sequence[FieldDescription]") -> Iterator[RenderableType]:
    for group in dict.fromkeys(field.group for field in fields):
        yield Text(group, "bold")
        yield _table([field for field in fields if field.group == group])
        yield ""


def _table(fields: "Sequence[FieldDescription]") -> Table:
    """A line for each field: its name, its value in the preset `paper` or its default, and its meaning.

    Where the terminal is narrow, the meaning is cut and nothing else.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()  # it alone gives way, and its texts are cut instead of wrapped
    for field in fields:
        table.add_row(f"  {field.name}", field.paper, Text(field.meaning, no_wrap=True, overflow="ellipsis"))
    return table
