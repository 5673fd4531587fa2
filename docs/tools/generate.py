"""Writes what the reference says of commands, fields and columns into its pages: `make reference`.

A page holds each generated part between `<!-- generated: NAME -->` and `<!-- end -->`, where NAME is one of `PARTS`.
"""

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import get_args, get_type_hints

import pyarrow as pa
import typer
from typer.main import get_command

from lthray.cli.main import app
from lthray.spec.reference import FieldDescription, describe_fields
from lthray.store.tables import TABLES

DOCS = Path(__file__).parents[1]
_PART = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

_MEANINGS = {
    r"trajectory_id": "the trajectory: a hash of its settings ([how](results-folder.md#what-identifies-a-trajectory))",
    r"round": "0 is the dense network",
    r"weights_remaining": "share of the weights that are not pruned",
    r"weights_remaining_count": "weights that are not pruned",
    r"iteration": "optimizer steps since the round began",
    r"reported_iteration": "the iteration as the released code labels it",
    r"split": "the images: `validation` or `test`",
    r"attack": "`none` for natural images, or the attack's name; with settings of its own, its full name",
    r"loss": "mean cross-entropy of the images, against smoothed labels on `validation` and hard labels on `test`",
    r"accuracy": "images that are classified correctly",
    r"zero_gradient_share": "images whose loss has a gradient of exactly zero",
    r"early_stopping_iteration": "first iteration with the smallest training objective on validation images",
    r"(early_stopping|final)_none_accuracy_\w+": "natural accuracy at early stopping, or at the end of the round",
    r"(early_stopping|final)_\w+_accuracy_\w+": "accuracy under the attack; empty where it was not measured",
    r"(early_stopping|final)_zero_gradient_share_\w+": "images whose loss has a gradient of exactly zero",
    r"stack": "trajectories that were trained side by side",
    r"(train|eval)_seconds": "the trajectory's share of its stack's wall time; empty where another trained round 0",
    r"seconds": "wall time; empty where a sweep measured",
    r"moment": "`early_stopping`, `final`, or `training` for any other evaluation",
    r"images": "how many images of the split, from the first on",
    r"device": "where it was computed",
    r"(lthray|torch|python)_version": "version that wrote the row",
    r"transfer\.source": "id of the trajectory whose masks were taken; empty for other strategies",
    r"own\.code": "digest of your own code; empty without",
    r"own\.tensors": "name, kind, shape and type of each tensor of your own network, as JSON; empty without",
}
"""What columns mean that are no settings of a trajectory, by a pattern of their whole names."""


def fill(text: str) -> str:
    """A page with its generated parts written anew."""
    return _PART.sub(lambda part: f"{part[1]}\n{PARTS[part[2]]()}\n{part[3]}", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]]) + "\n"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _plain(help_text: str | None) -> str:
    """A help text as Markdown: brackets need no escape from rich."""
    return (help_text or "").replace("\\[", "[")


def commands() -> str:
    """Every command with its arguments and options, from the command line itself."""
    return "\n".join(_command(name, command) for name, command in get_command(app).commands.items())


def _command(name: str, command: typer.core.TyperCommand) -> str:
    annotations = get_type_hints(command.callback)
    rows = [_parameter(parameter, annotations[parameter.name]) for parameter in command.params]
    arguments = [_argument(parameter) for parameter in command.params if _is_argument(parameter)]
    text = "\n\n".join(re.sub(r"\s*\n\s*", " ", part) for part in _plain(command.help).split("\n\n"))
    usage = " ".join(["lthray", name, *arguments, "[OPTIONS]"])
    table = "\n" + _table(("", "", "default"), rows) if rows else ""
    return f"## lthray {name}\n\n```text\n{usage}\n```\n\n{text}\n{table}"


def _is_argument(parameter: typer.core.TyperOption | typer.core.TyperArgument) -> bool:
    return parameter.opts == [parameter.name]


def _argument(parameter: typer.core.TyperArgument) -> str:
    """How the usage shows an argument."""
    text = f"{parameter.metavar or parameter.name}{' ...' * (parameter.nargs == -1)}"
    return text if parameter.required else f"[{text}]"


