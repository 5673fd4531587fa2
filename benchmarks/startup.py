"""The time from `lthray sweep` to the first line of progress, and the speed of two trials on two CPUs.

    python benchmarks/startup.py [--repeats 3] [--against CHECKOUT] [--phases]

Runs real sweeps of the digits that come with scikit-learn, on one CPU and on two in turns, each in a process of its
own. Prints when, on two CPUs, each phase of the start is over; then the ratio of the training times on one CPU and on
two. Last comes what `make demo` does after installation: the quickstart's sweep and its report.

With `--against`, sweeps of another checkout of lthray take turns with these, and its phases are printed beside. With
`--phases`, only the start is measured.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SWEEP: dict[str, Any] = {
    "name": "startup",
    "trajectory": {"dataset": "digits-8x8", "train_attack": "pgd", "rounds": 8, "iterations": 1000, "eval_every": 500},
    "grid": {"seed": [0, 1, 2, 3]},
    "resources": {"cpus": 1, "gpus": 0, "stack": 1},
}
SHORT: dict[str, Any] = {
    "trajectory": SWEEP["trajectory"] | {"rounds": 0, "iterations": 500, "end_attacks": []},
    "grid": {"seed": [0, 1]},
}
"""What differs where only the start is measured."""


def milestone_of(event: Any) -> str | None:
    """What has been reached with an event of a sweep."""
    from lthray.driver.events import Note, Planned, TrialBegan, TrialProgress

    match event:
        case Note(text="starting Ray"):
            return "driver imported"
        case Planned():
            return "Ray started, data read"
        case TrialBegan():
            return "a trial has its worker"
        case TrialProgress(progress=progress):
            if progress.done_in_round:
                return "iteration 500 measured"
            return "training begins" if progress.natural is None else "iteration 0 measured"
    return None


def run(slots: int, began: float, short: bool) -> dict[str, float]:
    """Seconds from `began` to each milestone of a sweep, on Ray with `slots` CPUs."""
    from rich.console import Console

    from lthray.cli import live
    from lthray.driver import run as sweep
    from lthray.driver.events import Event
    from lthray.spec.sweepfile import load

    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": slots})
    seen = {"command imported": time.time() - began}
    printed = io.StringIO()

    def notify(event: Event) -> None:
        show(event)
        if milestone := milestone_of(event):
            seen.setdefault(milestone, time.time() - began)
        if "%] trial" in printed.getvalue():
            seen.setdefault("first line of progress", time.time() - began)

    with tempfile.TemporaryDirectory() as scratch, live.watch(Console(file=printed)) as show:
        path = Path(scratch) / "startup.yaml"
        path.write_text(json.dumps(SWEEP | (SHORT if short else {})))
        spec, trajectories = load(path)
        outcome = sweep.run(spec, trajectories, Path(scratch) / "r", Path(scratch), None, notify)
    if outcome.complete != len(trajectories):
        raise SystemExit("the sweep is not complete")
    return seen | {"all done": time.time() - began}


def measure(checkout: Path, slots: int, short: bool) -> dict[str, float]:
    """What `run` returns for a checkout of lthray, in a process of its own."""
    command = [sys.executable, __file__, "--run", str(slots), repr(time.time()), *(["--phases"] if short else [])]
    # Ray puts the working directory before everything else on the path of its workers
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=checkout).stdout
    milestones: dict[str, float] = json.loads(printed.splitlines()[-1])
    return milestones


def quickstart() -> float:
    """Runs the quickstart and returns the seconds from its command to its report."""
    lthray = [sys.executable, "-m", "lthray"]
    with tempfile.TemporaryDirectory() as scratch:
        began = time.time()
        for command in (["sweep", str(ROOT / "sweeps" / "quickstart.yaml"), "--out", scratch], ["report", scratch]):
            subprocess.run([*lthray, *command], capture_output=True, check=True)
        return time.time() - began


def print_phases(times: dict[Path, list[dict[str, float]]]) -> None:
    """Prints the median of each milestone, a column a checkout."""
    names = max((runs[0] for runs in times.values()), key=len)
    for name in sorted(names, key=lambda name: statistics.median(one[name] for one in times[ROOT])):
        medians = [[one[name] for one in runs if name in one] for runs in times.values()]
        columns = (f"{statistics.median(column):8.1f}" if column else f"{'':8}" for column in medians)
        print(f"  {name:24}", *columns)


def main() -> None:
    """Runs the sweeps in turns and prints medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout of lthray")
    parser.add_argument("--phases", action="store_true", help="measure only the start")
    parser.add_argument("--run", type=float, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(int(arguments.run[0]), arguments.run[1], arguments.phases)))
        return
    checkouts = [ROOT, *([arguments.against.resolve()] if arguments.against else [])]
    on_two: dict[Path, list[dict[str, float]]] = {checkout: [] for checkout in checkouts}
    on_one: list[dict[str, float]] = []
    for _ in range(arguments.repeats):
        for checkout, runs in on_two.items():
            runs.append(measure(checkout, 2, arguments.phases))
        if not arguments.phases:
            on_one.append(measure(ROOT, 1, short=False))
    print(f"medians of {arguments.repeats} sweeps on two CPUs, seconds since the command:")
    print_phases(on_two)
    if arguments.phases:
        return

    def training(runs: list[dict[str, float]]) -> float:
        return statistics.median(one["all done"] - one["training begins"] for one in runs)

    ratio = training(on_one) / training(on_two[ROOT])
    print(f"two trials on two CPUs against one on one: {ratio:.2f} times as many trajectories an hour")
    print(f"quickstart, from the command to its report: {quickstart():.0f} s")


if __name__ == "__main__":
    main()
