"""The fields of a trajectory by their dotted names, as sections of a sweep file give them."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from lthray.errors import InputError
from lthray.spec.dotted import flatten
from lthray.spec.presets import preset

FIELDS = tuple(preset("paper"))
"""The dotted names of a trajectory's fields."""

GROUPS = {name.rpartition(".")[0] for name in FIELDS if "." in name} | {"prune"}


def known_fields(tree: Mapping[str, Any], section: str) -> dict[str, Any]:
    """A section's fields by dotted name, each a known one, and only fields where there are fields.

    Raises:
        InputError: a field is not known.
    """
    flat = flatten(tree, leaves=FIELDS)
    for name, value in flat.items():
        if name == "protocol" and section == "trajectory":
            raise InputError("trajectory.protocol: unknown key; protocol stands at the top of the file or in grid")
        check_field(name, value, section)
    return flat


def check_field(name: str, value: object, section: str) -> None:
    """Checks that a field is known.

    Raises:
        InputError: it is not.
    """
    if name in GROUPS:
        inside = [field for field in FIELDS if field.startswith(f"{name}.")]
        raise InputError(f"{section}.{name}: found {value!r}, but it is a group of {', '.join(inside)}")
    if name not in FIELDS:
        raise InputError(f"{section}.{name}: unknown key{nearest(name, FIELDS)}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean X?`, or all that is allowed where nothing is near."""
    known = list(known)
    ends = {field.rpartition(".")[2]: field for field in known}
    close = difflib.get_close_matches(name, known, 1) or [
        ends[end] for end in difflib.get_close_matches(name.rpartition(".")[2], ends, 1)
    ]
    return f"; did you mean {close[0]}?" if close else f"; known are {', '.join(known)}"


def kind(value: object) -> str:
    """What a value is, in words: `a list`, `nothing`."""
    return "nothing" if value is None else f"a {type(value).__name__}"
