"""What can be said of every field of a trajectory and of every key of a sweep file, read off their models."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lthray.spec.about import about
from lthray.spec.field_names import is_list
from lthray.spec.identity import Base, bases, leaves
from lthray.spec.presets import preset
from lthray.spec.strict import OneOf
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.yaml_text import write_line

TOPICS = {
    "data and network": ("dataset", "validation_size", "normalize", "augment", "model", "model_args", "widths"),
    "rounds and their starts": ("seed", "rounds", "strategy", "rewind_to", "retrain"),
    "training": (
        "train_attack", "iterations", "batch_size", "drop_last", "learning_rate", "optimizer", "schedule",
        "label_smoothing", "adversarial_weight", "objective", "attack_mode", "compute",
    ),
    "attacks": ("norm", "epsilon", "attack_label", "pgd"),
    "measurements": ("eval_every", "eval_clock", "eval_attacks", "eval_attacks_at", "end_attacks", "end_images"),
    "pruning": ("prune",),
}  # fmt: skip
"""The groups that fields are listed in: of each group, the first parts of its fields' dotted names."""

TOP = "the sweep file"
"""The group of a sweep file's own keys."""
SECTIONS = ("search", "transfer", "resources", "verdicts")
"""The keys of a sweep file that hold further keys, which are no fields of a trajectory."""
WRITTEN = "own"
"""The key that lthray writes into a results folder's sweep file, and no user sets."""
BOUNDS = {"ge": "at least", "gt": "greater than", "le": "at most", "lt": "less than"}
"""The bounds of a number, by the names of their marks."""
NOT_IN_ID = "not part of trajectory_id"


@dataclass(frozen=True)
class FieldDescription:
    """What there is to know of a field or a key. All texts are plain, and empty where there is nothing to say."""

    name: str
    """Dotted name, as `--set` takes it."""
    group: str
    """The heading that it is listed under: one of `TOPICS`, `TOP`, or one of `SECTIONS`."""
    meaning: str
    """A sentence or two."""
    values: str
    """The values allowed, in words."""
    unit: str
    """What its numbers count or measure."""
    paper: str
    """Its value in the preset `paper`, as YAML; of a key outside of `trajectory`, its default in every preset."""
    released_code: str
    """Its value in the preset `released-code`, likewise."""
    base: str
    """Its base value as YAML, and whether it is part of a trajectory's id; empty outside of `trajectory`."""
    source: str
    """Where the presets' values come from; of a key outside of `trajectory`, empty."""


@cache
def declared() -> dict[str, FieldInfo]:
    """Every field of a trajectory that is no group, and every key of a sweep file, by its dotted name."""
    inside = {
        f"{section}.{field.alias or name}": field
        for section in SECTIONS
        for name, field in model_in(SweepSpec.model_fields[section].annotation).model_fields.items()
    }
    return dict(leaves(TrajectorySpec)) | SweepSpec.model_fields | inside


@cache
def describe_fields() -> tuple[FieldDescription, ...]:
    """Every key of a sweep file, then every field of a trajectory that one may set, group by group."""
    settable = [name for name, base in bases(TrajectorySpec).items() if base.settable]
    keys = [_describe_key(name, TOP) for name in SweepSpec.model_fields if name != WRITTEN]
    fields = [
        _describe_field(name, topic)
        for topic, roots in TOPICS.items()
        for root in roots
        for name in settable
        if name.partition(".")[0] == root
    ]
    inside = [
        _describe_key(name, section)
        for section in SECTIONS
        for name in declared()
        if name.startswith(f"{section}.") and name not in bases(TrajectorySpec)
    ]
    return (*keys, *fields, *inside)


def describe_group(name: str) -> str:
    """What a group of a trajectory's fields means, by its dotted name: `pgd`, `prune.rates`."""
    model: type[BaseModel] = TrajectorySpec
    *parents, last = name.split(".")
    for parent in parents:
        model = model_in(model.model_fields[parent].annotation)
    return model.model_fields[last].description or ""


def example_values(name: str) -> list[Any]:
    """A few values of a field or key, as a sweep file writes them."""
    field = declared()[name]
    names = next((mark.names for mark in field.metadata if isinstance(mark, OneOf)), get_args(field.annotation))
    if values := about(field).examples:
        return list(values)
    return [True, False] if field.annotation is bool else [value for value in names if isinstance(value, str)][:3]


