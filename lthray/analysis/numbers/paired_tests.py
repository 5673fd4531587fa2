"""Paired differences between networks that share a seed: how large they are, and how sure one can be of them.

The method is chosen for few seeds. A bootstrap interval of three differences covers the truth far less often than it
says, so that decisions rest on one-sided paired t tests with Holm's correction, which hold their level with two seeds
already, where the differences are about normal; the bootstrap intervals are shown beside them as evidence.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats as sps

from lthray.analysis.numbers.fields import sort_key, varied
from lthray.analysis.numbers.summary import one_per_seed

DENSE = "dense"
"""What a strategy is compared against where it is its own dense network: round 0 of the same seed."""
TICKETS = "reset"
"""The strategy whose sparse networks are winning tickets."""
RESAMPLES = 1_999

Floats = NDArray[np.float64]

_FAMILY = ["_group"]
_TEST = ["_group", "against", "round"]
_ROUNDING = 1e-9
_CHUNK = 200
_MOST_SEEDS = 1_000


def compare(
    rounds: pd.DataFrame,
    measure: str,
    against: Sequence[str],
    *,
    boundary: float = 0.0,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """How winning tickets, the sparse networks of the strategy reset, differ from other networks of the same seed.

    A difference is a ticket's value in a round minus the other network's: that of the dense network (reset in round 0),
    or of another strategy in the same round. A round counts the seeds that have both values, and is left out where no
    seed has.

    The two null hypotheses of a row, mean <= boundary and mean >= boundary, are each tested with a one-sided paired t
    test (Student 1908). Values on a grid, as iterations and accuracies are, can agree by chance in a few seeds: the
    variance is enlarged by h²/6, the rounding variance of a difference of two values on a grid of step h (Sheppard
    1898), h being the smallest difference between two values of the family; where that leaves no variance, p is that of
    the exact sign test, 2^-n. Holm's correction (1979) runs over all rows of a family, which are those of one setting,
    data set, train attack and eval attack, whatever they are compared against.

    Args:
        rounds: A table of rounds (`load`).
        measure: A measure of `tidy_rounds`, such as one of `MEASURES`.
        against: Strategies, or `dense`.
        boundary: The difference that the hypotheses are about, in the measure's unit.
        resamples: Bootstrap resamples; 0 leaves the intervals out (NaN).

    Returns:
        The columns of `varied(rounds)`, `dataset`, `train_attack`, `eval_attack`; `strategy`, `against`,
        `round`, `weights_remaining` (mean, (0, 1]), `measure`, `n` (seeds paired, at least 1), `mean_difference` and
        `sd_difference` (sample standard deviation, NaN with one seed) in the measure's unit, `ci_low` and `ci_high`
        (percentile bootstrap, 95 %, of the mean; NaN with one seed), `boundary`, `test_sd` (what the tests took for
        the standard deviation), `p_above` (small where the mean lies above the boundary), `p_below`, `p_above_holm`
        and `p_below_holm` ([0, 1], NaN with one seed).

    Raises:
        ValueError: There is no such measure.
    """
    tidy = one_per_seed(rounds)
    if measure not in tidy.columns:
        raise ValueError(f"no measure {measure!r} among the columns of tidy_rounds")
    keys = [*varied(rounds), "dataset", "train_attack", "eval_attack"]
    tidy = tidy.assign(
        _group=tidy.groupby(keys, dropna=False, observed=True, sort=False).ngroup(), _value=tidy[measure]
    )
    tidy = tidy[tidy["_value"].notna()]
    pairs = _pairs(tidy, against)
    steps = _grid_steps(tidy[tidy["_group"].isin(pairs["_group"])])
    table = _tested(pairs, steps, boundary)
    table = table.join(_intervals(pairs, resamples), on=_TEST)
    named = tidy[["_group", *keys]].drop_duplicates("_group")
    table = table.merge(named, on="_group", how="left").assign(strategy=TICKETS, measure=measure, boundary=boundary)
    columns = (
        "strategy", "against", "round", "weights_remaining", "measure", "n", "mean_difference", "sd_difference",
        "ci_low", "ci_high", "boundary", "test_sd", "p_above", "p_below", "p_above_holm", "p_below_holm",
    )  # fmt: skip
    order = [*keys, "against", "round"]
    return table[[*keys, *columns]].sort_values(order, key=sort_key, ignore_index=True)


def holm(p: Floats) -> Floats:
    """Holm's step-down correction of p-values (Holm 1979); NaN stays NaN and counts as no test."""
    adjusted = np.full(p.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * steps)) if len(order) else []
    return adjusted


def seeds_needed(effect: float, level: float, power: float) -> int | None:
    """Seeds with which a one-sided paired t test would find an effect.

    The power is that of the non-central t distribution (Johnson, Kotz and Balakrishnan 1995, chapter 31).

    Args:
        effect: The mean difference from the boundary, in standard deviations of a difference; above 0.
        level: The test's one-sided level.
        power: The wanted chance to find it.

    Returns:
        The smallest number, at least 2; None where it is above 1,000 or the effect is not above 0.
    """
    if effect <= 0:
        return None
    seeds = np.arange(2, _MOST_SEEDS + 1)

    def falls_short(n: int) -> bool:
        critical = sps.t.isf(level, n - 1)
        return bool(sps.nct.sf(critical, n - 1, effect * np.sqrt(n)) < power)

    low, high = 0, len(seeds)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if falls_short(int(seeds[middle])) else (low, middle)
    return int(seeds[low]) if low < len(seeds) else None


