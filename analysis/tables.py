"""The figures' numbers as text: a table per pair of train and eval attack."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import stats
from analysis.figures import COLUMNS


@dataclass(frozen=True)
class Cell:
    """A mean with its standard deviation and the number of seeds, ready to print."""

    mean: str
    deviation: str
    """Empty where a single seed leaves none."""
    seeds: int


@dataclass(frozen=True)
class Row:
    """A round: its number, the weights remaining in %, and a cell per measure and strategy (None without numbers)."""

    round: int
    weights: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """The numbers behind one row of Figure 2; `measures` and `strategies` head the cells, measures outermost."""

    train_attack: str
    eval_attack: str
    measures: tuple[str, ...]
    strategies: tuple[str, ...]
    rows: tuple[Row, ...]


def figure_2_tables(summary: pd.DataFrame) -> list[Table]:
    """The numbers of Figure 2, one table for each of its rows.

    Args:
        summary: The rows of `stats.summarise` for one data set and one setting.
    """
    return [_table(summary, *pair) for pair in stats.attack_pairs(summary)]


def cell(mean: float, deviation: float, seeds: int, *, percent: bool) -> Cell | None:
    """Mean and deviation as printed: shares in % with one decimal, iterations as whole numbers."""
    if seeds == 0 or math.isnan(mean):
        return None
    scale, form = (100, ".1f") if percent else (1, ",.0f")
    spread = "" if math.isnan(deviation) else format(deviation * scale, form)
    return Cell(format(mean * scale, form), spread, seeds)


def _table(summary: pd.DataFrame, train: str, attack: str) -> Table:
    part = summary[(summary["train_attack"] == train) & (summary["eval_attack"] == attack)]
    strategies = stats.strategies(part)
    rows = tuple(
        _row(number, part[part["round"] == number], strategies) for number in sorted(set(part["round"].tolist()))
    )
    return Table(train, attack, tuple(label for _, label in COLUMNS), tuple(strategies), rows)


def _row(number: int, rows: pd.DataFrame, strategies: list[str]) -> Row:
    by_strategy = {row["strategy"]: row for row in rows.to_dict("records")}
    cells = tuple(_cell(by_strategy.get(strategy), measure) for measure, _ in COLUMNS for strategy in strategies)
    percent = float(rows["weights_remaining"].mean()) * 100
    return Row(number, format(percent, ".1f" if percent >= 1 else ".2f"), cells)


def _cell(row: dict[Hashable, Any] | None, measure: str) -> Cell | None:
    if row is None:
        return None
    mean, deviation, seeds = (row[f"{measure}_{part}"] for part in ("mean", "sd", "n"))
    return cell(float(mean), float(deviation), int(seeds), percent=not measure.endswith("_iteration"))
