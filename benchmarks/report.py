"""How long a report takes, and how much memory: `write_report` in a process of its own.

    python benchmarks/report.py DIR [--out DIR]

Make a folder with `benchmarks/synthetic_results.py`. Prints seconds and the peak of resident memory.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Writes the report, and says what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, help="where to leave the report (default: nowhere)")
    parser.add_argument("--processes", type=int, default=2, help="to draw with (default: %(default)s)")
    arguments = parser.parse_args()
    start = time.perf_counter()
    from analysis import load, write_report

    with tempfile.TemporaryDirectory() as scratch:
        loaded = load(arguments.folder)
        read = time.perf_counter()
        page = write_report(loaded, arguments.out or Path(scratch), processes=arguments.processes)
        done = time.perf_counter()
        size = page.stat().st_size
    # Linux counts in KiB; of the children, the largest is known, and taken for all of them.
    own, child = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    peak = (own + arguments.processes * child) * 1024
    print(  # noqa: T201 (what a script is for)
        f"{loaded.rounds['trajectory_id'].nunique():,} trajectories: {done - start:.1f} s"
        f" ({read - start:.1f} s of it to load the rounds), {peak / 1e9:.2f} GB at most, page of {size / 1e6:.1f} MB"
    )


if __name__ == "__main__":
    main()
