"""The time from `lthray sweep` to the first iteration, and the speed of two trials on two CPUs.

    python benchmarks/startup.py [--repeats 3]

Runs real sweeps of the digits that come with scikit-learn, on one CPU and on two in turns, each in a process of its
own. Prints when, on two CPUs, lthray is imported, the data are read, Ray is started, the first trial reports and the
sweep is done; then the ratio of the training times on one CPU and on two. Last comes what `make demo` does after
installation: the quickstart's sweep and its report.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SWEEP = {
    "name": "startup",
    "trajectory": {"dataset": "digits-8x8", "train_attack": "pgd", "rounds": 8, "iterations": 1000, "eval_every": 500},
    "grid": {"seed": [0, 1, 2, 3]},
    "resources": {"cpus": 1, "gpus": 0, "stack": 1},
}


def run(slots: int, began: float) -> dict[str, float]:
    """Seconds from `began` to each milestone of a sweep, on Ray with `slots` CPUs."""
    from lthray.spec.sweepfile import load
    from lthray.sweep import run as sweep
    from lthray.sweep.events import Event, Note, Planned, TrialProgress

    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": slots})
    seen = {"imported": time.time() - began}

    def notify(event: Event) -> None:
        match event:
            case Note(text="starting Ray"):
                name = "data read"
            case Planned():
                name = "Ray started"
            case TrialProgress():
                name = "first iteration"
            case _:
                return
        seen.setdefault(name, time.time() - began)

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "startup.yaml"
        path.write_text(json.dumps(SWEEP))
        spec, trajectories = load(path)
        outcome = sweep.run(spec, trajectories, Path(scratch) / "r", Path(scratch), None, notify)
    if outcome.complete != len(trajectories):
        raise SystemExit("the sweep is not complete")
    return seen | {"all done": time.time() - began}


def quickstart() -> float:
    """Runs the quickstart and returns the seconds from its command to its report."""
    root, lthray = Path(__file__).resolve().parent.parent, [sys.executable, "-m", "lthray"]
    with tempfile.TemporaryDirectory() as scratch:
        began = time.time()
        for command in (["sweep", str(root / "sweeps" / "quickstart.yaml"), "--out", scratch], ["report", scratch]):
            subprocess.run([*lthray, *command], capture_output=True, check=True)
        return time.time() - began


def main() -> None:
    """Runs the sweeps in turns and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--one", type=float, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run(int(arguments.one[0]), arguments.one[1])))
        return
    found: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    for _ in range(arguments.repeats):
        for slots, times in found.items():
            command = [sys.executable, __file__, "--one", str(slots), repr(time.time())]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            times.append(json.loads(said.splitlines()[-1]))
    print(f"medians of {arguments.repeats} sweeps on two CPUs, seconds since the command:")
    for name in found[2][0]:
        print(f"  {name:16} {statistics.median(one[name] for one in found[2]):6.1f}")

    def training(slots: int) -> float:
        return statistics.median(one["all done"] - one["first iteration"] for one in found[slots])

    print(
        f"two trials on two CPUs against one on one: {training(1) / training(2):.2f} times as many trajectories an hour"
    )
    print(f"quickstart, from the command to its report: {quickstart():.0f} s")


if __name__ == "__main__":
    main()
