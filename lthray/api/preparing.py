"""Preparation of a sweep, by whatever way it is started: its file is read and held against its results folder."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from lthray.driver import samples
from lthray.driver.opening import check_owner
from lthray.driver.own import check_code, look_up
from lthray.errors import InputError
from lthray.spec.shipped import find_sweep
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store

Settings = Mapping[str, Any] | Sequence[str]
"""What overrides keys of a sweep file: a mapping of dotted keys to values, or texts such as `iterations=2000`."""


@dataclass(frozen=True)
class Prepared:
    """A sweep and its results folder, checked against each other; nothing is written yet."""

    sweep: SweepSpec
    trajectories: list[TrajectorySpec]
    """The trajectories that the sweep file names; those of a search are drawn later."""
    folder: str
    """Results folder, as it was named."""
    store: Store
    data_dir: Path
    """Where data sets are, or are downloaded to."""

    def known(self) -> list[TrajectorySpec]:
        """All trajectories that are known now: of a search, those of the samples drawn so far."""
        return samples.trajectories(self.sweep, self.trajectories, self.store)


def prepare(
    sweep: str | os.PathLike[str] | Mapping[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    sets: Settings = (),
    data_dir: str | os.PathLike[str] | None = None,
    accept_changed_code: bool = False,
    force: bool = False,
) -> Prepared:
    """Reads a sweep and checks it against its results folder.

    Args:
        sweep: Its file, the name of a shipped sweep, or what such a file holds; files that a mapping names are looked
            up in the working folder.
        out: Results folder, by path or URL; by default `results/` and the sweep's name.
        sets: Overrides keys of the file.
        data_dir: Where data sets are, or are downloaded to; by default `data_folder`.
        accept_changed_code: Whether finished rounds may have been trained by other code of the user's.
        force: Whether the folder may hold another sweep.

    Raises:
        InputError: the sweep is not valid, or the folder holds other results.
    """
    source = _as_plain(sweep, "sweep") if isinstance(sweep, Mapping) else find_sweep(Path(sweep))
    data = data_folder(data_dir)
    spec, trajectories = load(source, _assignments(sets), partial(look_up, data_dir=data))
    folder = str(out) if out else str(Path("results") / spec.name)
    store = Store(folder)
    if not force:
        check_owner(store, spec, trajectories)
    if not accept_changed_code:
        check_code(store, trajectories)
    return Prepared(spec, trajectories, folder, store, data)


def _assignments(sets: Settings) -> list[str]:
    if not isinstance(sets, Mapping):
        return list(sets)
    return [f"{key}={json.dumps(_as_plain(value, key), ensure_ascii=False)}" for key, value in sets.items()]


def _as_plain(value: object, place: str) -> Any:
    """A value as a sweep file would give it: lists for tuples, ranges and arrays, text for paths.

    No two parts of it are the same object, which YAML would write as an alias.

    Raises:
        InputError: a sweep file can't hold it.
    """

    def convert(part: object) -> object:
        if isinstance(part, np.ndarray | np.generic):
            return part.tolist()
        if isinstance(part, Mapping):
            return dict(part)
        if isinstance(part, range):
            return list(part)
        if isinstance(part, os.PathLike):
            return os.fspath(part)
        allowed = "text, numbers, true, false, lists and mappings; a class is named as text, such as nets.py:Net"
        raise InputError(f"{place}: found {part!r}, but a sweep file takes {allowed}")

    return json.loads(json.dumps(value, default=convert))


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path:
    """The folder of data sets: `data_dir`, else the environment's LTHRAY_DATA_DIR, else the user's cache folder."""
    folder = data_dir or os.environ.get("LTHRAY_DATA_DIR")
    return Path(folder) if folder else user_cache_path("lthray") / "data"


def resolve_address(address: str | None, option: str = "address") -> str | None:
    """The cluster that an address or RAY_ADDRESS names, None for this machine alone.

    `auto` is the Ray that already runs in this process, if one does; else the cluster that this machine is a node of.

    Args:
        address: What the user gave.
        option: What it is called in an error's line.

    Raises:
        InputError: it is not such an address.
    """
    variable = os.environ.get("RAY_ADDRESS")
    if address == "auto" and "ray" in sys.modules and sys.modules["ray"].is_initialized():
        return str(sys.modules["ray"].get_runtime_context().gcs_address)
    if address == "auto" and variable:  # as Ray reads it, also inside a Ray job
        address = variable
    if address in (None, "local"):
        return None
    name = "RAY_ADDRESS" if address == variable else option
    if address.startswith("ray://"):
        raise InputError(
            f"{name} {address}: Ray Client is not supported; send the sweep with lthray submit --address"
            " http://HEAD:8265, or run lthray on a machine of the cluster with --address HOST:PORT"
        )
    if address != "auto" and not re.fullmatch(r"[^/\s]+:\d+", address):
        raise InputError(f"{name} {address}: allowed are auto, local, and HOST:PORT such as 10.0.0.5:6379")
    return address
