"""The JSON schema of sweep files, for editors: closed, with units, and read off the models."""

from collections.abc import Callable, Collection
from typing import Any

from lthray import references
from lthray.methods.attacks import ATTACKS
from lthray.methods.datasets import DATASETS
from lthray.methods.networks import MODELS, MODULES
from lthray.spec.attack_settings import OwnSettings
from lthray.spec.field_names import FIELDS, GROUPS
from lthray.spec.identity import AUTO, Base
from lthray.spec.json_types import REFERENCE, Schema, any_of, closed, number, or_null, schema_of
from lthray.spec.metrics import METRICS
from lthray.spec.own import ARGUMENTS
from lthray.spec.reference import WRITTEN, declared, describe_fields, describe_group, example_values, model_in
from lthray.spec.search import NOT_SEARCHED, SCHEDULERS, SPACES
from lthray.spec.sections import ALIASES
from lthray.spec.sweep import LOGGERS, SweepSpec

DIALECT = "http://json-schema.org/draft-07/schema#"
"""The version of JSON Schema that editors of YAML know."""
ARGUMENT = f"^{ARGUMENTS.replace('.', '[.]')}[^\\s.]+$"
"""The dotted name of an argument of the network's function."""


def sweep_schema() -> Schema:
    """The schema of a sweep file. Values are checked each by itself, and not against each other.

    It allows the names that installed packages offer, too.
    """
    fields = {name: _about(name) | value_of(name) for name in FIELDS}
    several = {f"several:{name}": {"type": "array", "items": _single(name), "minItems": 1} for name in FIELDS}
    spaces = {f"space:{name}": _space_of(name) for name in FIELDS if name not in NOT_SEARCHED}
    definitions = fields | several | spaces | {"attack": _attack(), "space": _numeric_space()}
    keys = {name: _about(name) | value_of(name) for name in SweepSpec.model_fields if name != WRITTEN}
    written = {WRITTEN: {"description": declared()[WRITTEN].description, "type": "object"}}
    top = closed(keys | written, required=["name"])
    return {"$schema": DIALECT, "title": "A sweep file of lthray", **top, "definitions": definitions}


def _about(name: str) -> Schema:
    """What an editor shows of a field or key."""
    field = next(field for field in describe_fields() if field.name == name)
    about: Schema = {"description": f"{field.meaning} Unit: {field.unit}." if field.unit else field.meaning}
    default = declared()[name].default
    if isinstance(default, str | int | float):
        about["default"] = default
    return about | ({"examples": examples} if (examples := example_values(name)) else {})


def value_of(name: str) -> Schema:
    """The schema of the value of a field or key."""
    own = _FIELDS.get(name) or _KEYS.get(name)
    if own:
        return own()
    field = declared()[name]
    value = schema_of(field.annotation, field.metadata)
    automatic = any(isinstance(mark, Base) and mark.auto for mark in field.metadata)
    return any_of({"const": AUTO}, value) if automatic else value


def _fields(make: Callable[[str], Schema], without: Collection[str] = ()) -> Schema:
    """A section whose keys are fields, by dotted names or in groups, each with the schema that `make` gives to it."""
    return _group("", make, without) | {"patternProperties": {ARGUMENT: make(ARGUMENTS)}}


def _group(prefix: str, make: Callable[[str], Schema], without: Collection[str]) -> Schema:
    fields = [name for name in FIELDS if name.startswith(prefix) and name not in without]
    groups = {
        name.removeprefix(prefix): {"description": describe_group(name)} | _group(f"{name}.", make, without)
        for name in sorted(GROUPS)
        if name.startswith(prefix)
    }
    return closed({name.removeprefix(prefix): make(name) for name in fields} | groups)


def _single(name: str) -> Schema:
    """A value of a field; that of a network's argument can be anything."""
    return {} if name == ARGUMENTS else {"$ref": f"#/definitions/{name}"}


def _several(name: str) -> Schema:
    return {"type": "array", "minItems": 1} if name == ARGUMENTS else {"$ref": f"#/definitions/several:{name}"}


def _space(name: str) -> Schema:
    return _space_of(name) if name == ARGUMENTS else {"$ref": f"#/definitions/space:{name}"}


