"""`lthray bench`: the rows of all kinds of work, as tables and as plain values for JSON."""

import platform
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

import lthray
from lthray.bench.measure import (
    EVERY_WORK,
    PEERS,
    ROUNDS,
    WORKS,
    Bench,
    copy_speed,
    load_peers,
    product_speed,
    trajectory_seconds,
)
from lthray.bench.tables import trajectory_line, trajectory_table, work_table
from lthray.spec.trajectory import TrajectorySpec


def describe_machine() -> dict[str, Any]:
    """The processor, the threads and the versions that are measured."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "lthray": lthray.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def run(
    threads: int, repeats: int, peers: Path | None, trajectory: bool, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[Table | str]]:
    """Measures, and returns the results as values for JSON and as what to print.

    Args:
        threads: Threads of torch and of lthray.
        repeats: Turns of each row, at least 2.
        peers: File with the loops to compare with; None for that of the checkout, if there is one.
        trajectory: Measure steps and evaluations in every round and sum them up, instead of comparing five rounds.
        tell: Called with a line that describes the machine, and with a line after each row.

    Raises:
        InputError: the file of peers cannot be used.
    """
    torch.set_num_threads(threads)
    loops = load_peers(peers or PEERS) if peers or PEERS.is_file() else None
    on = describe_machine()
    clock = time.process_time if threads == 1 else time.perf_counter
    speeds = {"product": product_speed(repeats, clock), "copy": copy_speed(repeats, clock)}
    tell(
        f"{on['processor']}, {threads} thread{'s' if threads > 1 else ''}, torch {on['torch']}; a large product"
        f" {speeds['product'].median / 1e9:.0f} GF/s, a copy {speeds['copy'].median / 1e9:.0f} GB/s;"
        f" seconds are {'those of the process on its core' if threads == 1 else 'by the clock'}"
    )
    if loops is None:
        tell("no other loops: they are in benchmarks/peers.py of the repository, see --peers")
    spec = TrajectorySpec(train_attack="pgd")
    bench = Bench(repeats, loops, every_peer=not trajectory, clock=clock)
    rounds, works = (range(spec.rounds + 1), EVERY_WORK) if trajectory else (ROUNDS, WORKS)
    rows = []
    for row in bench.rows(rounds, works):
        rows.append(row)
        tell(f"{row.work} at {row.weights_remaining:.1%} measured")
    seconds = trajectory_seconds(rows, spec) if trajectory else {}
    results = {
        "machine": on,
        "clock": clock.__name__,
        "speeds": {name: asdict(spread) for name, spread in speeds.items()},
        "rows": [asdict(row) for row in rows],
        "trajectory_seconds": seconds,
    }
    printed: list[Table | str] = [work_table(rows)]
    if trajectory:
        printed += [trajectory_line(seconds, spec), trajectory_table(seconds)]
    return results, printed
