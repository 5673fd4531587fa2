"""What a few seeds can tell and what not: how many more it would take, and which seed lies far from the others."""

import numpy as np
import pandas as pd
from scipy import stats as sps

MOST_SEEDS = 1_000
"""More seeds than this are not counted."""
CENTRAL = 0.8
"""How much of the uncertainty of a standard deviation the range of `seeds_range` covers."""
FAR = 6.0
"""A seed lies far from the others where its difference is this many robust standard deviations from their median."""
FAR_ACCURACY = (0.02, 0.1)
"""An accuracy nearer to the median of the seeds than the first is never far, one beyond the second always; shares."""

_MAD_TO_SD = 1.4826


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
    seeds = np.arange(2, MOST_SEEDS + 1)

    def falls_short(n: int) -> bool:
        critical = sps.t.isf(level, n - 1)
        return bool(sps.nct.sf(critical, n - 1, effect * np.sqrt(n)) < power)

    low, high = 0, len(seeds)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if falls_short(int(seeds[middle])) else (low, middle)
    return int(seeds[low]) if low < len(seeds) else None


def seeds_range(
    effect: float, deviation: float, seeds: int, level: float, power: float
) -> tuple[int | None, int | None]:
    """Between which numbers of seeds a test would find an effect, if the mean that was seen is the true one.

    The standard deviation of a few seeds is uncertain: the range is that of the middle `CENTRAL` of its distribution
    (chi square, normal differences).

    Args:
        effect: The mean difference from the boundary, above 0.
        deviation: Its standard deviation, in the same unit.
        seeds: How many seeds it was estimated from, at least 2.
        level: The test's one-sided level.
        power: The wanted chance to find the effect.

    Returns:
        The fewest and the most seeds; None where it is above `MOST_SEEDS` or there is no effect.
    """

    def count(tail: float) -> int | None:
        spread = deviation * np.sqrt((seeds - 1) / sps.chi2.ppf(tail, seeds - 1))
        return seeds_needed(effect / spread, level, power) if spread > 0 else None

    return count((1 + CENTRAL) / 2), count((1 - CENTRAL) / 2)


def share_unseen(seeds: int) -> float:
    """The largest share of seeds that could behave otherwise without any of these showing it, at 95 % confidence."""
    return float(1 - 0.05 ** (1 / seeds))


def find_outliers(pairs: pd.DataFrame, keys: list[str], *, accuracy: bool) -> pd.DataFrame:
    """The seeds whose difference lies far from those of the other seeds at the same weights remaining.

    A t test of seeds of which one in ten collapses is wrong far more often than it says, and no test on a few seeds can
    see a collapse that none of them had; but one that is among them must be named. The scale is the median absolute
    deviation from the seeds' median over all rounds of a group, which a collapse does not move.

    Args:
        pairs: Rows of `pair_networks`.
        keys: The columns that tell groups of rounds apart.
        accuracy: Whether the differences are of accuracies, which `FAR_ACCURACY` limits.

    Returns:
        The rows of `pairs` that lie far, with `median` (of the seeds' differences). Of two seeds that lie far from each
        other, both.
    """
    rows = [*keys, "round"]
    counted = pairs.assign(
        median=pairs.groupby(rows, dropna=False)["difference"].transform("median"),
        _seeds=pairs.groupby(rows, dropna=False)["difference"].transform("size"),
    )
    distance = (counted["difference"] - counted["median"]).abs()
    # Of three seeds one is the median itself: its distance of zero says nothing about the spread.
    informative = distance.where((counted["_seeds"] > 2) & (distance > 0))
    scales = informative.groupby([counted[name] for name in keys], dropna=False).transform("median") * _MAD_TO_SD
    limit = (FAR * scales).fillna(np.inf)
    if accuracy:
        limit = limit.clip(*FAR_ACCURACY)
        # Two seeds lie at equal distances from their median, which is half of what they differ by.
        distance = distance.where(counted["_seeds"] > 2, 2 * distance)
    far = (counted["_seeds"] > 1) & (distance > limit) & (distance > 0)
    return counted[far].drop(columns="_seeds").reset_index(drop=True)