def _pairs(tidy: pd.DataFrame, against: Sequence[str]) -> pd.DataFrame:
    """One row per test and seed: `difference`, and the weights remaining of the compared network."""
    chosen = tidy[tidy["strategy"] == TICKETS]
    own = chosen.loc[chosen["round"] > 0, ["_group", "round", "seed", "weights_remaining", "_value"]]
    parts = []
    for name in against:
        if name == DENSE:
            baseline, keys = chosen.loc[chosen["round"] == 0, ["_group", "seed", "_value"]], ["_group", "seed"]
        else:
            keys = ["_group", "round", "seed"]
            baseline = tidy.loc[tidy["strategy"] == name, [*keys, "_value"]]
        joined = own.merge(baseline, on=keys, suffixes=("", "_other"))
        parts.append(joined.assign(against=name, difference=joined["_value"] - joined["_value_other"]))
    columns = [*_TEST, "seed", "weights_remaining", "difference"]
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def _grid_steps(tidy: pd.DataFrame) -> "pd.Series[float]":
    """The smallest difference between two distinct values of a family, 0 where all are the same."""
    values = tidy[[*_FAMILY, "_value"]].sort_values([*_FAMILY, "_value"])
    gaps = values.groupby(_FAMILY)["_value"].diff()
    gaps = gaps.where(gaps > _ROUNDING)
    return gaps.groupby(values["_group"]).min().fillna(0.0)


def _tested(pairs: pd.DataFrame, steps: "pd.Series[float]", boundary: float) -> pd.DataFrame:
    grouped = pairs.groupby(_TEST, sort=True)
    table = grouped.agg(
        n=("difference", "size"),
        weights_remaining=("weights_remaining", "mean"),
        mean_difference=("difference", "mean"),
        sd_difference=("difference", "std"),
    ).reset_index()
    step = table["_group"].map(steps).to_numpy(float)
    table["test_sd"] = np.sqrt(table["sd_difference"].to_numpy(float) ** 2 + step**2 / 6)
    excess = table["mean_difference"].to_numpy(float) - boundary
    n, deviation = table["n"].to_numpy(), table["test_sd"].to_numpy(float)
    table["p_above"], table["p_below"] = _p_values(excess, deviation, n), _p_values(-excess, deviation, n)
    for name in ("p_above", "p_below"):
        adjusted = np.full(len(table), np.nan)
        for rows in table.groupby(_FAMILY).indices.values():
            adjusted[rows] = holm(table[name].to_numpy(float)[rows])
        table[f"{name}_holm"] = adjusted
    return table


def _p_values(excess: Floats, deviation: Floats, n: NDArray[Any]) -> Floats:
    """One-sided p-values of means that lie `excess` above their boundary; NaN with one seed."""
    p = np.full(len(excess), np.nan)
    spread = (n > 1) & (deviation > _ROUNDING)
    p[spread] = sps.t.sf(excess[spread] / (deviation[spread] / np.sqrt(n[spread])), n[spread] - 1)
    alike = (n > 1) & ~spread
    p[alike] = np.where(excess[alike] > _ROUNDING, 0.5 ** n[alike], 1.0)
    return p


def _intervals(pairs: pd.DataFrame, resamples: int) -> pd.DataFrame:
    """Percentile bootstrap intervals by test; all tests of n seeds are resampled alike, so that rows are comparable."""
    ordered = pairs.sort_values([*_TEST, "seed"])
    sizes = ordered.groupby(_TEST, sort=True)["difference"].transform("size").to_numpy()
    bounds = np.full((len(ordered), 2), np.nan)
    for n in sorted(set(sizes.tolist()) - {1}) if resamples else []:
        rows = np.flatnonzero(sizes == n)
        samples = ordered["difference"].to_numpy(float)[rows].reshape(-1, n)
        bounds[rows] = np.repeat(_bootstrap(samples, resamples), n, axis=0)
    table = ordered[_TEST].assign(ci_low=bounds[:, 0], ci_high=bounds[:, 1])
    return table.drop_duplicates(_TEST).set_index(_TEST)


def _bootstrap(samples: Floats, resamples: int) -> Floats:
    """Intervals of the means of rows, (rows, 2), with the same random numbers in every call."""
    intervals = []
    for start in range(0, len(samples), _CHUNK):
        interval = sps.bootstrap(
            (samples[start : start + _CHUNK],),
            np.mean,
            axis=-1,
            vectorized=True,
            method="percentile",
            n_resamples=resamples,
            random_state=np.random.default_rng(0),
        ).confidence_interval
        intervals.append(np.column_stack([interval.low, interval.high]))
    return np.concatenate(intervals)
