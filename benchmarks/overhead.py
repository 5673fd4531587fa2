"""What lthray and Ray cost beside the training: sweeps whose trajectories train nothing.

    python benchmarks/overhead.py [--trials 1000] [--slots 2]

Runs a real sweep with two numbers of trials, one trajectory each, on Ray with `slots` CPUs; a trial's body writes its
round and reports, but does not train. Prints what starting costs, what each further trial costs, and the share that
this is of a trial of 60 seconds; beside it what planning 10,000 trajectories takes.
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
    """A sweep file of so many trajectories that each train one iteration on a tiny data set."""
    path = folder / f"noop-{trials}.yaml"
    tree = {
        "name": f"noop-{trials}",
        "trajectory": {"dataset": "digits-8x8", "rounds": 0, "iterations": 1},
        "grid": {"seed": list(range(trials))},
        "resources": {"cpus": 1, "gpus": 0, "stack": 1},
    }
    path.write_text(json.dumps(tree))  # JSON is YAML
    return path


def train_nothing(trajectories, folder, data, threads, gpus, report) -> None:
    """The body of a trial without its training: one round is written and reported."""
    import numpy as np

    from lthray.engine.results import CurveRow, RoundResult, Ticket
    from lthray.spec.trajectory import TrajectorySpec
    from lthray.store.folder import Store

    spec = TrajectorySpec.model_validate(trajectories[0])
    shapes = spec.layer_sizes.items()
    ticket = Ticket(
        {name: np.zeros(shape, np.float32) for name, shape in shapes},
        {name: np.ones(shape, np.uint8) for name, shape in shapes},
    )
    curves = [CurveRow(1, 1, split, "none", 0.0, 0.0, None) for split in ("validation", "test")]
    Store(folder).write_round(RoundResult(spec, 0, ticket, curves, 1, 1, 0.0, 0.0, "cpu", {}))
    progress = {"round": 0, "iteration": 1, "round_done": True, "iterations_done": 1, "rate": 0.0, "running": 1}
    report(progress | {"weights_remaining": 1.0, "natural": 0.0, "adversarial": {}, "device": "cpu", "failures": []})


def timed(trials: int, slots: int) -> float:
    """Seconds of a sweep of `trials` trials, in this process."""
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store
    from lthray.sweep import missing
    from lthray.sweep import trials as tune_trials

    os.environ["RAY_OVERRIDE_RESOURCES"] = json.dumps({"CPU": slots})
    with tempfile.TemporaryDirectory() as scratch:
        spec, trajectories = load(sweep_of(trials, Path(scratch)))
        store = Store(Path(scratch) / "r")
        tune_trials.train_stack = train_nothing
        began = time.perf_counter()
        store.create(spec.resolved())
        missing.train(spec, trajectories, store, Path(scratch), None, lambda _: None)
        seconds = time.perf_counter() - began
        complete = sum(done > 0 for done in store.done(trajectories).values())
    if complete != trials:
        raise SystemExit(f"only {complete} of {trials} trajectories are complete")
    return seconds


def planned(trajectories: int) -> tuple[float, float]:
    """Seconds and MiB that planning so many trajectories takes."""
    from lthray.spec.sweepfile import load
    from lthray.sweep.planning import Share, plan

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
    """Measures in processes of their own, so that each starts Ray anew."""
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
