"""Tables in the content of Parquet files."""

import subprocess
import sys

import pyarrow as pa
import pytest

from lthray.store import parquet
from tests.helpers import environment

TABLE = pa.table({"a": [1, 2], "b": ["x", None]}).replace_schema_metadata({"unit": "it"})


def test_a_table_comes_back_with_its_metadata_whole_or_in_part():
    content = parquet.to_bytes(TABLE)
    assert parquet.from_bytes(content).equals(TABLE, check_metadata=True)
    assert parquet.from_bytes(content, ["b"]).to_pydict() == {"b": ["x", None]}


def test_what_is_not_there_is_an_error_of_arrow():
    content = parquet.to_bytes(TABLE)
    with pytest.raises(pa.ArrowException, match="there is no column c"):
        parquet.from_bytes(content, ["a", "c"])
    with pytest.raises(pa.ArrowException):
        parquet.from_bytes(content[:-9])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc has the threads of a process")
def test_reading_starts_no_thread_that_could_outlive_the_interpreter():
    code = (
        "import os, pyarrow as pa; from lthray.store import parquet\n"
        "threads = lambda: len(os.listdir('/proc/self/task'))\n"
        "content = parquet.to_bytes(pa.table({'a': list(range(9)), 'b': [1.5] * 9})); before = threads()\n"
        "for columns in (None, ['a'], ['a', 'b']): parquet.from_bytes(content, columns)\n"
        "print(threads() - before)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    assert process.stdout.strip() == "0"
