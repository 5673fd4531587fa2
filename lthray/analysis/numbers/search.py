"""A search in numbers: its samples, how good each is, and which are best. Pure functions on frames."""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.numbers.fields import as_floats, sort_key

COMPLETE, STOPPED, PARTIAL = "complete", "stopped", "partial"

ATTACK_FIELDS = ("epsilon", "pgd.steps", "pgd.step_size", "pgd.random_start", "attack_label")
"""Fields that make attacks stronger or weaker, those that accuracy is measured under among them."""


@dataclass(frozen=True)
class Space:
    """What a field was drawn from: the name of Ray Tune's space, and its arguments."""

    name: str
    arguments: tuple[Any, ...]

    @property
    def is_log(self) -> bool:
        """Whether its values are spread over orders of magnitude."""
        return "log" in self.name

    @property
    def is_choice(self) -> bool:
        """Whether its values are a list."""
        return self.name == "choice"

    def holds(self, values: pd.Series) -> pd.Series:
        """Which values are in the space."""
        if self.is_choice:
            return values.isin([_text(value) for value in self.arguments])
        low, high = (float(value) for value in self.arguments[:2])
        slack = 1e-12 * max(abs(low), abs(high))  # drawing on a log scale rounds
        return values.astype(float).between(low - slack, high + slack)


@dataclass(frozen=True)
class Search:
    """The `search` section of a `sweep.yaml`."""

    space: dict[str, Space]
    grid: dict[str, tuple[Any, ...]]
    """The grid's values but for seeds: what tells cells apart."""
    seeds: int
    """Seeds of a sample."""
    samples: int
    """Samples of a cell."""
    searcher: str
    metric: str
    mode: str
    scheduler: str | None

    @property
    def fields(self) -> list[str]:
        """What tells samples apart: the grid's fields, then those searched."""
        return [*self.grid, *self.space]

    @property
    def words(self) -> str:
        """The metric as a reader says it: "PGD validation accuracy at early stopping"."""
        match = re.fullmatch(r"(early_stopping|final)_([a-z]+)_accuracy_([a-z]+)", self.metric)
        if not match:
            return self.metric.replace("_", " ").capitalize()
        moment, attack, split = match.groups()
        who = "Natural" if attack == "none" else attack.upper()
        return f"{who} {split} accuracy {'at early stopping' if moment == 'early_stopping' else 'at the end'}"

    @property
    def percent(self) -> bool:
        """Whether the metric is a share, to be written in %."""
        return "_accuracy_" in self.metric or "_share_" in self.metric


def search_of(sweep: Mapping[str, Any] | None) -> Search | None:
    """What a `sweep.yaml` says of a search; None where it has none."""
    section = (sweep or {}).get("search")
    if not sweep or not section:
        return None
    grid = sweep.get("grid") or {}
    scheduler = section.get("scheduler") or None
    return Search(
        space={
            field: Space(name, tuple(arguments))
            for field, space in section["space"].items()
            for name, arguments in space.items()
        },
        grid={field: tuple(values) for field, values in grid.items() if field != "seed"},
        seeds=len(grid.get("seed") or [0]),
        samples=section["samples"],
        searcher=section["searcher"],
        metric=section["metric"],
        mode=section["mode"],
        scheduler=next(iter(scheduler)) if scheduler else None,
    )


def rows_of(rounds: pd.DataFrame, search: Search) -> pd.DataFrame:
    """The rows of a table of rounds whose grid values and searched values are the search's."""
    belongs = pd.Series(True, index=rounds.index)
    for field, values in search.grid.items():
        if field != "eval_attacks":  # which the tables have resolved
            belongs &= rounds[field].isin([_text(value) for value in values])
    for field, space in search.space.items():
        if field != "eval_attacks":
            belongs &= space.holds(rounds[field])
    return rounds[belongs]


def samples(rounds: pd.DataFrame, search: Search, stopped: Collection[str] = ()) -> pd.DataFrame:
    """One row per sample: a cell of the grid and the values drawn, over its seeds.

    Args:
        rounds: A table of rounds (`load`).
        search: Its search.
        stopped: The trajectories that a scheduler stopped, by id.

    Returns:
        The grid's fields, the fields searched, `state` (complete: every seed has every round; stopped: by the
        scheduler; else partial), `round` (the last that all its seeds have finished), `weights_remaining` there
        ((0, 1]), `mean` and `sd` of the metric there (sample standard deviation over seeds, NaN with one), `n` (seeds),
        `test_mean` and `test_sd` (of the metric's twin on test images, where the metric is of validation images; else
        NaN), and `iterations` (optimizer steps spent over all seeds and rounds).
    """
    kept = rows_of(rounds, search)
    twin = search.metric.replace("_validation", "_test") if search.metric.endswith("_validation") else None
    rows = []
    for _, part in kept.groupby(search.fields, dropna=False, observed=True, sort=False) if len(kept) else ():
        seeds = part.groupby("seed", sort=True)
        last = int(seeds["round"].max().min())
        last_rows = part[part["round"] == last].sort_values("seed")
        values = as_floats(last_rows, search.metric)
        on_test = as_floats(last_rows, twin) if twin else pd.Series(dtype=float)
        done = bool(last >= part["rounds"].max()) and len(seeds) >= search.seeds
        is_stopped = part["trajectory_id"].isin(list(stopped)).any()
        rows.append(
            {field: part[field].iloc[0] for field in search.fields}
            | {
                "state": COMPLETE if done else STOPPED if is_stopped else PARTIAL,
                "round": last,
                "weights_remaining": float(last_rows["weights_remaining"].mean()),
                "mean": float(values.mean()),
                "sd": float(values.std()),
                "n": int(values.count()),
                "test_mean": float(on_test.mean()) if len(on_test) else math.nan,
                "test_sd": float(on_test.std()) if len(on_test) else math.nan,
                "iterations": int(part["round_iterations"].sum()),
            }
        )
    measured = ["state", "round", "weights_remaining", "mean", "sd", "n", "test_mean", "test_sd", "iterations"]
    frame = pd.DataFrame(rows, columns=[*search.fields, *measured])
    return frame.sort_values([*search.grid, "mean"], key=sort_key, ignore_index=True)


def best(table: pd.DataFrame, search: Search, most: int = 5) -> pd.DataFrame:
    """The best samples of each cell among those that are complete.

    Args:
        table: The samples (`samples`).
        search: Their search.
        most: How many of each cell.

    Returns:
        Their rows with `rank` (1 is best; the first of two that are alike is the one with less spread).
    """
    done = table[table["state"] == COMPLETE].sort_values(
        ["mean", "sd"], ascending=[search.mode == "min", True], kind="stable"
    )
    cells = done.groupby(list(search.grid), dropna=False, observed=True, sort=False) if search.grid else None
    ranks = cells.cumcount() if cells is not None else pd.Series(range(len(done)), index=done.index)
    ranked = done.assign(rank=ranks + 1)
    ranked = ranked[ranked["rank"] <= most]
    return ranked.sort_values([*search.grid, "rank"], key=sort_key, ignore_index=True)


def of_the_best(rounds: pd.DataFrame, search: Search, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the settings that are best in some cell, in every cell; all rows where no sample is complete."""
    winners = best(table, search, 1)[list(search.space)].drop_duplicates()
    if winners.empty:
        return rounds
    kept = pd.MultiIndex.from_frame(rounds[list(search.space)]).isin(pd.MultiIndex.from_frame(winners))
    return rounds[kept]


def _text(value: object) -> object:
    """A value as the tables carry it."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else value
