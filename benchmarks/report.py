"""The time and memory that a report takes.

    python benchmarks/report.py DIR [--out DIR]

Loads the results folder DIR, writes its report, and prints seconds and peak resident memory.
`benchmarks/synthetic_results.py` makes a large folder.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import threading
import time
from pathlib import Path


class Memory(threading.Thread):
    """Watches the resident memory of this process and its children; `peak` is in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        """Measures every fifth of a second (Linux only)."""
        while True:
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            self.peak = max(self.peak, sum(_resident(pid) for pid in pids))
            time.sleep(0.2)


def _resident(pid: int | None) -> int:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except OSError:
        return 0
    return int(pages) * resource.getpagesize()


def main() -> None:
    """Writes the report and prints its cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="where to leave the report (default: nowhere)")
    parser.add_argument("--processes", type=int, default=2, help="to draw with (default: %(default)s)")
    arguments = parser.parse_args()
    watched = Memory()
    watched.start()
    start = time.perf_counter()
    from lthray.analysis import load, write_report

    with tempfile.TemporaryDirectory() as scratch:
        loaded = load(arguments.folder)
        read = time.perf_counter()
        page = write_report(loaded, arguments.out or Path(scratch), processes=arguments.processes)
        done = time.perf_counter()
        size = page.stat().st_size
    count = loaded.rounds["trajectory_id"].nunique()
    print(
        f"{count:,} trajectories: {done - start:.1f} s ({read - start:.1f} s of it to load the rounds),"
        f" {watched.peak / 1e9:.2f} GB at most, page of {size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
