"""Arguments that a sweep file gives to a function of the user's: a mapping, kept as text that can be hashed."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

Pairs = tuple[tuple[str, str], ...]


def freeze(value: object) -> object:
    """A mapping of names to values as pairs of a name and its value in JSON, by name; other values unchanged.

    Raises:
        ValueError: a name is no Python name, or a value can't be written as JSON.
    """
    if not isinstance(value, Mapping):
        return value
    pairs = []
    for name, argument in sorted(value.items(), key=lambda item: str(item[0])):
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"{name!r} is no name of an argument")
        try:
            pairs.append((name, json.dumps(argument, sort_keys=True, allow_nan=False)))
        except (TypeError, ValueError):
            raise ValueError(f"{name} takes text, a number, true, false, or a list or mapping of these") from None
    return tuple(pairs)


def thaw(pairs: Pairs) -> dict[str, Any]:
    """The mapping that `freeze` made pairs of."""
    return {name: json.loads(text) for name, text in pairs}


def to_text(pairs: Pairs) -> str:
    """The mapping in JSON, as tables carry it; empty where it is empty."""
    return json.dumps(thaw(pairs), sort_keys=True) if pairs else ""


def from_text(text: str) -> dict[str, Any]:
    """The inverse of `to_text`."""
    return dict(json.loads(text)) if text else {}


Arguments = Annotated[Pairs, BeforeValidator(freeze), PlainSerializer(thaw)]
"""The type of a field that takes such a mapping."""
