"""The time that lthray and Ray add to training, measured by sweeps whose trajectories train nothing.

    python benchmarks/overhead.py [--trials 1000] [--slots 2]

Runs two real sweeps with different numbers of trials, one trajectory per trial, on Ray with `slots` CPUs. A trial
writes its round and reports, but does not train. Prints the time to start, the time that each further trial adds, and
its share of a trial of 60 seconds; then the time and memory that planning 1,000 and 10,000 trajectories take.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

TRIAL_SECONDS = 60.0


def sweep_of(trials: int, folder: Path) -> Path:
    """Writes a sweep file of `trials` trajectories that each train one iteration on a tiny data set."""
    path = folder / f"noop-{trials}.yaml"
    tree = {
        "name": f"noop-{trials}",
        "trajectory": {"dataset": "digits-8x8", "rounds": 0, "iterations": 1},
        "grid": {"seed": list(range(trials))},
        "resources": {"cpus": 1, "gpus": 0, "stack": 1},
    }
    path.write_text(json.dumps(tree))  # JSON is YAML
    return path


def train_nothing(stack, data, report, *, store, threads, gpus, checkpoint_minutes) -> None:
    """Does what a trial does except training: writes one round and reports it."""
    import numpy as np

    from lthray.engine.results import CurveRow, RoundResult, Ticket
    from lthray.methods.attacks import NATURAL
    from lthray.worker.report import Progress

    (spec,) = stack
    shapes = spec.layer_sizes.items()
    ticket = Ticket(
        {name: np.zeros(shape, np.float32) for name, shape in shapes},
        {name: np.ones(shape, np.uint8) for name, shape in shapes},
    )
    curves = [CurveRow(1, 1, split, NATURAL, 0.0, 0.0, None) for split in ("validation", "test")]
    store.write_round(RoundResult(spec, 0, ticket, curves, 1, 1, 0.0, 0.0, "cpu", {}))
    report(Progress("iterations", 0, 1, 1, True, 0.0, 1.0, 0.0, {}, 1, "cpu"))


def timed(trials: int, slots: int) -> float:
    """Runs a sweep of `trials` trials in this process and returns its seconds."""
    from lthray.driver import training
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store

    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": slots})
    with tempfile.TemporaryDirectory() as scratch:
        spec, trajectories = load(sweep_of(trials, Path(scratch)))
        store = Store(Path(scratch) / "r")
        training.train_stack = train_nothing
        began = time.perf_counter()
        store.create(spec.resolved())
        training.train(spec, trajectories, store, Path(scratch), None, lambda _: None)
        seconds = time.perf_counter() - began
        complete = sum(done > 0 for done in store.done(trajectories).values())
    if complete != trials:
        raise SystemExit(f"only {complete} of {trials} trajectories are complete")
    return seconds


def planned(trajectories: int) -> tuple[float, float]:
    """The seconds that planning `trajectories` trajectories takes, and the MiB that loading them takes at most."""
    from lthray.driver.planning import Share, plan
    from lthray.spec.sweepfile import load

    with tempfile.TemporaryDirectory() as scratch:
        path = sweep_of(trajectories, Path(scratch))
        began = time.perf_counter()
        _, specs = load(path)
        plan(specs, {spec.trajectory_id: 0 for spec in specs}, Share(1, 0.25, 8), "auto", 64)
        seconds = time.perf_counter() - began
        tracemalloc.start()
        load(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return seconds, peak / 2**20


def main() -> None:
    """Runs each sweep in a process of its own, so that each starts Ray, and prints the costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--slots", type=int, default=2, help="trials at the same time")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        seconds = timed(arguments.one, arguments.slots)
        print(json.dumps({"seconds": seconds, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    few, many = arguments.trials // 10, arguments.trials
    found = {}
    for trials in (few, many):
        command = [sys.executable, __file__, "--one", str(trials), "--slots", str(arguments.slots)]
        found[trials] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(f"{trials:6,} trials: {found[trials]['seconds']:7.1f} s, driver at most {found[trials]['mib']:,.0f} MiB")
    each = (found[many]["seconds"] - found[few]["seconds"]) / (many - few)
    slot = each * arguments.slots
    print(
        f"starting: {found[few]['seconds'] - few * each:.1f} s; each further trial: {1000 * each:.0f} ms of the sweep,"
    )
    print(f"that is {1000 * slot:.0f} ms of its slot: {100 * slot / TRIAL_SECONDS:.2f} % of a trial of 60 s")
    for trajectories in (1_000, 10_000):
        seconds, mib = planned(trajectories)
        print(f"planning {trajectories:6,} trajectories: {seconds:5.1f} s, {mib:,.0f} MiB")


if __name__ == "__main__":
    main()
