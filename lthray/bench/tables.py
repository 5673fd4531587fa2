"""What `lthray bench` shows: tables of its rows."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from lthray.bench.measure import Row, Spread
from lthray.spec.trajectory import TrajectorySpec


def work_table(rows: Sequence[Row]) -> Table:
    """Lthray's milliseconds a step or images a second, the ratio of each other loop's time to it, and the best of them.

    In brackets are the quartiles.
    """
    others = list(dict.fromkeys(name for row in rows for name in row.ratio))
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("work", no_wrap=True)
    for heading in ("weights", "lthray", "of the limit", *others):
        table.add_column(heading, justify="right", no_wrap=True)
    if others:
        table.add_column("best peer", no_wrap=True)
    for row in rows:
        unit = "images/s" if row.work.endswith("evaluation") else "ms"
        cells = [_amount(row, row.seconds["lthray"]), f"{row.limit / row.seconds['lthray'].median:.0%}"]
        cells += [_quartiles(row.ratio[name], ".2f") for name in others]
        if others:
            cells.append(min(row.ratio, key=lambda name: row.ratio[name].median))
        table.add_row(f"{row.work}, {unit}", f"{row.weights_remaining:.1%}", *cells)
    return table


def _amount(row: Row, seconds: Spread) -> str:
    if row.work.endswith("evaluation"):
        return _quartiles(Spread(1 / seconds.median, 1 / seconds.high, 1 / seconds.low), ",.0f")
    return _quartiles(Spread(seconds.median * 1e3, seconds.low * 1e3, seconds.high * 1e3), ".2f")


def _quartiles(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}} [{spread.low:{form}}, {spread.high:{form}}]"


def trajectory_table(seconds: Mapping[str, Mapping[str, float]]) -> Table:
    """Hours of trajectories, by train attack and by loop."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("train attack", "loop", "training, h", "evaluation, h", "both, h", "ratio"):
        table.add_column(name, justify="right" if name.endswith("h") or name == "ratio" else "left", no_wrap=True)
    for attack in ("natural", "fgsm", "pgd"):
        training, evaluation = seconds[f"{attack} step"], seconds[f"{attack} evaluation"]
        both = {name: (training[name] + evaluation[name]) / 3600 for name in training if name in evaluation}
        for name, hours in both.items():
            parts = (f"{training[name] / 3600:.2f}", f"{evaluation[name] / 3600:.2f}", f"{hours:.2f}")
            table.add_row(attack, name, *parts, f"{hours / both['lthray']:.1f}")
    return table


def trajectory_line(seconds: Mapping[str, Mapping[str, float]], spec: TrajectorySpec) -> str:
    """What the table of trajectories is, and what the paper's sweep takes."""
    hours = sum(by_who["lthray"] for by_who in seconds.values()) / 3600
    return (
        f"Whole trajectories of {spec.rounds + 1} rounds: not run, but summed from the steps and evaluations above."
        f" The paper's sweep, 30 of each, takes {30 * hours:.0f} hours."
    )
