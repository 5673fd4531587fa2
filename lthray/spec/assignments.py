"""`--set key=value`: read as people write it, and applied to the content of a sweep file."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from lthray.errors import InputError
from lthray.spec.explain import kind
from lthray.spec.field_names import (
    FIELDS,
    FULL_LIST,
    GROUPS,
    by_dotted_name,
    is_field,
    is_list,
    read_fields,
    takes_number,
)
from lthray.spec.reference import SECTIONS, describe_fields
from lthray.spec.sections import ALIASES, rename_resources
from lthray.spec.suggestions import did_you_mean
from lthray.spec.sweep import SweepSpec
from lthray.spec.yaml_text import read_assignment, read_yaml, write_line

SECTIONS_OF_FIELDS = ("trajectory", "grid", "search.space", "transfer.where")
"""The mappings of a sweep file whose keys are fields of a trajectory."""
KEYS = (*FIELDS, *(field.name for field in describe_fields() if field.group in SECTIONS), *SweepSpec.model_fields)
"""What an unknown key may stand for."""


@dataclass(frozen=True)
class Assignment:
    """What a `--set` means."""

    key: str
    """Dotted key from the top of the sweep file: `trajectory.pgd.steps`."""
    value: Any
    taken_as: str
    """The plain way to write it, where it was written in another; else empty."""


def read_set(text: str) -> Assignment:
    """Reads the argument of `--set`.

    Several values of a field that takes a single one, as a list or with commas between, vary it: they are the grid's.

    Raises:
        InputError: it is not `key=value`, the value is no YAML, the key is unknown, or it can be read in two ways.
    """
    key, value = read_assignment("--set", text, "iterations=2000")
    full = _full_key(key)
    if not full:
        raise InputError(f"--set {text}: {key}: unknown key{did_you_mean(key, KEYS, FULL_LIST)}")
    section, _, field = full.partition(".")
    if full == "protocol":
        section, field = "trajectory", full
    if section not in ("trajectory", "grid") or field not in FIELDS:  # an argument of a network may be any text
        return Assignment(full, value, "")
    listed = _split(text.partition("=")[2], value)
    if is_list(field):
        commas = section == "trajectory" and listed is not value
        return Assignment(full, listed, f"{field}={write_line(listed)}" if commas else "")
    if section == "trajectory" and not isinstance(listed, list):
        return Assignment(full, value, "")
    varied = f"grid.{field}={write_line(listed)}"
    if takes_number(field) and isinstance(value, str) and re.fullmatch(r"\d{1,3}(,\d{3})+", value):
        number = value.replace(",", "")
        raise InputError(f"--set {text}: write {key}={number} for the number, or {varied} for several values")
    return Assignment(f"grid.{field}", listed, varied if section == "trajectory" or listed is not value else "")


def read_where(text: str) -> tuple[str, list[Any]]:
    """Reads the argument of `--where`: a field, and the values that it may have.

    Raises:
        InputError: it is not `field=value`, the value is no YAML, or there is no such field.
    """
    field, value = read_assignment("--where", text, "strategy=reset")
    if field not in FIELDS:
        raise InputError(f"--where {text}: unknown field {field}{did_you_mean(field, FIELDS, FULL_LIST)}")
    values = value if is_list(field) else _split(text.partition("=")[2], value)
    return field, read_fields({field: values if isinstance(values, list) else [values]})[field]


def describe_sets(texts: Sequence[str]) -> list[str]:
    """A line for each `--set` that was not written in the plain way, which says how it was understood."""
    taken = ((text, read_set(text).taken_as) for text in texts)
    return [f"--set {text} is taken as --set '{plain}'" for text, plain in taken if plain]


def _full_key(key: str) -> str:
    """The key from the top of the sweep file; empty for an unknown one."""
    section, _, name = key.partition(".")
    if section == "resources" and name in ALIASES:
        return f"resources.{ALIASES[name]}"
    if section in SweepSpec.model_fields:
        return key
    return f"trajectory.{key}" if is_field(key) or key in GROUPS else ""


def _split(text: str, value: Any) -> Any:
    """The values between the commas of a text without quotes, such as `0,1,2`; any other value unchanged."""
    parts = [part.strip() for part in text.split(",")]
    closed = all(part and part.count("(") == part.count(")") for part in parts)
    if value != text.strip() or len(parts) == 1 or not closed:
        return value
    return [read_yaml(part, "--set") for part in parts]


def assign(tree: dict[str, Any], assignment: Assignment) -> None:
    """Applies a `--set` to a sweep file's content. A field of the trajectory, or `protocol`, is then no longer varied.

    Raises:
        InputError: its key's parent is not a mapping.
    """
    key, value = assignment.key, assignment.value
    section = next((name for name in SECTIONS_OF_FIELDS if key.startswith(f"{name}.")), None)
    if section:
        fields = by_dotted_name({key.removeprefix(f"{section}."): value})
        _mapping_at(tree, section).update(fields)
        if section == "trajectory":
            _stop_varying(tree, fields)
        elif section == "grid" and assignment.taken_as:
            _stop_searching(tree, fields)
        return
    parent, _, name = key.rpartition(".")
    mapping = _mapping_at(tree, parent)
    if key == "resources" and isinstance(value, dict):  # resources that are not named keep their values
        value = _mapping_at(tree, key) | rename_resources(value)
    mapping[name] = value
    if key == "protocol":
        _stop_varying(tree, [key])


def _mapping_at(tree: dict[str, Any], key: str) -> dict[str, Any]:
    """The mapping at a dotted key, made if it is missing, with dotted names of fields; the whole tree at ""."""
    mapping = tree
    for name in key.split(".") if key else ():
        inside = by_dotted_name(mapping.get(name))
        if not isinstance(inside, dict):
            raise InputError(f"{key}: found {kind(inside)}, but it is a mapping of keys to values")
        mapping[name] = inside
        mapping = inside
    return mapping


def _stop_varying(tree: dict[str, Any], fields: Collection[str]) -> None:
    """Removes fields from the search and from the grid; a grid that is left empty is removed too."""
    grid = _mapping_at(tree, "grid") if "grid" in tree else {}
    if any(field in grid for field in fields):
        tree["grid"] = {name: values for name, values in grid.items() if name not in fields}
        if not tree["grid"]:
            del tree["grid"]
    _stop_searching(tree, fields)


def _stop_searching(tree: dict[str, Any], fields: Collection[str]) -> None:
    if tree.get("search"):
        space = _mapping_at(tree, "search.space")
        for field in fields:
            space.pop(field, None)
