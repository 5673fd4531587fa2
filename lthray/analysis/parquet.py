"""Reads the Parquet files of a results folder's tables, whichever versions of lthray wrote them."""

import io
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from lthray.analysis.numbers.fields import FIELD, ROLES, UNITS
from lthray.errors import first_line
from lthray.files import read

Filters = list[tuple[str, str, Any]] | list[list[tuple[str, str, Any]]]
"""Conditions as `pyarrow.parquet.read_table` takes them: joined by and, or lists of such joined by or."""


class NotResultsError(ValueError):
    """A folder that holds no readable results; the message is one line that names the folder and what is missing."""


def list_files(folder: UPath, suffix: str) -> list[UPath]:
    """The finished files of a folder; a leading dot marks one that is being written."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if path.name.endswith(suffix) and path.name[0] != "."), key=str)


def read_tables(folder: UPath, columns: list[str] | None = None, filters: Filters | None = None) -> list[pa.Table]:
    """A table's rows, file by file.

    Args:
        folder: The table's folder, with one file for each trajectory.
        columns: The columns to read, all when None.
        filters: The rows to read, all when None.

    Raises:
        NotResultsError: A file cannot be read, or lacks a column.
    """
    with ThreadPoolExecutor() as threads:
        tables = threads.map(lambda path: _read_table(path, columns, filters), list_files(folder, ".parquet"))
        return [table for table in tables if table is not None]


def _read_table(path: UPath, columns: list[str] | None, filters: Filters | None) -> pa.Table | None:
    """A file's table, None if the file is gone; with one handle, a file replaced meanwhile is read as it was."""
    try:
        with path.open("rb") if not path.protocol else io.BytesIO(read(path)) as handle:
            return pq.read_table(handle, columns=columns, filters=filters, use_threads=False)
    except FileNotFoundError:
        return None
    except pa.ArrowException as error:
        raise NotResultsError(f"{path}: {first_line(error)}") from error


def add_label(table: pa.Table, label: str) -> pa.Table:
    """The table with a first column `folder`."""
    column = pa.field("folder", pa.string(), metadata={"role": FIELD})
    return table.add_column(0, column, pa.array([label] * len(table), pa.string()))


def concatenate(tables: list[pa.Table], *, categories: bool = False) -> pd.DataFrame:
    """The rows of several files as one frame, whose `attrs` have the columns' roles and units.

    A field of trajectories that a file lacks, because a later version added it, has the base value that the files with
    the field say; any other column is null there.

    Args:
        tables: The tables, at least one.
        categories: Whether text becomes categories, to save memory.
    """
    tables = _with_base_values(tables)
    if categories:
        tables = [_with_categories(table) for table in tables]
    whole = pa.concat_tables(tables, promote_options="permissive")
    frame: pd.DataFrame = (whole.unify_dictionaries() if categories else whole).to_pandas()
    frame.attrs = {ROLES: _read_metadata(whole.schema, b"role"), UNITS: _read_metadata(whole.schema, b"unit")}
    return frame


def _with_base_values(tables: list[pa.Table]) -> list[pa.Table]:
    fields = {column.name: column for table in tables for column in table.schema if b"base" in (column.metadata or {})}
    return [
        _append_fields(table, [column for name, column in fields.items() if name not in table.column_names])
        for table in tables
    ]


def _append_fields(table: pa.Table, fields: Iterable[pa.Field]) -> pa.Table:
    for column in fields:
        base = pa.scalar(json.loads(column.metadata[b"base"]), column.type)
        table = table.append_column(column, pa.repeat(base, len(table)))
    return table


def _read_metadata(schema: pa.Schema, key: bytes) -> dict[str, str]:
    """What files say of their columns, by column; files of lthray 0.1 say nothing (see `field_columns`)."""
    values = {column.name: (column.metadata or {}).get(key) for column in schema}
    return {name: value.decode() for name, value in values.items() if value is not None}


def _with_categories(table: pa.Table) -> pa.Table:
    for place, column in enumerate(table.schema):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            encoded = table.column(place).dictionary_encode()
            table = table.set_column(place, column.with_type(encoded.type), encoded)
    return table
