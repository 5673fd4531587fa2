"""`running.json` in a results folder: that a sweep runs there, whose, and how far it is.

It keeps a second sweep out. On a file system a lock of the operating system does that, which goes with its process. On
storage that is reached by a URL the file itself is the lock: its holder rewrites it every few seconds, and a holder
that has not done so for three times as long is taken for dead, whatever the clocks of the two machines say.
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
from lthray.errors import InputError
from lthray.sweep.events import Event, Note, Notify
from lthray.sweep.progress import SweepProgress

FILE = "running.json"
BEAT_SECONDS = {"local": 2.0, "url": 10.0}
"""Time between two writings of the file."""
DEAD_BEATS = 3
"""Writings that a living holder does not miss."""

Snapshot = Callable[[], Mapping[str, Any]]


def read(folder: UPath) -> dict[str, Any] | None:
    """What the file says, with `alive`, whether its sweep is still heard of; None where no sweep runs."""
    try:
        record: dict[str, Any] = json.loads(files.read(folder / FILE))
    except (FileNotFoundError, ValueError):
        return None
    silent = (datetime.now(UTC) - datetime.fromisoformat(record["updated"])).total_seconds()
    here = record["host"] == platform.node()
    return record | {"alive": _is_alive(record["process"]) if here else silent < 60 + DEAD_BEATS * record["every"]}


@contextmanager
def announced(
    folder: UPath, snapshot: Snapshot, lost: Callable[[], None], say: Callable[[str], None]
) -> Iterator[None]:
    """Keeps other sweeps out of a folder, and says how far this one is, as long as the block lasts.

    Args:
        folder: Results folder; made where it is not there.
        snapshot: How far the sweep is, as values that JSON knows.
        lost: Called where another sweep has taken the folder over, because this one was silent for too long.
        say: Told why there is a wait.

    Raises:
        InputError: the folder can't be written, or another sweep is writing into it.
    """
    local = files.is_local(folder)
    every = BEAT_SECONDS["local" if local else "url"]
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
            # a beat that fails is made up for by the next; storages have exceptions of their own
            with suppress(Exception):
                if not lock and json.loads(files.read(file))["token"] != who["token"]:
                    lost()
                    return
                files.replace(file, content())

    ended = threading.Event()
    beats = threading.Thread(target=beat, daemon=True, name="beats")
    beats.start()
    try:
        yield
    finally:
        ended.set()
        beats.join()
        with suppress(OSError):
            if lock or json.loads(files.read(file))["token"] == who["token"]:
                file.unlink(missing_ok=True)
        if lock:
            lock.release()


@contextmanager
def reported(folder: UPath, notify: Notify) -> Iterator[Notify]:
    """`announced`, with a snapshot of what is told to `notify` through the function that this gives.

    Where another sweep takes the folder over, this process is interrupted.
    """
    progress = SweepProgress()

    def tell(event: Event) -> None:
        progress.take(event)
        notify(event)

    def lost() -> None:
        tell(Note(f"{folder}: another sweep has taken this folder over: stopping"))
        os.kill(os.getpid(), signal.SIGINT)

    with announced(folder, progress.snapshot, lost, lambda text: tell(Note(text))):
        yield tell


def _seize(file: UPath, content: Callable[[], bytes], say: Callable[[str], None]) -> None:
    """Makes the file this process's own, if it is nobody's or a dead one's."""
    if files.create(file, content()):
        return
    before, holder = files.read(file), read(file.parent)
    if holder and not (holder["host"] == platform.node() and not holder["alive"]):
        seconds = DEAD_BEATS * holder["every"]
        say(f"waiting up to {seconds:g} s to see whether the sweep of {_name(holder)} is still alive")
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            time.sleep(min(1.0, seconds))
            if not file.exists():
                break
            if files.read(file) != before:
                raise InputError(_refusal(file.parent, holder))
    file.unlink(missing_ok=True)
    if not files.create(file, content()):  # a third one was faster
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
    except PermissionError:  # somebody else's
        return True
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
