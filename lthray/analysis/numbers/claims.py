"""The poster's claims held against a table of rounds: evidence for each weights remaining, and a verdict.

A claim speaks of every sparse network (every P_m < 1 tested) in one of three ways, which are its *rule*:

- `somewhere`: there is a P_m at which it holds. Supported where one P_m shows it after Holm's correction; contradicted
  where every P_m shows the contrary (an intersection-union test, which needs no correction: Berger 1982).
- `everywhere`: it holds at each P_m. The reverse: supported where every P_m shows it without correction, contradicted
  where one shows the contrary after Holm's correction.
- `tendency`: it holds at some P_m, its contrary at none, both after Holm's correction; contradicted the other way
  round. Where both are shown, more seeds would not help: undecided, and mixed.

Each direction is tested at half the level, so that where there is no effect, at most `LEVEL` of sweeps yield a verdict.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import hashable, sort_key, varied
from lthray.analysis.numbers.paired_tests import DENSE, RESAMPLES, compare, seeds_needed
from lthray.analysis.numbers.summary import tidy_rounds

LEVEL = 0.05
"""The largest share of sweeps without an effect that may yield a verdict on a claim: half of it in each direction."""
POWER = 0.8
"""The chance to reach a verdict that `seeds_needed` aims for."""
MARGIN = 0.01
"""Accuracy loss, as a share, that is ignored."""

SUPPORTED, CONTRADICTED, UNDECIDED = "supported", "contradicted", "undecided"
SOMEWHERE, EVERYWHERE, TENDENCY = "somewhere", "everywhere", "tendency"

ROBUST = "early_stopping_adversarial_accuracy_test"
ACCURATE = "early_stopping_natural_accuracy_test"
STOPPING = "early_stopping_iteration"


@dataclass(frozen=True)
class Claim:
    """A claim of the poster's, as it is tested."""

    number: int
    statement: str
    measure: str
    against: tuple[str, ...]
    rule: str

    @property
    def more_is_better(self) -> bool:
        """Whether the claim is that the measure is high: it is for accuracies, not for iterations."""
        return self.measure != STOPPING


CLAIMS = (
    Claim(1, "Robustness does not need overparameterization", ROBUST, (DENSE,), SOMEWHERE),
    Claim(2, "Winning tickets account for the accuracy", ACCURATE, (DENSE,), SOMEWHERE),
    Claim(3, "Winning tickets train faster", STOPPING, (DENSE, "random"), TENDENCY),
    Claim(4, "Winning tickets are as robust or more", ROBUST, ("random", "continued"), EVERYWHERE),
)
"""The claims; a winning ticket is a network of the strategy reset."""


def evidence(rounds: pd.DataFrame, margin: float = MARGIN, resamples: int = RESAMPLES) -> pd.DataFrame:
    """What the claims rest on: one row per claim, what it is compared against, and round.

    Args:
        rounds: A table of rounds (`load`).
        margin: Accuracy loss, as a share, that is ignored; iterations are compared without a margin.
        resamples: Bootstrap resamples; 0 leaves the intervals out.

    Returns:
        `claim` (1 to 4), the columns of `compare`, in the direction of the claim `p_for`, `p_against`, `p_for_holm`
        and `p_against_holm` ([0, 1], NaN with one seed), and `shown`: `for`, `against`, or `neither`, after Holm's
        correction over all rows of the claim in one setting, data set, train attack and eval attack.
    """
    parts = []
    for claim in CLAIMS:
        boundary = -margin if claim.more_is_better else 0.0
        table = compare(rounds, claim.measure, claim.against, boundary=boundary, resamples=resamples)
        sides = ("above", "below") if claim.more_is_better else ("below", "above")
        for side, direction in zip(sides, ("for", "against"), strict=True):
            table[f"p_{direction}"] = table[f"p_{side}"]
            table[f"p_{direction}_holm"] = table[f"p_{side}_holm"]
        directions = [table["p_for_holm"] <= LEVEL / 2, table["p_against_holm"] <= LEVEL / 2]
        table["shown"] = np.select(directions, ["for", "against"], "neither")
        table.insert(0, "claim", claim.number)
        parts.append(table)
    return pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)