def _parameter(parameter: typer.core.TyperOption | typer.core.TyperArgument, annotation: object) -> list[str]:
    """A row of a command's table, of a parameter with this annotation in the command's function."""
    if _is_argument(parameter):
        names = _code(_argument(parameter))
    elif parameter.is_flag or parameter.metavar:
        value = "" if parameter.is_flag else f" {parameter.metavar}"
        names = ", ".join(_code(f"{option}{value}") for option in (*parameter.opts, *parameter.secondary_opts))
    else:
        names = f"{_code(parameter.opts[0])} {' or '.join(map(_code, _choices(annotation)))}"
    variables = [parameter.envvar] if isinstance(parameter.envvar, str) else parameter.envvar or []
    taken = f" Environment: {', '.join(map(_code, variables))}." if variables else ""
    if parameter.required:
        default = "required"
    elif isinstance(parameter.show_default, str):
        default = parameter.show_default
    else:
        default = "" if parameter.default in (None, True, False) else _code(str(parameter.default))
    return [names, _plain(parameter.help) + taken, default]


def _choices(annotation: object) -> list[str]:
    """The values of an option that takes one of several."""
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return [member.value for member in annotation]
    return [str(choice) for choice in get_args(annotation)]


def fields() -> str:
    """Every key of a sweep file, by group."""
    parts = []
    for group, members in groupby(describe_fields(), lambda field: field.group):
        head = ("field", "value", "meaning", "allowed", "unit", "base", "source")
        rows = [_field(field) for field in members]
        kept = [place for place in range(len(head)) if any(row[place] for row in rows)]
        title = f"## {group[0].upper()}{group[1:]}"
        parts.append(f"{title}\n\n" + _table([head[i] for i in kept], [[row[i] for i in kept] for row in rows]))
    return "\n".join(parts)


def _field(field: FieldDescription) -> list[str]:
    """A row of a group's table."""
    value = _code(field.paper)
    if field.released_code != field.paper:
        value += f"; `released-code`: {_code(field.released_code)}"
    base, _, note = field.base.partition("; ")
    said = [_code(base)] * (base != field.paper) + [note] * bool(note)
    return [_code(field.name), value, field.meaning, field.values, field.unit, "; ".join(said), field.source]


def columns() -> str:
    """Every column of every table that is no setting, with what the schema's metadata says of it."""
    shared = [name for name in TABLES["rounds"].names if all(name in schema.names for schema in TABLES.values())]
    common = [TABLES["rounds"].field(name) for name in shared]
    parts = ["## All tables\n\n" + _columns(field for field in common if _said(field, "role") != "field")]
    for table, schema in TABLES.items():
        own = [field for field in schema if field.name not in shared]
        parts.append(f"## {table}\n\n{_columns(own)}")
    return "\n".join(parts)


def settings() -> str:
    """The columns of a trajectory's settings, which all tables have."""
    rows = [
        (_code(field.name), str(field.type), _said(field, "unit"), _code(_said(field, "base")))
        for field in TABLES["rounds"]
        if _said(field, "role") == "field"
    ]
    return _table(("column", "type", "unit", "base"), rows)


def _columns(schema: Iterable[pa.Field]) -> str:
    rows = [
        (_code(field.name), str(field.type), _said(field, "role"), _said(field, "unit"), _meaning(field.name))
        for field in schema
    ]
    return _table(("column", "type", "role", "unit", "meaning"), rows)


def _said(field: pa.Field, key: str) -> str:
    return field.metadata.get(key.encode(), b"").decode()


def _meaning(column: str) -> str:
    """What a column means.

    Raises:
        ValueError: nothing says it.
    """
    for pattern, meaning in _MEANINGS.items():
        if re.fullmatch(pattern, column):
            return meaning
    raise ValueError(f"{__file__}: _MEANINGS says nothing of the column {column}")


PARTS: dict[str, Callable[[], str]] = {"commands": commands, "fields": fields, "columns": columns, "settings": settings}
"""What can be generated."""


def main() -> None:
    """Writes the pages that have generated parts."""
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (filled := fill(text)) != text:
            page.write_text(filled, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(DOCS.parent)}\n")


if __name__ == "__main__":
    main()
