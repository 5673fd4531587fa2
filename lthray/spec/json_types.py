"""The types of fields in JSON Schema."""

from collections.abc import Collection, Iterable, Mapping
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from lthray import references
from lthray.spec.numbers import NUMBER_IN_TEXT
from lthray.spec.strict import OneOf

Schema = dict[str, Any]

REFERENCE: Schema = {"type": "string", "pattern": r"^[^:]+:[A-Za-z_][A-Za-z0-9_.]*$"}
"""The name of an object of the user's: `rules.py:name`."""
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
"""JSON Schema's words for the bounds of a number, by the names of their marks."""


def schema_of(annotation: Any, metadata: Iterable[Any] = ()) -> Schema:
    """The schema of a type: a number, text, true or false, choices, or a list or union of these.

    Args:
        annotation: The type.
        metadata: The marks beside it, as pydantic keeps them.
    """
    metadata = (*metadata, *getattr(annotation, "__metadata__", ()))
    annotation = annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation
    marks = [part for mark in metadata for part in (mark, *getattr(mark, "metadata", ()))]
    origin, parts = get_origin(annotation), get_args(annotation)
    for names in (mark for mark in marks if isinstance(mark, OneOf)):
        known = {"enum": references.names(names.names, names.group) if names.group else [*names.names]}
        return any_of(known, REFERENCE) if names.group else known
    if origin is Literal:
        return {"enum": [*parts]}
    if origin in (Union, UnionType):
        return any_of(*map(schema_of, parts))
    if origin is tuple:
        return {"type": "array", "items": schema_of(parts[0])}
    if annotation in (int, float):
        return number("integer" if annotation is int else "number", _limits(marks, BOUNDS))
    return {"type": {str: "string", bool: "boolean", NoneType: "null"}[annotation]} | _limits(
        marks, {"pattern": "pattern", "min_length": "minLength"}
    )


def number(kind: str, bounds: Mapping[str, float] | None = None) -> Schema:
    """A number, `integer` or `number`, or one in text, such as 8/255."""
    return any_of({"type": kind, **(bounds or {})}, {"type": "string", "pattern": NUMBER_IN_TEXT})


def any_of(*schemas: Schema) -> Schema:
    """A value that one of the schemas allows."""
    return {"anyOf": [*schemas]}


def or_null(schema: Schema) -> Schema:
    """A value that may be left empty."""
    return any_of(schema, {"type": "null"})


def closed(properties: Mapping[str, Schema], required: Collection[str] = ()) -> Schema:
    """A mapping of these keys and no others."""
    needed = {"required": [*required]} if required else {}
    return {"type": "object", "properties": dict(properties), **needed, "additionalProperties": False}


def _limits(marks: Iterable[Any], words: Mapping[str, str]) -> Schema:
    limits = ((word, getattr(mark, name, None)) for mark in marks for name, word in words.items())
    return {word: limit for word, limit in limits if limit is not None}
