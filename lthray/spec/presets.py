"""The presets of a trajectory's fields, and what each field means."""

from collections.abc import Iterator
from typing import Any, get_args

from pydantic.fields import FieldInfo

from lthray.spec.dotted import flatten
from lthray.spec.identity import bases, leaves
from lthray.spec.strict import OneOf
from lthray.spec.trajectory import TrajectorySpec

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released-code": {
        "rewind_to": "end-of-round-0",
        "iterations": 50_040,
        "drop_last": False,
        "eval_clock": "epoch",
        "prune": {"cutoff": "inclusive"},
    },
}


def preset(protocol: str) -> dict[str, Any]:
    """Every field of a preset under its dotted name, as a sweep file writes it."""
    defaults = {name: field.default for name, field in _settable()} | {"model_args": {}}
    return defaults | {"protocol": protocol} | flatten(PRESETS[protocol])


def describe() -> dict[str, str]:
    """The meaning of each field that a sweep file may set, in a line, with the values allowed."""
    return {name: " ".join([field.description or "", *_allowed(field)]) for name, field in _settable()}


def _settable() -> Iterator[tuple[str, FieldInfo]]:
    declared = bases(TrajectorySpec)
    return ((name, field) for name, field in leaves(TrajectorySpec) if declared[name].settable)


def _allowed(field: FieldInfo) -> Iterator[str]:
    """The values allowed, unless the field's description names them all."""
    named = next((mark.names for mark in field.metadata if isinstance(mark, OneOf)), get_args(field.annotation))
    values = [value for value in named if isinstance(value, str)]
    if any(value not in (field.description or "") for value in values):
        yield f"One of {', '.join(values)}."