def how_to_vary(name: str) -> str:
    """How a field is varied in a sweep, or how a key is set, as a sweep file and the command line write it."""
    values = example_values(name)
    base = bases(TrajectorySpec).get(name)
    if not values:
        return ""
    default = declared()[name].default
    if base is None or not base.hashed:
        value = next((value for value in values if value != default), values[0])
        return f"--set {_argument(name, value)}, for the whole sweep"
    listed = write_line(values)
    option = f"'grid.{name}={listed}'" if is_list(name) else f"{name}={','.join(map(write_line, values))}"
    return f"grid: {{{name}: {listed}}}, or --set {option}"


def _argument(name: str, value: object) -> str:
    text = f"{name}={write_line(value)}"
    return f"'{text}'" if set(text) & set("[]{} ") else text


def model_in(annotation: Any) -> type[BaseModel]:
    """The model of a section, which may also be None.

    Raises:
        StopIteration: there is none.
    """
    kinds = (annotation, *get_args(annotation))
    return next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel))


def _describe_field(name: str, group: str) -> FieldDescription:
    field, base = declared()[name], bases(TrajectorySpec)[name]
    mark = about(field)
    return FieldDescription(
        name,
        group,
        field.description or "",
        values_allowed(field),
        mark.unit,
        as_yaml(preset("paper")[name]),
        as_yaml(preset("released-code")[name]),
        _base_text(name, base),
        mark.source,
    )


def _base_text(name: str, base: Base) -> str:
    if base.rule and not base.auto:
        value = as_yaml(preset("paper")[name])
    else:
        value = "auto" if base.auto else as_yaml({} if base.value == () and name == "model_args" else base.value)
    return value if base.hashed else f"{value}; {NOT_IN_ID}"


def _describe_key(name: str, group: str) -> FieldDescription:
    field, is_preset = declared()[name], name == "protocol"
    value = "" if field.is_required() else as_yaml(field.get_default(call_default_factory=True))
    released, base = ("released-code", "paper") if is_preset else (value, "")
    source = about(field).source if is_preset else ""
    meaning, unit = field.description or "", about(field).unit
    return FieldDescription(name, group, meaning, values_allowed(field), unit, value, released, base, source)


def as_yaml(value: Any) -> str:
    """A value as a sweep file writes it on one line; empty for what is left out."""
    if value is None or isinstance(value, BaseModel):
        return ""
    return write_line(list(value) if isinstance(value, tuple) else value)


def values_allowed(field: FieldInfo) -> str:
    """The values that a field allows, in words."""
    if values := about(field).values:
        return values
    text = _allowed(field.annotation, field.metadata)
    automatic = any(isinstance(mark, Base) and mark.auto for mark in field.metadata)
    return f"auto, or {text}" if automatic else text


def _allowed(annotation: Any, metadata: Collection[Any] = ()) -> str:
    names = next((mark for mark in metadata if isinstance(mark, OneOf)), None)
    if names:
        return ", ".join(names.names) + (", or a function of your own, as rules.py:name" if names.group else "")
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(map(str, parts))
    if origin in (Union, UnionType):
        return ", or ".join(_allowed(part) for part in parts if part is not NoneType)
    if hasattr(annotation, "__metadata__"):
        return _allowed(annotation.__origin__, annotation.__metadata__)
    if origin is tuple:
        return f"a list, each of them {_allowed(parts[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"a mapping of {', '.join(field.alias or name for name, field in annotation.model_fields.items())}"
    if origin is dict:
        return "a mapping of fields, by dotted name"
    if annotation is bool:
        return "true or false"
    return {int: "a whole number", float: "a number", str: "text"}[annotation] + _limits(metadata)


def _limits(metadata: Collection[Any]) -> str:
    """The bounds in a field's annotation, in words."""
    parts = [part for mark in metadata for part in (mark, *getattr(mark, "metadata", ()))]
    bounds = {name: getattr(part, name) for part in parts for name in BOUNDS if getattr(part, name, None) is not None}
    if bounds.keys() == {"ge", "le"}:
        return f" from {bounds['ge']:,} to {bounds['le']:,}"
    words = [f"{word} {_bound(bounds[name])}" for name, word in BOUNDS.items() if name in bounds]
    return f", {' and '.join(words)}" if words else ""


def _bound(number: float) -> str:
    return f"2^{number.bit_length() - 1}" if isinstance(number, int) and number >= 2**32 else f"{number:,}"
