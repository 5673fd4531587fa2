"""The sections of a sweep file before they are validated: known names, fields by dotted name, and `--set` applied."""

from collections.abc import Collection, Mapping
from typing import Any

from lthray.errors import InputError
from lthray.spec.dotted import nest
from lthray.spec.field_names import FIELDS, GROUPS, kind, known_fields, nearest
from lthray.spec.presets import PRESETS
from lthray.spec.search import search_section, set_search
from lthray.spec.transfer import set_transfer, transfer_section
from lthray.spec.yaml_text import read_yaml


def sections_of(tree: Mapping[Any, Any], known: Collection[str]) -> dict[str, Any]:
    """A file's sections, each of a known form, with fields by dotted name.

    Args:
        tree: The file's content.
        known: The names of the sections.

    Raises:
        InputError: a section or a field is not known, or is not of its form.
    """
    for name in tree:
        if name not in known:
            hint = f" (a field of trajectory: trajectory.{name})" if name in FIELDS or name in GROUPS else ""
            raise InputError(f"{name}: unknown key{hint or nearest(name, known)}")
    for name in ("trajectory", "grid", "resources"):
        if name in tree and not isinstance(tree[name], dict):
            raise InputError(f"{name}: found {kind(tree[name])}, but it is a mapping of keys to values")
    sections = dict(tree) | {"trajectory": known_fields(tree.get("trajectory", {}), "trajectory")}
    if "grid" in tree:
        sections["grid"] = _grid(tree["grid"])
    if tree.get("search") is not None:
        sections["search"] = search_section(tree["search"])
    if tree.get("transfer") is not None:
        sections["transfer"] = transfer_section(tree["transfer"])
    return sections


def _grid(tree: Mapping[str, Any]) -> dict[str, Any]:
    if not tree:
        raise InputError("grid: is empty, but it needs at least one field with values, for example seed: [0, 1]")
    grid = known_fields(tree, "grid")
    for name, values in grid.items():
        if not isinstance(values, list):
            raise InputError(f"grid.{name}: found {values!r}, but it is a list of values, for example [{values}]")
        if not values:
            raise InputError(f"grid.{name}: is empty, but every grid key needs at least one value")
    allowed = list(PRESETS)
    for value in grid.get("protocol", []):
        if value not in allowed:
            raise InputError(f"grid.protocol: found {value!r}, but allowed are {', '.join(allowed)}")
    return grid


def assign(sections: dict[str, Any], assignment: str, known: Collection[str]) -> None:
    """Applies one `--set`; a field fixed this way is taken out of the grid.

    Raises:
        InputError: it does not read key=value, or as in `sections_of`.
    """
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise InputError(f"--set {assignment}: it reads key=value, for example --set iterations=2000")
    value = read_yaml(text, f"--set {key}")
    section, _, rest = key.partition(".")
    try:
        if key == "grid":
            sections["grid"] = _grid(value if isinstance(value, dict) else {})
        elif section == "grid":
            sections["grid"] = sections.get("grid", {}) | _grid(nest({rest: value}))
        elif section == "resources":
            given = {rest: value} if rest else value
            if not isinstance(given, dict):
                raise InputError(f"resources: found {value!r}, but it is a mapping of keys to values")
            sections["resources"] = sections.get("resources", {}) | given
        elif section == "search":
            sections["search"] = set_search(sections.get("search"), rest, value)
        elif section == "transfer":
            sections["transfer"] = set_transfer(sections.get("transfer"), rest, value)
        elif key in ("name", "protocol", "loggers"):
            sections[key] = value
            sections.get("grid", {}).pop(key, None)
        else:
            _fix(sections, key, rest if section == "trajectory" else key, value, known)
    except InputError as error:
        raise InputError(f"--set {assignment}: {error}") from None


def _fix(sections: dict[str, Any], key: str, name: str, value: object, known: Collection[str]) -> None:
    """Fixes a field, or the fields of a group, which then leave the grid and the search."""
    if name not in FIELDS and name not in GROUPS:
        raise InputError(f"{key}: unknown key{nearest(name, [*FIELDS, *known])}")
    for field, fixed in known_fields(nest({name: value}), "trajectory").items():
        sections["trajectory"][field] = fixed
        sections.get("grid", {}).pop(field, None)
        (sections.get("search") or {}).get("space", {}).pop(field, None)
