"""Paired differences between networks that share a seed: how large they are, and how sure one can be of them.

The method is chosen for few seeds. A bootstrap interval of three differences covers the truth far less often than it
says. One-sided paired t tests hold their level with two seeds already, where the differences are about normal, and the
interval of a difference is the one that these tests give.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as sps

from lthray.analysis.numbers.fields import sort_key, varied
from lthray.analysis.numbers.frames import ROUNDS, takes
from lthray.analysis.numbers.summary import one_per_seed

DENSE = "dense"
"""What a strategy is compared against where it is its own dense network: round 0 of the same seed."""
TICKETS = "reset"
"""The strategy whose sparse networks are winning tickets."""
CONFIDENCE = 0.95
"""The share of intervals that cover the mean, of each by itself."""

Floats = NDArray[np.float64]

_TEST = ["_group", "against", "round"]
_ROUNDING = 1e-9
_TESTED = (
    "strategy", "against", "round", "weights_remaining", "measure", "n", "mean_difference", "sd_difference", "ci_low",
    "ci_high", "boundary", "test_sd", "p_above", "p_below",
)  # fmt: skip


@takes(rounds=ROUNDS)
def compare(rounds: pd.DataFrame, measure: str, against: Sequence[str], *, boundary: float = 0.0) -> pd.DataFrame:
    """How winning tickets, the sparse networks of the strategy reset, differ from other networks of the same seed.

    Args:
        rounds: A table of rounds (`load`).
        measure: A measure of `tidy_rounds`, such as one of `MEASURES`.
        against: Strategies, or `dense`.
        boundary: The difference that the hypotheses are about, in the measure's unit.

    Returns:
        The columns of `varied(rounds)`, `dataset`, `train_attack`, `eval_attack`, those of `compare_networks`, and
        `p_above_holm` and `p_below_holm`: the p-values after Holm's correction (1979) over all rows of one setting,
        data set, train attack and eval attack.

    Raises:
        ValueError: There is no such measure.
    """
    tidy = one_per_seed(rounds)
    if measure not in tidy.columns:
        raise ValueError(f"no measure {measure!r} among the columns of tidy_rounds")
    keys = [*varied(rounds), "dataset", "train_attack", "eval_attack"]
    table = compare_networks(tidy, keys, measure, against, boundary=boundary)
    families = table.groupby(keys, dropna=False, observed=True).indices.values()
    for name in ("p_above", "p_below"):
        adjusted = np.full(len(table), np.nan)
        for rows in families:
            adjusted[rows] = holm(table[name].to_numpy(float)[rows])
        table[f"{name}_holm"] = adjusted
    return table


def compare_networks(
    networks: pd.DataFrame, keys: list[str], measure: str, against: Sequence[str], *, boundary: float = 0.0
) -> pd.DataFrame:
    """The paired differences of one measure between winning tickets and other networks.

    A difference is a ticket's value in a round minus the other network's: that of the dense network (reset in round 0),
    or of another strategy in the same round. A round counts the seeds that have both values, and is left out where no
    seed has.

    The two null hypotheses of a row, mean <= boundary and mean >= boundary, are each tested with a one-sided paired t
    test (Student 1908). Values on a grid, as iterations and accuracies are, can agree by chance in a few seeds: the
    variance is enlarged by h²/6, the rounding variance of a difference of two values on a grid of step h (Sheppard
    1898), h being the smallest difference between two values of a group; where that leaves no variance, p is that of
    the exact sign test, 2^-n.

    Args:
        networks: One row per group, strategy, seed and round, with `weights_remaining` and the measure.
        keys: The columns that tell groups apart.
        measure: The column to compare; rows without a number are left out.
        against: Strategies, or `dense`.
        boundary: The difference that the hypotheses are about, in the measure's unit.

    Returns:
        `keys`; `strategy` (reset), `against`, `round`, `weights_remaining` (mean, (0, 1]), `measure`, `n` (seeds
        paired, at least 1), `mean_difference` and `sd_difference` (sample standard deviation, NaN with one seed) in the
        measure's unit, `ci_low` and `ci_high` (the paired t interval of the mean that covers it in `CONFIDENCE` of
        cases, see `interval`), `boundary`, `test_sd` (what the tests took for the standard deviation), `p_above` (small
        where the mean lies above the boundary) and `p_below` ([0, 1], NaN with one seed).
    """
    grouped = networks.groupby(keys, dropna=False, observed=True, sort=False)
    networks = networks.assign(_group=grouped.ngroup(), _value=networks[measure].astype(float))
    networks = networks[networks["_value"].notna()]
    pairs = pair_networks(networks, ["_group"], "_value", against)
    steps = _grid_steps(networks[networks["_group"].isin(pairs["_group"])])
    table = pairs.groupby(_TEST, sort=True).agg(
        n=("difference", "size"),
        weights_remaining=("weights_remaining", "mean"),
        mean_difference=("difference", "mean"),
        sd_difference=("difference", "std"),
    ).reset_index()  # fmt: skip
    step = table["_group"].map(steps).to_numpy(float)
    table["test_sd"] = np.sqrt(table["sd_difference"].to_numpy(float) ** 2 + step**2 / 6)
    excess = table["mean_difference"].to_numpy(float) - boundary
    n, deviation = table["n"].to_numpy(), table["test_sd"].to_numpy(float)
    table["p_above"], table["p_below"] = _p_values(excess, deviation, n), _p_values(-excess, deviation, n)
    table["ci_low"], table["ci_high"] = interval(table, (1 - CONFIDENCE) / 2)
    named = networks[["_group", *keys]].drop_duplicates("_group")
    table = table.merge(named, on="_group", how="left").assign(strategy=TICKETS, measure=measure, boundary=boundary)
    return table[[*keys, *_TESTED]].sort_values([*keys, "against", "round"], key=sort_key, ignore_index=True)


def pair_networks(networks: pd.DataFrame, keys: list[str], measure: str, against: Sequence[str]) -> pd.DataFrame:
    """The differences behind `compare_networks`: one row per group, what it is compared against, round and seed.

    Returns:
        `keys`, `against`, `round`, `seed`, `weights_remaining` (the ticket's) and `difference`.
    """
    chosen = networks[networks["strategy"] == TICKETS]
    own = chosen.loc[chosen["round"] > 0, [*keys, "round", "seed", "weights_remaining", measure]]
    parts = []
    for name in against:
        if name == DENSE:
            on, baseline = [*keys, "seed"], chosen[chosen["round"] == 0]
        else:
            on, baseline = [*keys, "round", "seed"], networks[networks["strategy"] == name]
        joined = own.merge(baseline[[*on, measure]], on=on, suffixes=("", "_other"))
        parts.append(joined.assign(against=name, difference=joined[measure] - joined[f"{measure}_other"]))
    columns = [*keys, "against", "round", "seed", "weights_remaining", "difference"]
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def interval(table: pd.DataFrame, level: "float | Floats") -> tuple[Floats, Floats]:
    """The paired t interval of each mean difference: the boundaries that tests at this level do not reject.

    Args:
        table: Rows of `compare_networks`.
        level: One-sided level of the test in each direction, one for all or one a row.

    Returns:
        Lower and upper ends in the measure's unit; NaN where there is one seed or no variance.
    """
    n, deviation = table["n"].to_numpy(), table["test_sd"].to_numpy(float)
    known = (n > 1) & (deviation > _ROUNDING)
    half = np.full(len(table), np.nan)
    levels = np.broadcast_to(level, len(table))[known]
    half[known] = sps.t.isf(levels, n[known] - 1) * deviation[known] / np.sqrt(n[known])
    means = table["mean_difference"].to_numpy(float)
    return means - half, means + half


def holm(p: Floats) -> Floats:
    """Holm's step-down correction of p-values (Holm 1979); NaN stays NaN and counts as no test."""
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * steps)) if len(order) else []
    return adjusted


def _grid_steps(tidy: pd.DataFrame) -> "pd.Series[float]":
    """The smallest difference between two distinct values of a group, 0 where all are the same."""
    values = tidy[["_group", "_value"]].sort_values(["_group", "_value"])
    gaps = values.groupby(["_group"])["_value"].diff()
    gaps = gaps.where(gaps > _ROUNDING)
    return gaps.groupby(values["_group"]).min().fillna(0.0)


def _p_values(excess: Floats, deviation: Floats, n: NDArray[Any]) -> Floats:
    """One-sided p-values of means that lie `excess` above their boundary; NaN with one seed."""
    p = np.full(len(excess), np.nan)
    spread = (n > 1) & (deviation > _ROUNDING)
    p[spread] = sps.t.sf(excess[spread] / (deviation[spread] / np.sqrt(n[spread])), n[spread] - 1)
    alike = (n > 1) & ~spread
    p[alike] = np.where(excess[alike] > _ROUNDING, 0.5 ** n[alike], 1.0)
    return p
