"""The sweep file: YAML and `--set` in, a validated sweep and its trajectories out."""

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from upath import UPath

from lthray.errors import InputError
from lthray.files import read
from lthray.spec.explain import explain, kind
from lthray.spec.field_names import FIELDS, GROUPS, by_dotted_name, did_you_mean, is_field
from lthray.spec.own import OwnFacts
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.yaml_text import read_assignment, read_yaml

SECTIONS_OF_FIELDS = ("trajectory", "grid", "search.space", "transfer.where")
"""The mappings of a sweep file whose keys are fields of a trajectory."""


LookUp = Callable[[SweepSpec, Path], OwnFacts]
"""Looks up what a sweep needs to know of the user's own data, networks and code, from its file's folder."""


def load(
    source: Path | UPath | Mapping[str, Any], sets: Sequence[str] = (), look_up: LookUp | None = None
) -> tuple[SweepSpec, list[TrajectorySpec]]:
    """Reads a sweep file, applies `--set key=value` in order, and expands the grid.

    Args:
        source: The sweep file, or what it would hold; relative paths are then looked up in the working folder.
        sets: The values of `--set`.
        look_up: Looks up the user's own data, networks and code; the `sweep.yaml` of results has them already.

    Raises:
        InputError: the file can't be read; it or a `--set` has an unknown key, a wrong type, an impossible value or
            an empty grid; two cells are the same trajectory.
    """
    if isinstance(source, Mapping):
        tree: object = dict(source)
        place, folder = "sweep", Path.cwd()
    else:
        tree, place, folder = _read(source), str(source), Path(str(source)).absolute().parent
    try:
        sweep = parse(tree, sets)
        if look_up:
            sweep = sweep.model_copy(update={"own": look_up(sweep, folder)})
        return sweep, sweep.trajectories()
    except InputError as error:
        raise error.prefixed(f"{place}: {_named_by(sets, str(error))}") from None


def _read(path: Path | UPath) -> object:
    try:
        text = read(UPath(path)).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    return read_yaml(text, str(path))


def parse(tree: object, sets: Sequence[str] = ()) -> SweepSpec:
    """Validates a sweep file's content, but not yet the values of its trajectories; see `load`."""
    if not isinstance(tree, dict):
        raise InputError(f"found {kind(tree)}, but a sweep file is a mapping of {', '.join(SweepSpec.model_fields)}")
    tree = deepcopy(tree)
    for assignment in sets:
        key, value = read_assignment("--set", assignment, "iterations=2000")
        try:
            _assign(tree, key, value)
        except InputError as error:
            raise InputError(f"--set {assignment}: {error}") from None
    try:
        return SweepSpec.model_validate(tree)
    except ValidationError as error:
        raise InputError(explain(error, SweepSpec)) from None


def _assign(tree: dict[str, Any], key: str, value: Any) -> None:
    """Applies one `--set`. A field of the trajectory, or `protocol`, is then no longer varied.

    Raises:
        InputError: its key is unknown, or the key's parent is not a mapping.
    """
    if key.partition(".")[0] not in SweepSpec.model_fields:
        if not is_field(key) and key not in GROUPS:
            raise InputError(f"{key}: unknown key{did_you_mean(key, [*FIELDS, *SweepSpec.model_fields])}")
        key = f"trajectory.{key}"
    section = next((name for name in SECTIONS_OF_FIELDS if key.startswith(f"{name}.")), None)
    if section:
        fields = by_dotted_name({key.removeprefix(f"{section}."): value})
        _mapping_at(tree, section).update(fields)
        if section == "trajectory":
            _stop_varying(tree, fields)
        return
    parent, _, name = key.rpartition(".")
    mapping = _mapping_at(tree, parent)
    if key == "resources" and isinstance(value, dict):  # resources that are not named keep their values
        value = _mapping_at(tree, key) | value
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
    if tree.get("search"):
        space = _mapping_at(tree, "search.space")
        for field in fields:
            space.pop(field, None)


def _named_by(sets: Sequence[str], line: str) -> str:
    """The last `--set` of the key that an error is about, to begin the error's line with; empty without one."""
    key = line.partition(":")[0]
    for assignment in reversed(sets):
        name = assignment.partition("=")[0]
        if f"{key}.".startswith((f"{name}.", f"trajectory.{name}.")):
            return f"--set {assignment}: "
    return ""
