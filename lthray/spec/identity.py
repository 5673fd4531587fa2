"""How a trajectory's id follows from its fields, each of which declares a base value.

An id hashes only the fields that differ from their base values. The base value of a field added later is what lthray
did before, so old ids stay the same. A default that moves away from the base value changes the id, as it must.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

AUTO = "auto"
"""What a sweep file writes for a field that follows other fields."""


@dataclass(frozen=True)
class Base:
    """A field's base value: what lthray did before the field existed. It never changes, whatever the default is."""

    value: Any = None
    """The base value of a field that follows no other."""
    rule: Callable[[Mapping[str, Any]], Any] | None = None
    """Computes the base value of a field that follows others, from the trajectory's fields outside of groups."""
    auto: bool = False
    """Whether a sweep file may write `auto` for the value of `rule`."""
    hashed: bool = True
    """Whether the field is part of the id."""
    settable: bool = True
    """Whether a sweep file may set the field."""
    later: bool = False
    """Whether the field acts from round 1 on alone, so that trajectories that differ in it share round 0."""

    def resolve(self, fields: Mapping[str, Any]) -> Any:
        """The base value beside these fields; None where the rule has none for them."""
        return self.rule(fields) if self.rule else self.value


def follow(rule: str | Callable[[Mapping[str, Any]], Any], *, later: bool = False) -> Base:
    """The base value of a field that may be `auto`: that of another field, by its name, or the result of a rule."""
    return Base(rule=(lambda fields: fields[rule]) if isinstance(rule, str) else rule, auto=True, later=later)


def leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every field that is not a group, under its dotted name."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from leaves(field.annotation, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


@cache
def bases(model: type[BaseModel]) -> dict[str, Base]:
    """The base value of every field that is not a group, under its dotted name.

    Raises:
        TypeError: a field declares none.
    """
    declared = {
        name: next((mark for mark in field.metadata if isinstance(mark, Base)), None) for name, field in leaves(model)
    }
    if missing := [name for name, base in declared.items() if base is None]:
        raise TypeError(f"{', '.join(missing)}: no base value is declared; see {__name__}.Base")
    return {name: base for name, base in declared.items() if base}


def resolve_auto(model: type[BaseModel], name: str, value: object, known: Mapping[str, Any]) -> object:
    """Resolves each `auto` in the value of a field or a group.

    Args:
        model: The model of a trajectory.
        name: The field or group.
        value: What was set, before it is validated.
        known: The valid fields declared before it; base values replace the others.
    """
    every = bases(model)
    fields = {field: base.value for field, base in every.items() if not base.rule} | dict(known)
    if name in every:
        return _resolve(every[name], value, fields)
    if not isinstance(value, Mapping):
        return value
    inside = {field.removeprefix(f"{name}."): base for field, base in every.items() if field.startswith(f"{name}.")}
    autos = {field: _resolve(base, value.get(field, AUTO), fields) for field, base in inside.items() if base.auto}
    return dict(value) | autos


def identify(fields: BaseModel, flat: Mapping[str, Any]) -> str:
    """Hashes the fields that differ from their base values into twelve hex digits.

    Args:
        fields: A trajectory.
        flat: Its fields under their dotted names, as values that JSON can express.
    """
    outside = vars(fields)
    differing = {
        name: flat[name]
        for name, base in bases(type(fields)).items()
        if base.hashed and attrgetter(name)(fields) != base.resolve(outside)
    }
    text = json.dumps(differing, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _resolve(base: Base, value: object, fields: Mapping[str, Any]) -> object:
    if not base.auto or value != AUTO:
        return value
    followed = base.resolve(fields)
    return value if followed is None else followed
