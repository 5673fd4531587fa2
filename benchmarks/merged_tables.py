"""What a merged table saves: size, and the time to read it, beside the files of the trajectories.

    python benchmarks/merged_tables.py DIR

Reads the results folder DIR, merges each table into a temporary file as `lthray compact` does, and prints for both the
size, and the seconds in which pandas, DuckDB and polars read all rows of three columns.
`benchmarks/synthetic_results.py` makes a large folder.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from lthray.store import parquet
from lthray.store.tables import TABLES

COLUMNS = ["trajectory_id", "round", "weights_remaining"]
_TRIES = 3


def main() -> None:
    """Prints a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(f"{'table':12}{'':8}{'files':>7}{'MB':>9}{'footers':>9}{'pandas s':>10}{'DuckDB s':>10}{'polars s':>10}")
    with tempfile.TemporaryDirectory() as scratch:
        for part in TABLES:
            if files := sorted((folder / part).glob("*.parquet")):
                whole = pa.concat_tables([pq.read_table(file) for file in files], promote_options="permissive")
                merged = Path(scratch) / f"{part}.parquet"
                merged.write_bytes(parquet.to_bytes(whole))
                print(f"{part:12}{'files':8}{measure(folder / part, files)}")
                print(f"{'':12}{'merged':8}{measure(merged, [merged])}")


def measure(source: Path, files: list[Path]) -> str:
    """The cells of a line: files, megabytes, the share of footers in them, and seconds with each reader."""
    size = sum(file.stat().st_size for file in files)
    footers = sum(footer(file) for file in files)
    pattern = str(source / "*.parquet" if source.is_dir() else source)
    cells = [
        seconds(lambda: pd.read_parquet(source, columns=COLUMNS)),
        seconds(lambda: duckdb.read_parquet(pattern, union_by_name=True).select(*COLUMNS).fetchnumpy()),
        seconds(lambda: pl.scan_parquet(pattern, missing_columns="insert").select(COLUMNS).collect()),
    ]
    return f"{len(files):7,}{size / 1e6:9.2f}{footers / size:9.0%}" + "".join(f"{cell:10.3f}" for cell in cells)


def footer(file: Path) -> int:
    """The bytes of a Parquet file that describe its columns: its footer, whose length precedes the closing PAR1."""
    with file.open("rb") as handle:
        handle.seek(-8, 2)
        return int.from_bytes(handle.read(4), "little") + 8


def seconds(read: Callable[[], Any]) -> float:
    """The least time of a few."""
    times = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        read()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
