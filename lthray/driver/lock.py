"""The lock of a results folder, `running.json`: which process writes into the folder, and how far its sweep is.

The lock keeps a second sweep out. On a file system, a lock of the operating system does that, which ends with its
process. On storage reached by a URL the file itself is the lock: its holder rewrites it with every heartbeat, and after
three heartbeats without a change the lock is stale. Whoever waits for the lock measures that time by its own clock.
"""

import json
import os
import platform
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from filelock import FileLock, Timeout
from upath import UPath

from lthray import files
from lthray.driver.events import Event, Note, Notify
from lthray.driver.progress import SweepProgress
from lthray.errors import InputError

FILE = "running.json"
HEARTBEAT_SECONDS = {"local": 2.0, "url": 10.0}
"""Time between two heartbeats."""
STALE_HEARTBEATS = 3
"""Heartbeats after which a lock counts as stale."""

Snapshot = Callable[[], Mapping[str, Any]]


def read(folder: UPath) -> dict[str, Any] | None:
    """The lock's content, with `alive`: whether its holder still runs; None where nobody holds the lock."""
    try:
        record: dict[str, Any] = json.loads(files.read(folder / FILE))
    except (FileNotFoundError, ValueError):
        return None
    if record["host"] == platform.node():
        return record | {"alive": _is_alive(record["process"])}
    age = (datetime.now(UTC) - datetime.fromisoformat(record["updated"])).total_seconds()
    # The clocks of two machines may differ by up to a minute.
    return record | {"alive": age < 60 + STALE_HEARTBEATS * record["every"]}


@contextmanager
def hold(folder: UPath, snapshot: Snapshot, on_loss: Callable[[], None], say: Callable[[str], None]) -> Iterator[None]:
    """Holds the lock of a folder for as long as the block lasts.

    Args:
        folder: Results folder; made if it does not exist.
        snapshot: Gives how far the sweep is, as values that JSON can express.
        on_loss: Called if another sweep took the lock, because this one missed too many heartbeats.
        say: Takes the reason for a wait.

    Raises:
        InputError: the folder can't be written, or another sweep is writing into it.
    """
    local = files.is_local(folder)
    every = HEARTBEAT_SECONDS["local" if local else "url"]
    who: dict[str, Any] = {
        "process": os.getpid(),
        "host": platform.node(),
        "token": uuid.uuid4().hex,
        "began": _now(),
        "every": every,
    }

    def content() -> bytes:
        return json.dumps(who | {"updated": _now()} | dict(snapshot()), indent=1).encode()

    lock = FileLock(str(folder / ".lock")) if local else None
    file = folder / FILE
    try:
        if lock:
            folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
            files.replace(file, content())
        else:
            _seize(file, content, say)
    except Timeout:
        raise InputError(_refusal(folder, read(folder))) from None
    except OSError as error:
        raise InputError(f"{folder}: can't be written: {error.strerror or error}") from None

    def beat() -> None:
        while not ended.wait(every):
            # The next heartbeat makes up for one that fails. Every storage has exceptions of its own.
            with suppress(Exception):
                if not lock and json.loads(files.read(file))["token"] != who["token"]:
                    on_loss()
                    return
                files.replace(file, content())

    ended = threading.Event()
    heartbeat = threading.Thread(target=beat, daemon=True, name="heartbeat")
    heartbeat.start()
    try:
        yield
    finally:
        ended.set()
        heartbeat.join()
        with suppress(OSError):
            if lock or json.loads(files.read(file))["token"] == who["token"]:
                file.unlink(missing_ok=True)
        if lock:
            lock.release()


@contextmanager
def hold_and_report(folder: UPath, notify: Notify) -> Iterator[Notify]:
    """Holds the lock of a folder, and keeps in it how far the sweep is.

    Yields a function that takes the sweep's events and passes them on to `notify`. Where another sweep takes the lock,
    this process is interrupted.
    """
    progress = SweepProgress()

    def tell(event: Event) -> None:
        progress.take(event)
        notify(event)

    def stop() -> None:
        tell(Note(f"{folder}: another sweep has taken this folder over: stopping"))
        os.kill(os.getpid(), signal.SIGINT)

    with hold(folder, progress.snapshot, stop, lambda text: tell(Note(text))):
        yield tell


def _seize(file: UPath, content: Callable[[], bytes], say: Callable[[str], None]) -> None:
    """Takes the lock on storage reached by a URL, if nobody holds it or it is stale."""
    if files.create(file, content()):
        return
    before, holder = files.read(file), read(file.parent)
    if holder and not (holder["host"] == platform.node() and not holder["alive"]):
        seconds = STALE_HEARTBEATS * holder["every"]
        say(f"waiting up to {seconds:g} s to see whether the sweep of {_name(holder)} is still alive")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(1.0, seconds))
            if not file.exists():
                break
            if files.read(file) != before:
                raise InputError(_refusal(file.parent, holder))
    file.unlink(missing_ok=True)
    if not files.create(file, content()):  # another process was faster
        raise InputError(_refusal(file.parent, read(file.parent)))


def _refusal(folder: UPath, holder: Mapping[str, Any] | None) -> str:
    who = _name(holder) if holder else "it has just begun"
    return f"{folder}: another sweep is writing into this folder ({who})"


def _name(holder: Mapping[str, Any]) -> str:
    return f"process {holder['process']} on {holder['host']}"


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # It belongs to another user.
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
