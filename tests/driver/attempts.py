"""What children of `lthray.driver.child` do in tests; a module of its own, for they import it."""

import os
import sys
import time
from pathlib import Path

from lthray.driver.events import Note
from lthray.errors import UnreachableError


def die(folder: Path, deaths: int, tell) -> int:
    """Dies as a process dies whose raylet is gone, `deaths` times; then it has a result."""
    tries = len(list(folder.iterdir()))
    (folder / str(tries)).touch()
    tell(Note(f"attempt {tries}"))
    if tries < deaths:
        os._exit(1)
    return tries


def fail(error: Exception, tell) -> None:
    raise error


def lose(folder: Path, tell) -> str:
    """Loses its cluster, which does not answer the next time."""
    tries = len(list(folder.iterdir()))
    (folder / str(tries)).touch()
    if tries == 0:
        os._exit(1)
    if tries == 1:
        raise UnreachableError("no cluster")
    return "done"


def wait(file: Path, tell) -> None:
    file.write_text(str(os.getpid()))
    time.sleep(300)


def describe(tell) -> tuple[list[str], list[str], str]:
    return sys.argv, sys.path, sys.modules["__main__"].__file__
