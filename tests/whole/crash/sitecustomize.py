"""Imported by every Python that finds it on its path: kills the driver of a sweep between writing and renaming a file.

LTHRAY_CRASH is FOLDER:N: the Nth renaming of a file in that folder of the results does not happen. The driver's process
number is in the file that LTHRAY_DRIVER names.
"""

import os
import signal
from pathlib import Path

if "LTHRAY_CRASH" in os.environ:
    folder, _, number = os.environ["LTHRAY_CRASH"].partition(":")
    rename, seen = os.replace, []

    def crash(source: str | Path, target: str | Path) -> None:
        if folder in Path(target).parts[-3:-1]:
            seen.append(target)
            if len(seen) == int(number):
                os.kill(int(Path(os.environ["LTHRAY_DRIVER"]).read_text()), signal.SIGKILL)
                os._exit(9)
        rename(source, target)

    os.replace = crash