def _space_of(name: str) -> Schema:
    """One of Ray Tune's spaces, with its arguments."""
    return any_of({"$ref": "#/definitions/space"}, closed({"choice": _several(name)}, ["choice"]))


def _numeric_space() -> Schema:
    def arguments(space: str, names: Collection[str]) -> Schema:
        numbers = number("integer" if "int" in space else "number")
        return {"type": "array", "items": numbers, "minItems": len(names), "maxItems": len(names)}

    spaces = {space: arguments(space, names) for space, names in SPACES.items() if names}
    return closed(spaces) | {"minProperties": 1, "maxProperties": 1}


def _attack_names() -> list[str]:
    return references.names(ATTACKS, "attacks")


def _attack() -> Schema:
    """Attacks by name, each with the settings that override the trajectory's."""
    settings = or_null(_model(OwnSettings))
    attacks = closed(dict.fromkeys(_attack_names(), settings))
    return attacks | {"patternProperties": {REFERENCE["pattern"]: settings}}


def _model(model: Any) -> Schema:
    return closed({name: schema_of(field.annotation, field.metadata) for name, field in model.model_fields.items()})


def _section(section: str) -> Schema:
    """A section whose keys are no fields of a trajectory."""
    fields = model_in(declared()[section].annotation).model_fields
    keys = {field.alias or name: field for name, field in fields.items()}
    required = [key for key, field in keys.items() if field.is_required()]
    return closed({key: _about(f"{section}.{key}") | value_of(f"{section}.{key}") for key in keys}, required)


def _resources() -> Schema:
    section = _section("resources")
    keys = section["properties"]
    return section | {"properties": keys | {alias: keys[key] for alias, key in ALIASES.items()}}


def _loggers() -> Schema:
    options = or_null({"type": "object"})
    return any_of({"type": "array", "items": {"enum": [*LOGGERS]}}, closed(dict.fromkeys(LOGGERS, options)))


def _scheduler() -> Schema:
    options = {scheduler: or_null(_model(kind)) for scheduler, kind in SCHEDULERS.items()}
    single = closed({"none": or_null(closed({})), **options}) | {"maxProperties": 1}
    return any_of({"enum": ["none", *SCHEDULERS]}, single)


def _rewind_to() -> Schema:
    iteration = {"type": "string", "pattern": "^iteration:[1-9][0-9]{0,8}$"}
    return any_of({"enum": ["init", "end-of-round-0"]}, iteration)


def _attacks(least: int) -> Schema:
    """A list of attacks: names, full names, and mappings of names to settings."""
    named = any_of({"enum": _attack_names()}, REFERENCE, {"type": "string", "pattern": r"^[^()]+\(.*\)$"})
    attack = {"$ref": "#/definitions/attack"}
    return any_of({"const": AUTO}, {"type": "array", "items": any_of(named, attack), "minItems": least}, attack)


_KEYS: dict[str, Callable[[], Schema]] = {
    "trajectory": lambda: or_null(_fields(_single, without=("protocol",))),
    "grid": lambda: _fields(_several) | {"minProperties": 1},
    "search": lambda: or_null(_section("search")),
    "transfer": lambda: or_null(_section("transfer")),
    "resources": _resources,
    "verdicts": lambda: _section("verdicts"),
    "loggers": _loggers,
    "search.space": lambda: _fields(_space, without=NOT_SEARCHED) | {"minProperties": 1},
    "search.metric": lambda: {"enum": [*METRICS]},
    "search.scheduler": _scheduler,
    "transfer.where": lambda: or_null(_fields(lambda name: any_of(_single(name), _several(name)))),
}
"""The keys whose type does not say what a sweep file may hold."""

_FIELDS: dict[str, Callable[[], Schema]] = {
    "dataset": lambda: any_of({"enum": [*DATASETS]}, {"type": "string"}),
    "model": lambda: any_of({"enum": [*MODELS, *MODULES]}, REFERENCE),
    "model_args": lambda: {"type": "object"},
    "rewind_to": _rewind_to,
    "eval_attacks": lambda: _attacks(1),
    "end_attacks": lambda: _attacks(0),
}
"""The same of fields."""
