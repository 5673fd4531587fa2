"""`lthray bench`: the rows of all kinds of work, as tables and as plain values for JSON."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.table import Table

import lthray
from lthray.bench.instructions import used_instructions
from lthray.bench.loops import PEERS, Loop, choose_loops, load_loops
from lthray.bench.measure import (
    EVERY_WORK,
    ROUNDS,
    WORKS,
    Bench,
    copy_speed,
    peak_speed,
    trajectory_seconds,
)
from lthray.bench.tables import trajectory_line, trajectory_table, work_table
from lthray.spec.trajectory import TrajectorySpec


def describe_machine() -> dict[str, Any]:
    """The processor, what of it is used, the threads and the versions that are measured."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "instructions": used_instructions(),
        "threads": torch.get_num_threads(),
        "lthray": lthray.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


@dataclass(frozen=True)
class Comparison:
    """What to compare lthray with, and where."""

    peers: Path | None = None
    """File or package with the loops to compare with; None for that of the checkout, if there is one."""
    names: Sequence[str] = ()
    """Names of the loops; none for all that can run here, of whole trajectories the first plain and the jitted ones."""
    rounds: Sequence[int] = ROUNDS
    """Rounds of the protocol whose densities are measured."""
    trajectory: bool = False
    """Measure steps and evaluations in every round and sum them up, instead of comparing some rounds."""


def run(
    threads: int, repeats: int, comparison: Comparison, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[Table | str]]:
    """Measures, and returns the results as values for JSON and as what to print.

    Args:
        threads: Threads of torch and of lthray, and of jitted loops.
        repeats: Turns of each row, at least 2.
        comparison: The other loops and the rounds.
        tell: Called with a line that describes the machine, with a line for each loop that cannot run here, and with a
            line after each row.

    Raises:
        InputError: a loop cannot be used.
    """
    torch.set_num_threads(threads)
    path, trajectory = comparison.peers or PEERS, comparison.trajectory
    known = load_loops(path) if comparison.peers or PEERS.exists() else {}
    loops = choose_loops(known, comparison.names or _defaults(known, trajectory))
    on = describe_machine()
    clock = time.process_time if threads == 1 else time.perf_counter
    speeds = {"peak": peak_speed(repeats, clock), "copy": copy_speed(repeats, clock)}
    used = ", ".join(f"{name} {instructions}" for name, instructions in on["instructions"].items())
    tell(
        f"{on['processor']} ({used}), {threads} thread{'s' if threads > 1 else ''}, torch {on['torch']};"
        f" products in the cache {speeds['peak'].median / 1e9:.0f} GF/s, a copy {speeds['copy'].median / 1e9:.0f} GB/s;"
        f" seconds are {'those of the process on its core' if threads == 1 else 'by the clock'}"
    )
    if not known:
        tell("no other loops: they are in benchmarks/peers of the repository, see --peers")
    for name, loop in known.items():
        if loop.missing and not comparison.names:
            tell(f"{name} is left out: {loop.missing}")
    spec = TrajectorySpec(train_attack="pgd")
    bench = Bench(repeats, loops, clock)
    rounds, works = (range(spec.rounds + 1), EVERY_WORK) if trajectory else (comparison.rounds, WORKS)
    rows = []
    for row in bench.rows(rounds, works):
        rows.append(row)
        tell(f"{row.work} at {row.weights_remaining:.1%} measured")
    jitted = [name for name, loop in loops.items() if loop.jitted]
    seconds = trajectory_seconds(rows, spec, jitted) if trajectory else {}
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


def _defaults(loops: Mapping[str, Loop], trajectory: bool) -> list[str]:
    """Loops that can run here; of the plain ones, which differ little, whole trajectories take the first alone."""
    names = [name for name, loop in loops.items() if not loop.missing]
    plain = [name for name in names if not loops[name].jitted]
    return [name for name in names if not trajectory or name not in plain[1:]]
