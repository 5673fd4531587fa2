"""Renames results of older versions of lthray whose ids are no longer those of their fields.

Everything is written under the new id before anything is removed under the old one, and `rounds` are written and
removed last. So a migration that is killed at any moment and run again ends the same, on object stores too.
"""

import json
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from lthray import files
from lthray.files import names
from lthray.spec.search import Sample
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import sources
from lthray.store.folder import FILES, READERS, SWEEP, Store
from lthray.store.sources import Source
from lthray.store.tables import TABLES, refit


@dataclass(frozen=True)
class Outdated:
    """Results that are not named by the id of their fields."""

    trajectories: dict[str, TrajectorySpec]
    """The trajectories by their outdated ids."""
    sources: dict[str, Source]
    """The copied sources, with their current ids and fields, by their outdated ids."""
    samples: dict[str, str]
    """The current names of a search's samples, by the names of their files."""

    def __bool__(self) -> bool:
        return bool(self.trajectories or self.sources or self.samples)

    def __str__(self) -> str:
        counts = {
            "trajectories": len(self.trajectories),
            "sources": len(self.sources),
            "samples": len(self.samples),
        }
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def find_outdated(store: Store, expected: Collection[str]) -> Outdated:
    """What has to be migrated. Files with fields unknown to this version, from a newer one, are left alone.

    Args:
        store: The results folder, which may not be there.
        expected: Ids known to be right; files named by them are not read.

    Raises:
        InputError: a file is damaged.
    """
    renamed = {}
    for source in sources.copied(store):
        spec = _spec(source.fields, {})
        if spec and spec.trajectory_id != source.trajectory_id:
            renamed[source.trajectory_id] = replace(source, trajectory_id=spec.trajectory_id, fields=spec.flat())
    ids = {name: source.trajectory_id for name, source in renamed.items()}
    parts = ("rounds", "curves", "failures")
    begun = sorted({name for part in parts for name in names(store.folder / part, FILES[part])}.difference(expected))
    with ThreadPoolExecutor(READERS) as readers:
        specs = dict(zip(begun, readers.map(partial(_trajectory, store, ids), begun), strict=True))
    moved = {name: spec for name, spec in specs.items() if spec and spec.trajectory_id != name}
    return Outdated(moved, renamed, _samples(store))


def migrate(store: Store, outdated: Outdated) -> None:
    """Renames what `find_outdated` returned. The caller holds the folder's lock.

    Raises:
        InputError: a file is damaged.
        OSError: a file can't be read, written or removed; run it again to continue.
    """
    store.remove_merged()
    for old, source in outdated.sources.items():
        _copy_source(store, old, source)
    for old, spec in outdated.trajectories.items():
        finished = store.rounds_done(spec.trajectory_id)
        if not finished or finished < store.rounds_done(old):
            _write_anew(store, old, spec)
        _remove(store, old)
    for old in outdated.sources:
        for suffix in (".safetensors", ".json"):
            (store.folder / sources.FOLDER / f"{old}{suffix}").unlink(missing_ok=True)
    for old, new in outdated.samples.items():
        files.move(store.folder / "samples" / f"{old}.json", store.folder / "samples" / f"{new}.json")


def _trajectory(store: Store, ids: Mapping[str, str], name: str) -> TrajectorySpec | None:
    """The trajectory whose files are named `name`, as they describe it; None where they do not."""
    for part in ("rounds", "curves"):
        if fields := store.fields(part, name):
            return _spec(fields, ids)
    try:
        return _spec(json.loads(files.read(store.path("failures", name)))["fields"], ids)
    except (FileNotFoundError, ValueError, KeyError):
        return None


def _spec(fields: Mapping[str, Any], ids: Mapping[str, str]) -> TrajectorySpec | None:
    """The trajectory of a file's fields, its source by the current id; None where this version does not know them."""
    source = fields.get("transfer.source", "")
    try:
        return TrajectorySpec.from_flat({**fields, "transfer.source": ids.get(source, source)})
    except ValidationError:
        return None


def _samples(store: Store) -> dict[str, str]:
    folder = store.folder / "samples"
    if not (stored := names(folder, ".json")):
        return {}
    sweep, _ = load(store.folder / SWEEP)
    renamed = {}
    for name in stored:
        record = json.loads(files.read(folder / f"{name}.json"))
        current = sweep.sample_id(Sample(record["cell"], record["drawn"]))
        if current != name:
            renamed[name] = current
    return renamed


def _copy_source(store: Store, old: str, source: Source) -> None:
    folder = store.folder / sources.FOLDER
    if not (folder / f"{source.trajectory_id}.json").exists():  # the last file of a copy to be written
        masks = files.read(folder / f"{old}.safetensors")
        files.replace(folder / f"{source.trajectory_id}.safetensors", masks)
        files.replace(folder / f"{source.trajectory_id}.json", json.dumps(asdict(source), indent=1).encode())


def _write_anew(store: Store, old: str, spec: TrajectorySpec) -> None:
    new = spec.trajectory_id
    for name in names(store.tickets(old), ""):
        files.move(store.tickets(old) / name, store.tickets(new) / name)
    for part in ("failures", "stopped"):
        if (path := store.path(part, old)).exists():
            record = json.loads(files.read(path)) | {"trajectory_id": new}
            record |= {"fields": spec.flat()} if "fields" in record else {}
            files.replace(store.path(part, new), json.dumps(record, indent=1).encode())
    for part in ("evaluations", "curves", "rounds"):
        if (table := store.read(part, old)) is not None:
            store.write_table(part, new, refit(table, TABLES[part], spec))


def _remove(store: Store, old: str) -> None:
    tickets = store.tickets(old)
    for name in names(tickets, ""):
        (tickets / name).unlink(missing_ok=True)
    if files.is_local(tickets) and tickets.is_dir():
        tickets.rmdir()
    for part in ("stopped", "evaluations", "failures", "curves", "rounds"):
        store.path(part, old).unlink(missing_ok=True)
