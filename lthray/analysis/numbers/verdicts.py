"""Verdicts on the poster's claims: the range of sparsity that each holds for, how sure that is, and why not more.

A verdict speaks of a range without a gap. The networks of a group are tested from the densest sparse one down, each at
the full level of its question, until one does not show the claim; its contrary is tested from the sparsest up. What the
first sequence reaches is the range that the claim holds for, what the second reaches the range that it fails in, and
between them nothing can be told. All questions of a page, in all groups, share one level (`chains`). Where a sparsity
was declared beforehand, it alone is tested.

A verdict on robustness rests on the strongest attack that was measured, and is withheld where that attack could not
have broken the network (`robustness`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lthray.analysis.numbers.chains import level_of_look, walk_chains
from lthray.analysis.numbers.claims import CLAIMS, Claim
from lthray.analysis.numbers.evidence import (
    INCOMPLETE,
    NOT_COMMENSURATE,
    QUESTIONS,
    ROBUST,
    STOPPING,
    TOO_SHORT,
    UNDECLARED,
    compare_all,
    describe_networks,
)
from lthray.analysis.numbers.fields import distinct, hashable
from lthray.analysis.numbers.frames import ROUNDS, takes
from lthray.analysis.numbers.paired_tests import DENSE, interval
from lthray.analysis.numbers.robustness import Basis, find_bases, group_keys, measure_networks, select_networks
from lthray.analysis.numbers.seeds import seeds_range

LEVEL = 0.05
"""The largest share of pages that may state something false, over all looks: half of it in each direction."""
POWER = 0.8
"""The chance to reach a verdict that the range of seeds aims for."""
MARGIN = 0.01
"""Accuracy loss, as a share, that is ignored."""

SUPPORTED, PARTLY, CONTRADICTED, UNDECIDED = "supported", "partly", "contradicted", "undecided"
WITHHELD = "withheld"
"""No statement, because what was measured could not show it: the attack was too weak, or training too short."""

Positions = NDArray[np.intp]

NOTHING, ONE_SEED, NOT_MEASURED = "nothing-to-compare", "one-seed", "not-measured"
FOR, AGAINST, NEITHER = "for", "against", "neither"


@dataclass(frozen=True, eq=False)
class Judgement:
    """Verdicts and what they rest on.

    Attributes:
        verdicts: One row per claim in every group: `keys`; `claim` (the key of one of `CLAIMS`), `verdict` (supported,
            partly, contradicted, undecided, withheld, or None), `reason` (why it is withheld or None), `attack`,
            `moment`, `images` (what a verdict on robustness rests on), `seeds` (planned), `rounds` (compared), `tested`
            (of these, in the sequence of tests), `holds` and `fails` (how many rounds show the claim or its contrary),
            `holds_to` (the smallest weights remaining of the range that it holds for), `fails_from` and `fails_to` (the
            range that it fails in), `tested_to`, `seeds_low`, `seeds_high` and `seeds_show` (how many seeds would
            extend the range or, where the contrary shows, would show that).
        evidence: One row per question, group and round: `question` (its place in `QUESTIONS`), the columns of
            `compare_networks`, with the interval at the level that decided; `planned` (seeds), `untested` (why the
            round was not tested), `p_for`, `p_against`, `level_for`, `level_against`, and `shown` (for, against,
            neither).
        outliers: The seeds that lie far from the others: `find_outliers`, with `question`.
        bases: The attack behind verdicts on robustness, by the group's values of `keys`.
        keys: The columns that tell groups apart.
        margin: Accuracy loss, as a share, that was ignored.
        at: The declared weights remaining, if one was declared.
        look: Which look at these results it is, from 1 on.
        level: The level of the page in each direction.
        questions: How many questions share it.
    """

    verdicts: pd.DataFrame
    evidence: pd.DataFrame
    outliers: pd.DataFrame
    bases: dict[tuple[Any, ...], Basis]
    keys: list[str]
    margin: float
    at: float | None
    look: int
    level: float
    questions: int


@takes(rounds=ROUNDS)
def judge(
    rounds: pd.DataFrame,
    evaluations: pd.DataFrame | None = None,
    *,
    margin: float = MARGIN,
    at: float | None = None,
    planned: Mapping[str, Iterable[int]] | None = None,
    look: int = 1,
) -> Judgement:
    """Hold the poster's claims against results.

    Args:
        rounds: A table of rounds (`load`).
        evaluations: What `Results.evaluations` gives; its attacks count beside those of `rounds`.
        margin: Accuracy loss, as a share, that is ignored; iterations are compared without a margin.
        at: Weights remaining, in (0, 1), declared before the results were seen: each claim is then tested in the
            nearest round alone. None for the ranges.
        planned: The seeds that were to be trained, by folder's label, or under "" for all folders. A round that lacks
            one of them is not tested. By default those that have results.
        look: Which look at these growing results it is: each may spend a part of the level (`level_of_look`).
    """
    keys = group_keys(rounds)
    measured = measure_networks(rounds, evaluations)
    bases = find_bases(rounds, measured)
    attacked = select_networks(measured, keys, bases)
    table, outliers = compare_all(describe_networks(rounds), attacked, keys, planned or {}, margin=margin, at=at)
    level = level_of_look(LEVEL, look) / 2
    table, questions = decide(table, keys, bases, level)
    parts = {hashable(key): part for key, part in table.groupby([*keys, "question"], dropna=False, observed=True)}
    groups = {hashable(key): part for key, part in rounds.groupby(keys, dropna=False, observed=True)}
    rows = []
    for group in distinct(rounds, keys):
        fields = dict(zip(keys, group, strict=True))
        for claim in CLAIMS:
            if claim.adversarial and fields["train_attack"] == "none":
                continue
            key = hashable(group)
            part = parts.get((*key, QUESTIONS.index(claim.question)), table.iloc[:0])
            rows.append(fields | {"claim": claim.key} | _judge_claim(claim, bases[key], part, groups[key], at))
    verdicts = pd.DataFrame(rows).astype({"seeds_low": "Int64", "seeds_high": "Int64"})
    # Assigned once more, because pandas turns None among texts into NaN.
    verdicts["verdict"] = pd.Series([row["verdict"] for row in rows], index=verdicts.index, dtype=object)
    return Judgement(verdicts, table, outliers, bases, keys, margin, at, look, level, questions)


def decide(
    table: pd.DataFrame, keys: list[str], bases: Mapping[tuple[Any, ...], Basis], level: float
) -> tuple[pd.DataFrame, int]:
    """Test the sequences of a page, which share its level.

    Args:
        table: The first frame of `compare_all`.
        keys: The columns that tell groups apart.
        bases: `find_bases`: what is withheld is not tested, but has its share of the level.
        level: The level of the page in each direction.

    Returns:
        The table with what each row shows (`Judgement.evidence`), and how many questions share the level.
    """
    table = table.sort_values([*keys, "question", "round"], ignore_index=True)
    places = table["question"].to_numpy(int)
    upwards = np.array([question.more_is_better for question in QUESTIONS])[places]
    p = {
        FOR: np.where(upwards, table["p_above"], table["p_below"]),
        AGAINST: np.where(upwards, table["p_below"], table["p_above"]),
    }
    untested = table["untested"].to_numpy(str)
    sequences: dict[str, list[Positions]] = {FOR: [], AGAINST: []}
    weights = []
    for key, part in table.groupby([*keys, "question"], dropna=False, observed=True, sort=False):
        rows = part.index.to_numpy()[part["untested"] != UNDECLARED]
        if len(rows) == 0 or part["planned"].max() < 2:
            continue
        *group, place = hashable(key)
        weights.append(QUESTIONS[place].weight)
        if QUESTIONS[place].measure == ROBUST and bases[tuple(group)].reason:
            p[FOR][rows] = p[AGAINST][rows] = np.nan
        sequences[FOR].append(rows)
        # Where tickets are too poor to compare iterations, both directions begin with the densest.
        sequences[AGAINST].append(rows if QUESTIONS[place].measure == STOPPING else rows[::-1])
    shown = np.full(len(table), NEITHER, object)
    levels = {direction: np.full(len(table), np.nan) for direction in (FOR, AGAINST)}
    for direction, chains in sequences.items():
        testable = np.where(untested == "", p[direction], np.nan)
        walks = walk_chains([testable[rows].tolist() for rows in chains], weights, level)
        for rows, walk in zip(chains, walks, strict=True):
            levels[direction][rows] = walk.level
            shown[rows[: walk.rejected]] = direction
    low = interval(table, np.where(upwards, levels[FOR], levels[AGAINST]))[0]
    high = interval(table, np.where(upwards, levels[AGAINST], levels[FOR]))[1]
    added = {"p_for": p[FOR], "p_against": p[AGAINST], "level_for": levels[FOR], "level_against": levels[AGAINST]}
    return table.assign(**added, shown=shown, ci_low=low, ci_high=high), len(sequences[FOR])


def _judge_claim(
    claim: Claim, basis: Basis, table: pd.DataFrame, group: pd.DataFrame, at: float | None
) -> dict[str, Any]:
    rows = table[table["untested"] != UNDECLARED]
    tested = rows[rows["untested"] == ""]
    holds, fails = tested[tested["shown"] == FOR], tested[tested["shown"] == AGAINST]
    robust = claim.question.measure == ROBUST
    if claim.question.against in {DENSE, *group["strategy"]}:
        verdict, reason = _find_reason(basis if robust else Basis(), table, rows, tested)
    else:
        verdict, reason = None, NOTHING
    if verdict is None and not reason:
        whole = at is not None or int(rows["round"].max()) >= int(group["rounds"].max())
        verdict = _name_verdict(len(rows) if whole else -1, len(holds), len(fails))
    low, high, show = _count_seeds(claim, tested, holds) if verdict in (UNDECIDED, PARTLY) else (None, None, "")
    return {
        "verdict": verdict,
        "reason": reason,
        "attack": basis.attack if robust else "",
        "moment": basis.moment if robust else "early_stopping",
        "images": basis.images if robust else 0,
        "seeds": int(table["planned"].max()) if len(table) else 0,
        "rounds": len(rows),
        "tested": len(tested),
        "tested_to": float(tested["weights_remaining"].min()),
        "holds": len(holds),
        "holds_to": float(holds["weights_remaining"].min()),
        "fails": len(fails),
        "fails_from": float(fails["weights_remaining"].max()),
        "fails_to": float(fails["weights_remaining"].min()),
        "seeds_low": low,
        "seeds_high": high,
        "seeds_show": show,
    }


def _find_reason(basis: Basis, table: pd.DataFrame, rows: pd.DataFrame, tested: pd.DataFrame) -> tuple[str | None, str]:
    """Whether there is a reason against a verdict, and whether it is withheld for it."""
    if basis.reason:
        return WITHHELD, basis.reason
    if table.empty:
        return None, NOTHING
    if table["planned"].max() < 2:
        return None, ONE_SEED
    if rows.empty:
        return None, NOT_MEASURED
    if len(tested):
        return None, ""
    reasons = set(rows["untested"])
    if TOO_SHORT in reasons:
        return WITHHELD, TOO_SHORT
    return None, INCOMPLETE if INCOMPLETE in reasons else NOT_COMMENSURATE


def _name_verdict(rounds: int, holds: int, fails: int) -> str:
    """The verdict on a range of so many rounds, -1 where planned rounds are missing."""
    if holds == rounds:
        return SUPPORTED
    if fails == rounds:
        return CONTRADICTED
    return PARTLY if holds else UNDECIDED


def _count_seeds(claim: Claim, tested: pd.DataFrame, holds: pd.DataFrame) -> tuple[int | None, int | None, str]:
    """How many seeds would show the claim, or the contrary if the means say so, in the next round of its sequence."""
    after = tested[tested["shown"] == NEITHER]
    if len(holds):
        after = after[after["round"] > holds["round"].max()]
    if after.empty:
        return None, None, ""
    row = after.iloc[0]
    effect = float(row["mean_difference"] - row["boundary"]) * (1 if claim.question.more_is_better else -1)
    show = FOR if effect > 0 else AGAINST
    if len(holds) and show == AGAINST:
        return None, None, ""
    level = float(row[f"level_{show}"])
    return *seeds_range(abs(effect), float(row["test_sd"]), int(row["n"]), level, POWER), show
