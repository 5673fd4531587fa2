"""Pydantic's errors as one line for the user: the key, what was found, what is allowed."""

from collections.abc import Collection, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from lthray.spec.field_names import FIELDS, GROUPS
from lthray.spec.suggestions import did_you_mean, suggest

FIELDS_OF = {"": "trajectory", "search": "search.space"}
"""For each level of a sweep file, the section below it where a trajectory's fields belong."""


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Describes the first wrong key in one line.

    The message of a model's own validator must begin with the key that it concerns, relative to that model.

    Args:
        error: What pydantic raised.
        model: The model that it validated.
    """
    details: dict[str, list[ErrorDetails]] = {}
    for detail in error.errors():
        details.setdefault(_place(model, detail["loc"])[0], []).append(detail)
    key, first = next(iter(details.items()))
    line = _line(key, model, first)
    return f"{line} (and {len(details) - 1} more)" if len(details) > 1 else line


def _place(model: type[BaseModel], loc: Sequence[int | str]) -> tuple[str, type[BaseModel], Any]:
    """The dotted key of an error's location, the innermost model around it, and the type declared for it."""
    keys: list[str] = []
    around = model
    declared: Any = model
    for part in loc:
        nested = _model_in(declared)
        if part == "[key]" or not (nested or get_origin(declared) is dict):
            break  # the rest of `loc` is pydantic's own: members of a union, indices of a list
        if nested:
            around = nested
            declared = next((f.annotation for n, f in nested.model_fields.items() if part in (n, f.alias)), None)
        else:
            declared = get_args(declared)[1]
        keys.append(str(part))
    return ".".join(keys), around, declared


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model in an annotation, which may also allow None; None if there is no model in it."""
    kinds = (annotation, *get_args(annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _line(key: str, model: type[BaseModel], details: Sequence[ErrorDetails]) -> str:
    first, value = details[0], details[0]["input"]
    _, around, declared = _place(model, first["loc"])
    parent, _, name = key.rpartition(".")
    nested = _model_in(declared)
    match first["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key{_other_keys(model, parent, name, _keys(around))}"
        case "missing":
            meaning = _keys(around)[name].rstrip(".")
            return f"{key}: is missing: {meaning[:1].lower()}{meaning[1:]}"
        case "model_type" | "dict_type":
            keys = ", ".join(_keys(nested)) if nested else "keys to values"
            return f"{key}: found {kind(value)}, but it is a mapping of {keys}"
        case "list_type":
            return f"{key}: found {value!r}, but it is a list, for example [{value}]"
        case "too_short" if not value:
            return f"{key}: is empty, but it needs at least one {'field' if isinstance(value, dict) else 'value'}"
        case "value_error":
            message = str(first["ctx"]["error"])
            if first["loc"][-1:] == ("[key]",):
                return f"{key}: {message}"
            if nested:
                return f"{key}.{message}" if key else message
            return f"{key}: found {value!r}, but {message}"
    # a union has an error for each of its members
    message = " or ".join(dict.fromkeys(detail["msg"] for detail in details))
    return (
        f"{key}: found {value!r}, but"
        f" {message.replace('Input should', 'it should').replace('String should', 'it should')}"
    )


def _other_keys(model: type[BaseModel], parent: str, name: str, keys: Collection[str]) -> str:
    """What to say behind an unknown key: what it may stand for on its level, or in the sections below."""
    if parent in FIELDS_OF and "trajectory" in model.model_fields and not suggest(name, [*keys], parent):
        below = ((outer, _model_in(field.annotation)) for outer, field in model.model_fields.items())
        inside = [f"{outer}.{key}" for outer, inner in below if inner for key in _keys(inner)]
        fields = (*FIELDS, *sorted(GROUPS))
        if suggest(name, fields):
            return did_you_mean(name, fields, section=FIELDS_OF[parent])
        if suggest(name, inside):
            return did_you_mean(name, inside)
    return did_you_mean(name, keys, section=parent)


def _keys(model: type[BaseModel]) -> dict[str, str]:
    """A model's keys as the user writes them, each with what it means."""
    return {field.alias or name: field.description or "" for name, field in model.model_fields.items()}


def kind(value: object) -> str:
    """What a value is, in words where that says more: `nothing`, `a list`, `3`."""
    return "nothing" if value is None else "a list" if isinstance(value, list) else repr(value)
