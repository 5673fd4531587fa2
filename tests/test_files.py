"""Files on a real disk, on a real S3 server, and on a storage that only knows how to rename."""

import os
import threading
import time
from pathlib import Path

import pytest
from s3fs import S3FileSystem
from upath import UPath

from lthray import files
from lthray.errors import InputError


@pytest.fixture(params=["disk", "s3", "memory"])
def folder(request, tmp_path) -> UPath:
    if request.param == "disk":
        return files.location(tmp_path / "results")
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return files.location(f"memory://{tmp_path.name}/results")


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(folder):
    file = folder / "rounds" / "a.parquet"
    for content in (b"old", b"new and longer"):
        files.replace(file, content)
        assert file.read_bytes() == content
    assert [path.name for path in file.parent.iterdir()] == ["a.parquet"]


def test_a_reader_never_sees_half_of_a_file_that_is_replaced_meanwhile(folder):
    file, ended = folder / "running.json", threading.Event()
    files.replace(file, b"0" * 10_000)

    def write() -> None:
        number = 0
        while not ended.wait(0.001):
            number = (number + 1) % 10
            files.replace(file, str(number).encode() * 10_000)

    writer = threading.Thread(target=write)
    writer.start()
    found, until = [], time.monotonic() + 30
    try:
        while len(set(found)) < 10 and time.monotonic() < until:
            found.append(files.read(file))
    finally:
        ended.set()
        writer.join()
    assert all(len(content) == 10_000 and len(set(content)) == 1 for content in found)
    assert len(set(found)) == 10


def test_only_one_creates_a_file(folder):
    if files.is_local(folder):
        pytest.skip("a disk has a lock instead")
    assert files.create(folder / "running.json", b"first")
    assert not files.create(folder / "running.json", b"second")
    assert (folder / "running.json").read_bytes() == b"first"


def test_names_are_those_of_finished_files(folder):
    assert files.names(folder / "rounds", ".parquet") == []
    for name in ("b.parquet", "a.parquet", ".c.parquet", "d.json"):
        files.replace(folder / "rounds" / name, b"x")
    assert files.names(folder / "rounds", ".parquet") == ["a", "b"]
    files.replace(folder / "rounds" / "e.parquet", b"x")
    assert files.names(folder / "rounds", ".parquet") == ["a", "b", "e"]


def test_nothing_is_left_beside_a_file_whose_writing_fails(tmp_path, monkeypatch):
    file = files.location(tmp_path / "sweep.yaml")
    files.replace(file, b"name: x\n")

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space"):
        files.replace(file, b"half")
    assert file.read_text() == "name: x\n"
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.yaml"]


def test_paths_are_made_absolute_and_urls_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for given in ("results/x", Path("results/x"), f"file://{tmp_path}/results/x"):
        found = files.location(given)
        assert str(found) == str(tmp_path / "results" / "x")
        assert files.is_local(found)
    found = files.location("memory://a/b")
    assert str(found) == "memory://a/b"
    assert not files.is_local(found)


def test_storage_that_is_not_to_be_had(monkeypatch):
    with pytest.raises(InputError, match=r"^s4://bucket/run: can't be reached: .*s4"):
        files.location("s4://bucket/run")
    with pytest.raises(InputError, match=r"^gs://bucket/run: the package for gs:// is not installed: .*gcsfs"):
        files.location("gs://bucket/run")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(InputError, match=r"^s3://elsewhere/run: can't be reached: .*127\.0\.0\.1:9"):
        files.location("s3://elsewhere/run")
    S3FileSystem.clear_instance_cache()
