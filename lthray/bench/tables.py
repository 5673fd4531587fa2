"""What `lthray bench` shows: its rows as tables, and as plain values for JSON."""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
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
    Row,
    Spread,
    copy_speed,
    load_peers,
    product_speed,
    trajectory_seconds,
)
from lthray.spec.trajectory import TrajectorySpec


def machine() -> dict[str, Any]:
    """Whose figures they are: processor, threads and versions."""
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


def work_table(rows: Sequence[Row]) -> Table:
    """Milliseconds a step, or images a second; in brackets the quartiles."""
    others = list(dict.fromkeys(name for row in rows for name in row.ratio))
    found = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    found.add_column("work", no_wrap=True)
    for heading in ("weights", "lthray", "of the limit", *(part for name in others for part in (name, "ratio"))):
        found.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        unit = "images/s" if row.work.endswith("evaluation") else "ms"
        cells = [_amount(row, row.seconds["lthray"]), f"{row.limit / row.seconds['lthray'].median:.0%}"]
        for name in others:
            there = name in row.ratio
            cells.append(_amount(row, row.seconds[name]) if there else "")
            cells.append(_quartiles(row.ratio[name], ".1f") if there else "")
        found.add_row(f"{row.work}, {unit}", f"{row.weights_remaining:.1%}", *cells)
    return found


def _amount(row: Row, seconds: Spread) -> str:
    if row.work.endswith("evaluation"):
        return _quartiles(Spread(1 / seconds.median, 1 / seconds.high, 1 / seconds.low), ",.0f")
    return _quartiles(Spread(seconds.median * 1e3, seconds.low * 1e3, seconds.high * 1e3), ".2f")


def _quartiles(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} [{spread.low:{form}}, {spread.high:{form}}]"


def trajectory_table(seconds: Mapping[str, Mapping[str, float]]) -> Table:
    """Hours of trajectories, by train attack and by who did it."""
    found = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("train attack", "loop", "training, h", "evaluation, h", "both, h", "ratio"):
        found.add_column(name, justify="right" if name.endswith("h") or name == "ratio" else "left", no_wrap=True)
    for attack in ("natural", "fgsm", "pgd"):
        training, evaluation = seconds[f"{attack} step"], seconds[f"{attack} evaluation"]
        both = {name: (training[name] + evaluation[name]) / 3600 for name in training if name in evaluation}
        for name, hours in both.items():
            parts = (f"{training[name] / 3600:.2f}", f"{evaluation[name] / 3600:.2f}", f"{hours:.2f}")
            found.add_row(attack, name, *parts, f"{hours / both['lthray']:.1f}")
    return found


def trajectory_line(seconds: Mapping[str, Mapping[str, float]], spec: TrajectorySpec) -> str:
    """What the table of trajectories is, and what the paper's sweep takes."""
    hours = sum(by_who["lthray"] for by_who in seconds.values()) / 3600
    return (
        f"Whole trajectories of {spec.rounds + 1} rounds: not run, but summed from the steps and evaluations above."
        f" The paper's sweep, 30 of each, takes {30 * hours:.0f} hours."
    )


def run(
    threads: int, repeats: int, peers: Path | None, trajectory: bool, tell: Callable[[str], None]
) -> tuple[dict[str, Any], list[Table | str]]:
    """Measures, and gives what was found as values for JSON and as what to print.

    Args:
        threads: Of torch and of lthray.
        repeats: Turns of each row, at least 2.
        peers: File with the loops to compare with; None for that of the checkout, if there is one.
        trajectory: Steps and evaluations in every round, and their sums, instead of the works compared in five rounds.
        tell: Told what it is measured on and, row by row, what comes next.

    Raises:
        InputError: the file of peers can't be used.
    """
    torch.set_num_threads(threads)
    loops = load_peers(peers or PEERS) if peers or PEERS.is_file() else None
    on = machine()
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
    found = {
        "machine": on,
        "clock": clock.__name__,
        "speeds": {name: asdict(spread) for name, spread in speeds.items()},
        "rows": [asdict(row) for row in rows],
        "trajectory_seconds": seconds,
    }
    shown: list[Table | str] = [work_table(rows)]
    if trajectory:
        shown += [trajectory_line(seconds, spec), trajectory_table(seconds)]
    return found, shown
