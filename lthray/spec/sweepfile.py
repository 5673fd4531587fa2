"""The sweep file: YAML and `--set` in, a validated sweep and its trajectories out."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from upath import UPath

from lthray.errors import InputError
from lthray.files import read
from lthray.spec.assignments import assign, read_set
from lthray.spec.explain import explain, kind
from lthray.spec.own import OwnFacts
from lthray.spec.sections import rename_resources
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.yaml_text import read_yaml

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
    if "resources" in tree:
        tree["resources"] = rename_resources(tree["resources"])
    for text in sets:
        assignment = read_set(text)
        try:
            assign(tree, assignment)
        except InputError as error:
            raise InputError(f"--set {text}: {error}") from None
    try:
        return SweepSpec.model_validate(tree)
    except ValidationError as error:
        raise InputError(explain(error, SweepSpec)) from None


def _named_by(sets: Sequence[str], line: str) -> str:
    """The last `--set` of the key that an error is about, to begin the error's line with; empty without one."""
    key = line.partition(":")[0]
    if key.startswith("--set "):
        return ""
    for text in reversed(sets):
        if f"{key}.".startswith((f"{text.partition('=')[0]}.", f"{read_set(text).key}.")):
            return f"--set {text}: "
    return ""
