"""The fields of a trajectory by their dotted names, as the sections of a sweep file give them."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_origin

from pydantic import AfterValidator

from lthray.spec.attack_settings import OwnSettings
from lthray.spec.identity import leaves
from lthray.spec.numbers import reader
from lthray.spec.own import ARGUMENTS
from lthray.spec.presets import preset
from lthray.spec.suggestions import did_you_mean
from lthray.spec.trajectory import ATTACK_LISTS, TrajectorySpec

FIELDS = tuple(preset("paper"))
"""The dotted names of a trajectory's fields."""

GROUPS = {name.rpartition(".")[0] for name in FIELDS if "." in name}
"""The names of the groups that hold fields: `pgd`, `prune`, `prune.rates`, ..."""


FULL_LIST = "lthray explain lists them all"
"""Where the user finds all names."""


def by_dotted_name(section: object) -> Any:
    """A section with its fields under dotted names: `pgd: {steps: 4}` becomes `pgd.steps: 4`.

    Only groups of fields are flattened, so a mapping that is a field's value stays whole. An empty section becomes an
    empty mapping; any other value that is not a mapping is returned unchanged, and pydantic refuses it.
    """
    if section is None:
        return {}
    return _flatten(section, "") if isinstance(section, Mapping) else section


def _flatten(tree: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if name in GROUPS and isinstance(value, Mapping) else {name: value}
    return flat


_READERS = {name: reader(field.annotation, field.metadata) for name, field in leaves(TrajectorySpec)}
_SCALARS = {name for name, field in leaves(TrajectorySpec) if get_origin(field.annotation) is not tuple}
_SETTINGS = {name: reader(field.annotation, field.metadata) for name, field in OwnSettings.model_fields.items()}
"""What reads the numbers of each field, and of each setting of an attack; None for what takes none."""


def read_fields(section: object) -> Any:
    """A section as `by_dotted_name` gives it, with numbers for what is written as 8/255, and 10000 for 1e4."""
    fields = by_dotted_name(section)
    if not isinstance(fields, Mapping):
        return fields
    return {
        name: _read_settings(value) if name in ATTACK_LISTS else _read(value, _READERS.get(name))
        for name, value in fields.items()
    }


def _read(value: Any, read: Callable[[object], object] | None) -> Any:
    """A value with its numbers read, at any depth: of a list, a grid's values, or the arguments of a search space."""
    if read is None:
        return value
    if isinstance(value, list):
        return [_read(part, read) for part in value]
    if isinstance(value, Mapping):
        return {name: _read(part, read) for name, part in value.items()}
    return read(value)


def _read_settings(attacks: Any) -> Any:
    """Attacks, in lists and mappings, with the numbers of their settings read."""
    if isinstance(attacks, list):
        return [_read_settings(attack) for attack in attacks]
    if isinstance(attacks, Mapping):
        return {
            name: _read(value, _SETTINGS[name]) if name in _SETTINGS else _read_settings(value)
            for name, value in attacks.items()
        }
    return attacks


def is_list(name: str) -> bool:
    """Whether a field's value is itself a list or a mapping, or may be: an argument of a network's function may."""
    return name not in _SCALARS


def has_several_values(name: str, value: object) -> bool:
    """Whether a value is a list of values of this field rather than a single one."""
    if not isinstance(value, list) or name not in FIELDS:
        return False
    return not is_list(name) or (name != "model_args" and any(isinstance(part, list) for part in value))


def takes_number(name: str) -> bool:
    """Whether the value of a field is a number, or a list of numbers."""
    return _READERS.get(name) is not None


def is_field(name: str) -> bool:
    """Whether this is the dotted name of a field, or of one argument of the network's function."""
    return name in FIELDS or (name.startswith(ARGUMENTS) and name.removeprefix(ARGUMENTS).isidentifier())


def _check_name(name: str) -> str:
    if name in GROUPS:
        raise ValueError(f"is a group of {', '.join(field for field in FIELDS if field.startswith(f'{name}.'))}")
    if not is_field(name):
        raise ValueError(f"unknown key{did_you_mean(name, FIELDS, FULL_LIST)}")
    return name


FieldName = Annotated[str, AfterValidator(_check_name)]
"""The dotted name of a field."""


def refuse(reasons: Mapping[str, str]) -> AfterValidator:
    """Refuses some names, each with its reason."""

    def check(name: str) -> str:
        if name in reasons:
            raise ValueError(reasons[name])
        return name

    return AfterValidator(check)
