"""Tables as the content of Parquet files."""

import io

import pyarrow as pa
import pyarrow.parquet as pq


def to_bytes(table: pa.Table) -> bytes:
    """A table as the content of a Parquet file."""
    content = io.BytesIO()
    pq.write_table(table, content, compression="zstd")
    return content.getvalue()


def from_bytes(content: bytes, columns: list[str] | None = None) -> pa.Table:
    """The table, or some of its columns, in the content of a Parquet file.

    Arrow starts no thread for it, as it would for `read_table` or for a file object of Python's. A thread that still
    holds such an object when the interpreter ends takes the whole process down ("terminate called without an active
    exception").

    Raises:
        ArrowException: it is no Parquet file, or has no such column.
    """
    table = pq.ParquetFile(pa.BufferReader(content)).read(columns, use_threads=False)
    if missing := set(columns or ()) - set(table.column_names):
        raise pa.ArrowInvalid(f"there is no column {', '.join(sorted(missing))}")
    return table
