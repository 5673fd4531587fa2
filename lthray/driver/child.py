"""The process that talks to Ray: a child of this one, restarted when it dies.

When the system's out-of-memory killer ends a raylet, or an agent whose end is the raylet's too, Ray ends the process
that was connected to it, from C++, at any moment and without an exception. So the command line, its display and the
folder's lock live in a process without Ray.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from lthray.driver.events import Event, Note, Notify
from lthray.errors import OneLineError, RunError, UnreachableError

RESTARTS = 3
"""How many times in a row the child is restarted although it finished nothing."""
RETRY_SECONDS = 30.0
"""Time between two attempts to reach a lost cluster."""

Result = TypeVar("Result")


def drive(attempt: Callable[[Notify], Result], count_done: Callable[[], int], notify: Notify) -> Result:
    """Runs `attempt` in a child, and again in another where the child dies; SIGINT and SIGTERM interrupt it.

    Args:
        attempt: Plans the missing work, connects to Ray and does it. It, its result and its events must be picklable.
        count_done: Counts finished work, to tell whether a child achieved something.
        notify: Takes the events of `attempt`, and the reason for each restart.

    Raises:
        OneLineError: `attempt` raised it.
        RunError: the child died more than `RESTARTS` times in a row, and nothing was finished in between.
        KeyboardInterrupt: `attempt` was interrupted.
    """
    done: int | None = None
    restarts = 0
    while True:
        try:
            return _run_child(attempt, notify)
        except _ChildDiedError:
            before, done = done, count_done()
            restarts = restarts + 1 if done == before else 1
            if restarts > RESTARTS:
                raise RunError(
                    f"Ray died {restarts} times in a row and nothing was finished in between, most likely because"
                    " memory ran out: run fewer trials at a time (resources.cpus) or smaller ones (resources.stack);"
                    " what was finished is kept"
                ) from None
            notify(Note("Ray died on this machine (killed, or out of memory): starting again with what is missing"))
        except UnreachableError as error:
            if not restarts:
                raise
            notify(Note(f"{error}; waiting until this machine is a node of the cluster again"))
            time.sleep(RETRY_SECONDS)


class _ChildDiedError(Exception):
    """The child ended without a word."""


def _run_child(attempt: Callable[[Notify], Result], notify: Notify) -> Result:
    parent_end, child_end = multiprocessing.Pipe()
    # Only a process's main thread may have handlers of signals: from another thread, nothing interrupts the child.
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    interrupted, begun = threading.Event(), threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        if begun.is_set():
            with suppress(OSError):
                parent_end.send("interrupt")

    child = None
    handlers = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        child = _start(child_end)
        parent_end.send((sys.path, sys.argv))
        parent_end.send(attempt)
        begun.set()
        if interrupted.is_set():
            interrupt()
        while True:
            kind, content = parent_end.recv()
            if kind == "event":
                notify(content)
            elif kind == "error":
                raise content
            else:
                child.wait()
                return content  # type: ignore[no-any-return]
    except (EOFError, ConnectionError):
        raise (KeyboardInterrupt if interrupted.is_set() else _ChildDiedError) from None
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        parent_end.close()  # which ends the child if it still runs
        if child:
            child.wait()


def _start(end: Connection) -> "subprocess.Popen[bytes]":
    """Starts the child. Unlike multiprocessing's, it does not import the caller's `__main__` again.

    So a script needs no `if __name__ == "__main__"`. But it is a script itself, and gets the arguments of this process:
    Ray puts the folder of a driver's script on its workers' path. A terminal's Ctrl-C reaches the parent alone, which
    passes it on: the child has a process group of its own.
    """
    command = [sys.executable, "-P", str(Path(__file__).with_name("child_main.py")), str(end.fileno())]
    with end:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[end.fileno()], process_group=0)


def serve(parent: Connection) -> None:
    """What the child does: it sends the events of the attempt, and its result or the error, to its parent."""
    # A shell's background jobs ignore SIGINT, and their children would; here it is what interrupts the attempt.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    attempt: Callable[[Notify], Any] = parent.recv()
    lock = threading.Lock()

    def send(kind: str, content: object) -> None:
        with lock:
            parent.send((kind, content))

    def tell(event: Event) -> None:
        send("event", event)

    def listen() -> None:
        with suppress(EOFError, OSError):
            while parent.recv():
                os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGKILL)  # the parent is gone; Ray takes its own processes down

    threading.Thread(target=listen, daemon=True).start()
    try:
        send("result", attempt(tell))
    except (OneLineError, ModuleNotFoundError, KeyboardInterrupt) as error:
        send("error", error)
    except Exception:  # noqa: BLE001 - an error of any type, perhaps one that can't be pickled
        send("error", RuntimeError(traceback.format_exc()))