def claims(rounds: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """A verdict on each of the poster's claims, per setting, data set, train attack and eval attack.

    Args:
        rounds: A table of rounds (`load`).
        margin: Accuracy loss, as a share, that is ignored.

    Returns:
        See `verdicts`.
    """
    return verdicts(rounds, evidence(rounds, margin, resamples=0))


def verdicts(rounds: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The verdicts that the evidence gives.

    Args:
        rounds: The table of rounds.
        table: Its `evidence`.

    Returns:
        One row per claim and what it is compared against, in every group: the columns of `varied(rounds)`,
        `dataset`, `train_attack`, `eval_attack`, `claim` (1 to 4), `against` (dense, random, continued), `verdict`
        (supported, contradicted, undecided; None without two seeds), `seeds` (the most that were paired; 0 where there
        is nothing to compare with), `tested` (P_m with two seeds or more), `shown_for` and `shown_against` (P_m that
        show the claim or its contrary after Holm's correction), `smallest_weights_remaining` (of those that show it,
        NaN without any), `seeds_needed` (about how many would decide an undecided claim; NA where none or over 1,000
        would, or for another verdict).
    """
    keys = group_keys(rounds)
    groups = tidy_rounds(rounds)[keys].drop_duplicates().sort_values(keys, key=sort_key)
    by_group = {hashable(key): part for key, part in table.groupby(keys, dropna=False, observed=True)}
    rows = []
    for group in groups.itertuples(index=False, name=None):
        of_group = by_group.get(hashable(group), table.iloc[:0])
        for claim in CLAIMS:
            of_claim = of_group[of_group["claim"] == claim.number]
            rows += [dict(zip(keys, group, strict=True)) | _row(claim, name, of_claim) for name in claim.against]
    columns = [*keys, "claim", "against", "verdict", "seeds", "tested", "shown_for", "shown_against"]
    columns += ["smallest_weights_remaining", "seeds_needed"]
    frame = pd.DataFrame(rows, columns=columns).astype({"seeds_needed": "Int64"})
    # Assigned once more, because pandas turns None among texts into NaN.
    return frame.assign(verdict=pd.Series([row["verdict"] for row in rows], index=frame.index, dtype=object))


def group_keys(rounds: pd.DataFrame) -> list[str]:
    """The columns that tell apart the groups that get a verdict each."""
    return [*varied(rounds), "dataset", "train_attack", "eval_attack"]


def _row(claim: Claim, against: str, of_claim: pd.DataFrame) -> dict[Hashable, Any]:
    rows = of_claim[of_claim["against"] == against]
    tested = rows[rows["n"] > 1]
    verdict = _verdict(claim.rule, tested) if len(tested) else None
    holds = tested[tested["shown"] == "for"]
    tests = int((of_claim["n"] > 1).sum())
    return {
        "claim": claim.number,
        "against": against,
        "verdict": verdict,
        "seeds": int(rows["n"].max()) if len(rows) else 0,
        "tested": len(tested),
        "shown_for": len(holds),
        "shown_against": int((tested["shown"] == "against").sum()),
        "smallest_weights_remaining": float(holds["weights_remaining"].min()),
        "seeds_needed": _seeds_needed(claim, tested, tests) if verdict == UNDECIDED else None,
    }


def _verdict(rule: str, tested: pd.DataFrame) -> str:
    some_for, some_against = bool((tested["shown"] == "for").any()), bool((tested["shown"] == "against").any())
    all_for, all_against = (bool((tested[name] <= LEVEL / 2).all()) for name in ("p_for", "p_against"))
    supported, contradicted = {
        SOMEWHERE: (some_for, all_against),
        EVERYWHERE: (all_for, some_against),
        TENDENCY: (some_for and not some_against, some_against and not some_for),
    }[rule]
    if supported == contradicted:
        return UNDECIDED
    return SUPPORTED if supported else CONTRADICTED


def _seeds_needed(claim: Claim, tested: pd.DataFrame, tests: int) -> int | None:
    """Seeds that would decide the claim if means and spreads stay as they are.

    A row's spread is its own or the root mean square over the rows, whichever is larger: a few seeds can agree by
    chance. One row decides (the one that shows most) at the level that Holm's first step leaves it, or all rows have
    to (the one that shows least) at the plain level.
    """
    sign = 1 if claim.more_is_better else -1
    effects = sign * (tested["mean_difference"] - tested["boundary"]).to_numpy(float)
    spreads = tested["test_sd"].to_numpy(float)
    spreads = np.maximum(spreads, np.sqrt((spreads**2).mean()))
    if {"for", "against"} <= set(tested["shown"]) and claim.rule == TENDENCY:
        return None
    if not (spreads > 0).all():
        return None
    ratios = effects / spreads
    corrected, plain = LEVEL / 2 / tests, LEVEL / 2
    if claim.rule == TENDENCY:
        return seeds_needed(float(np.abs(ratios).max()), corrected, POWER)
    if claim.rule == EVERYWHERE:
        ratios = -ratios
    if (ratios > 0).any():
        return seeds_needed(float(ratios.max()), corrected, POWER)
    return seeds_needed(float((-ratios).min()), plain, POWER)
