"""Merged tables, `rounds.parquet` and `evaluations.parquet`: the rows of all trajectories in one file, for readers.

A trajectory's file is mostly footer, and thousands of files are slow to open. lthray itself reads only the files of the
trajectories. A merged table says in its metadata, under `lthray`, how many trajectories it holds, and the digest of the
files that it was made from. Whatever writes rows removes it first (`Store.write_table`); files that were copied or
deleted by hand show in the digest.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from lthray import files
from lthray.errors import InputError, first_line
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import parquet
from lthray.store.folder import FILES, MERGED, READERS, Store
from lthray.store.tables import TABLES, refit

METADATA = b"lthray"


@dataclass(frozen=True)
class Merged:
    """A merged table that was written."""

    name: str
    """Its file's name."""
    trajectories: int
    rows: int


def update_columns(store: Store, part: str) -> int:
    """Gives each trajectory's file of a table the columns of this version of lthray. The caller holds the lock.

    A field that the file lacks gets its base value, a missing measure is null (`tables.refit`). A file is left alone if
    it has columns or values that this version does not know, or if another version gave the trajectory its id.

    Returns:
        The number of files that had other columns.

    Raises:
        InputError: a file is damaged.
        OSError: a file can't be written.
    """
    with ThreadPoolExecutor(READERS) as workers:
        return sum(workers.map(partial(_update, store, part), files.names(store.folder / part, FILES[part])))


def merge(store: Store) -> list[Merged]:
    """Writes the merged tables, sorted by trajectory and round as the files are. The caller holds the folder's lock.

    Columns that only some files have are null in the rows of the others.

    Returns:
        The tables that were written; a table without rows is not.

    Raises:
        InputError: a file is damaged, or two files have columns of the same name and of types that differ.
        OSError: a table can't be written.
    """
    return [merged for part in MERGED if (merged := _merge(store, part))]


def find_stale(store: Store) -> list[str]:
    """The file names of the merged tables that were not made from the trajectories' files as they are now."""
    return [store.merged(part).name for part in MERGED if _is_stale(store, part)]


def _is_outdated(store: Store, part: str, name: str) -> bool:
    path = store.path(part, name)
    try:
        with path.open("rb") as file:
            schema = pq.read_schema(file)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: can't be read ({first_line(error)})") from None
    known = set(schema.names) <= set(TABLES[part].names)
    return known and not schema.equals(TABLES[part], check_metadata=True)


def _update(store: Store, part: str, name: str) -> bool:
    if not _is_outdated(store, part, name):
        return False
    table, fields = store.read(part, name), store.fields(part, name)
    try:
        spec = TrajectorySpec.from_flat(fields) if fields else None
    except ValidationError:
        return False
    if table is None or spec is None or spec.trajectory_id != name:
        return False
    store.write_table(part, name, refit(table, TABLES[part], spec))
    return True


def _merge(store: Store, part: str) -> Merged | None:
    contents = dict(_contents(store, part))
    if not contents:
        return None
    tables = []
    for name, content in contents.items():
        try:
            tables.append(parquet.from_bytes(content))
        except pa.ArrowException as error:
            raise InputError(f"{store.path(part, name)}: can't be read ({first_line(error)})") from None
    try:
        table = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise InputError(f"{store.folder / part}: files can't be merged: {first_line(error)}") from None
    summary = {"trajectories": len(contents), "rows": len(table), "digest": _digest(contents)}
    table = table.replace_schema_metadata({METADATA: json.dumps(summary)})
    files.replace(store.merged(part), parquet.to_bytes(table))
    return Merged(store.merged(part).name, len(contents), len(table))


def _is_stale(store: Store, part: str) -> bool:
    try:
        schema = pq.read_schema(io.BytesIO(files.read(store.merged(part))))
    except FileNotFoundError:
        return False
    except pa.ArrowException:
        return True
    summary = json.loads((schema.metadata or {}).get(METADATA, b"{}"))
    return bool(summary.get("digest") != _digest(dict(_contents(store, part))))


def _contents(store: Store, part: str) -> Iterator[tuple[str, bytes]]:
    """The content of each trajectory's file of a table, by the trajectory's id."""
    names = files.names(store.folder / part, FILES[part])
    with ThreadPoolExecutor(READERS) as readers:
        yield from zip(names, readers.map(lambda name: files.read(store.path(part, name)), names), strict=True)


def _digest(contents: dict[str, bytes]) -> str:
    """Sixteen hex digits: a hash of files' names and contents."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()[:16]
