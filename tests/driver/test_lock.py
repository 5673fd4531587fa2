"""One sweep a folder, on a disk and on S3."""

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from lthray.driver import lock
from lthray.errors import InputError
from lthray.files import location


# A busy machine may be late by a second, and after three missed heartbeats a lock is stale.
@pytest.fixture(params=["disk", "s3"])
def folder(request, tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", {"local": 0.2, "url": 0.7})
    return location(tmp_path / "results") if request.param == "disk" else request.getfixturevalue("s3")


def hold(folder, snapshot=dict, on_loss=lambda: None, say=lambda text: None):
    return lock.hold(folder, snapshot, on_loss, say)


def wait_until(condition, seconds=10.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_it_says_how_far_the_sweep_is_while_it_runs(folder):
    done = [0]
    assert lock.read(folder) is None
    with hold(folder, lambda: {"done": done[0]}):
        found = lock.read(folder)
        assert found["alive"]
        assert (found["process"], found["host"], found["done"]) == (os.getpid(), platform.node(), 0)
        done[0] = 7
        wait_until(lambda: lock.read(folder)["done"] == 7)
    assert lock.read(folder) is None


def test_a_second_sweep_is_refused_until_the_first_ends(folder):
    with hold(folder), pytest.raises(InputError) as caught, hold(folder):
        pass
    assert f"another sweep is writing into this folder (process {os.getpid()} on " in str(caught.value)
    with hold(folder):
        pass


def left_behind(folder, **changes):
    """Writes the file that a driver leaves which is killed hard."""
    record = {
        "process": 1, "host": "elsewhere", "token": "theirs", "every": 0.2,
        "began": "2020-01-01T00:00:00+00:00", "updated": "2020-01-01T00:00:00+00:00",
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / lock.FILE).write_bytes(json.dumps(record | changes).encode())


def test_a_dead_sweep_of_another_machine_is_waited_for_and_then_taken_over(folder):
    left_behind(folder)
    assert not lock.read(folder)["alive"]
    said = []
    with hold(folder, say=said.append):
        assert lock.read(folder)["process"] == os.getpid()
    if folder.protocol:
        assert said == ["waiting up to 0.6 s to see whether the sweep of process 1 on elsewhere is still alive"]
    else:
        assert said == []  # the lock went with its process


def test_a_dead_sweep_of_this_machine_is_not_waited_for(folder):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left_behind(folder, process=dead.pid, host=platform.node(), updated=datetime.now(UTC).isoformat())
    assert not lock.read(folder)["alive"]
    said = []
    with hold(folder, say=said.append):
        assert said == []


def test_a_sweep_of_another_machine_is_alive_as_long_as_it_is_heard_of(folder):
    left_behind(folder, updated=(datetime.now(UTC) - timedelta(seconds=50)).isoformat())
    assert lock.read(folder)["alive"]
    left_behind(folder, updated=(datetime.now(UTC) - timedelta(seconds=70)).isoformat())
    assert not lock.read(folder)["alive"]


def test_whoever_was_silent_for_too_long_learns_that_another_has_taken_over(s3, monkeypatch):
    monkeypatch.setattr(lock, "HEARTBEAT_SECONDS", {"url": 0.2})
    lost = []
    with hold(s3, on_loss=lambda: lost.append(True)):
        left_behind(s3)
        wait_until(lambda: lost)
    assert lock.read(s3)["token"] == "theirs"


def test_a_folder_that_can_not_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="file/results: can't be written: Not a directory"),
        hold(location(tmp_path / "file" / "results")),
    ):
        pass


def test_a_bucket_that_is_not_there(s3):
    with (
        pytest.raises(InputError, match=r"s3://no-such-bucket/run: can't be written: .*bucket"),
        hold(location("s3://no-such-bucket/run")),
    ):
        pass
