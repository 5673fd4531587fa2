"""Verdicts as a reader meets them: a badge, the words of the poster, what was tested, and what was seen."""

import math
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.numbers.claims import CLAIMS, Claim
from lthray.analysis.numbers.evidence import INCOMPLETE, NOT_COMMENSURATE, QUESTIONS, TOO_SHORT, UNDECLARED
from lthray.analysis.numbers.fields import hashable, show
from lthray.analysis.numbers.verdicts import CONTRADICTED, PARTLY, SUPPORTED, UNDECIDED, WITHHELD, Judgement
from lthray.analysis.page import words


@dataclass(frozen=True)
class Comparison:
    """A row of the evidence as printed; numbers are in points, iterations, % or p-values."""

    weights: str
    seeds: str
    difference: str
    interval: str
    p_for: str
    p_against: str
    shown: str


@dataclass(frozen=True)
class Verdict:
    """A verdict as printed."""

    heading: str
    """Which claim of the poster's it is, or which of its figures it follows."""
    quote: str
    statement: str
    kind: str
    """supported, partly, contradicted, undecided, withheld, or none."""
    badge: str
    words: str
    unit: str
    level: str
    """The confidence of the intervals, in %."""
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Group:
    """The verdicts for one setting, data set and train attack."""

    title: str
    anchor: str
    verdicts: tuple[Verdict, ...]

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare."""
        return any(verdict.comparisons for verdict in self.verdicts)

    @property
    def tally(self) -> str:
        """How many verdicts there are of each kind: "2 supported, 1 undecided"."""
        kinds = (SUPPORTED, PARTLY, CONTRADICTED, UNDECIDED, WITHHELD, words.NONE)
        counts = [(sum(verdict.kind == kind for verdict in self.verdicts), words.KINDS[kind]) for kind in kinds]
        return ", ".join(f"{count} {kind}" for count, kind in counts if count)


def group_verdicts(judgement: Judgement) -> list[Group]:
    """The verdicts as printed, group by group."""
    keys = judgement.keys
    evidence = _split(judgement.evidence, [*keys, "question"])
    outliers = _split(judgement.outliers, [*keys, "question"])
    empty = judgement.evidence.iloc[:0]
    groups = []
    for place, (key, part) in enumerate(_split(judgement.verdicts, keys).items()):
        printed: list[Verdict] = []
        for row in part.to_dict("records"):
            claim = next(claim for claim in CLAIMS if claim.key == row["claim"])
            name = (*key, QUESTIONS.index(claim.question))
            verdict = _print(claim, row, evidence.get(name, empty), outliers.get(name), judgement)
            if row["verdict"] == WITHHELD and any(verdict.words == earlier.words for earlier in printed):
                reason = str(row["reason"]).replace("-", " ")
                verdict = replace(verdict, words=f"Withheld for the same reason as the verdict on claim 1: {reason}.")
            printed.append(verdict)
        groups.append(Group(title(dict(zip(keys, key, strict=True))), f"verdicts-{place + 1}", tuple(printed)))
    return groups


def title(group: dict[str, Any]) -> str:
    """A group as a heading: "fashion-mnist · pgd.steps 7 · trained against fgsm"."""
    attack = group["train_attack"]
    rest = [f"{name} {show(group[name])}" for name in group if name not in ("dataset", *layout.ATTACKS)]
    return " · ".join([str(group["dataset"]), *rest, words.name_training(attack)])


def _print(
    claim: Claim, row: dict[Hashable, Any], rows: pd.DataFrame, outliers: pd.DataFrame | None, judgement: Judgement
) -> Verdict:
    margin = words.format_points(judgement.margin)
    levels = rows["level_for"].dropna()
    confidence = "" if levels.empty else f"{100 * (1 - 2 * float(levels.iloc[0])):.3g}"
    return Verdict(
        heading="Comparison" if claim.number is None else f"Claim {claim.number}",
        quote=claim.quote,
        statement=claim.statement.format(margin=margin),
        kind=row["verdict"] or words.NONE,
        badge=words.name_badge(row),
        words=_describe(claim, row, rows, outliers, judgement),
        unit="points" if claim.question.more_is_better else "iterations",
        level=confidence,
        comparisons=tuple(_comparison(claim, of_round) for of_round in rows.to_dict("records")),
    )


def _describe(
    claim: Claim, row: dict[Hashable, Any], rows: pd.DataFrame, outliers: pd.DataFrame | None, judgement: Judgement
) -> str:
    """A verdict in sentences: why there is none, or what holds where, how large the effect is, what would tell more."""
    group = hashable(tuple(row[key] for key in judgement.keys))
    basis = judgement.bases[group]
    if row["reason"]:
        return words.explain_reason(row, claim, basis)
    sentences = [
        words.describe_attack(basis) if row["attack"] else "",
        words.describe_range(claim, row, judgement.at),
        words.describe_untested(rows),
        _describe_sparsest(claim, rows),
        words.describe_seeds(row),
        words.describe_unseen(row),
        "" if outliers is None else _describe_outliers(claim, outliers),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_sparsest(claim: Claim, rows: pd.DataFrame) -> str:
    """The difference in the sparsest round that was tested."""
    last = _comparison(claim, rows[rows["untested"] == ""].sort_values("round").iloc[-1].to_dict())
    unit = "points" if claim.question.more_is_better else "iterations"
    interval = f" (interval {last.interval})" if last.interval else ""
    return f"At {last.weights} % of the weights, the mean difference is {last.difference} {unit}{interval}."


def _describe_outliers(claim: Claim, outliers: pd.DataFrame) -> str:
    """The seeds that lie far from the others, and where one lies farthest."""
    distance = (outliers["difference"] - outliers["median"]).abs()
    row = outliers.iloc[int(distance.to_numpy().argmax())]
    seeds = sorted(set(outliers["seed"]))
    names = f"Seed {seeds[0]} lies" if len(seeds) == 1 else f"Seeds {', '.join(map(str, seeds))} lie"
    unit = "points" if claim.question.more_is_better else "iterations"
    gap = _number(claim, row["difference"] - row["median"])
    return (
        f"{names} far from the others: seed {row['seed']} by {gap} {unit} at {words.percent(row['weights_remaining'])}."
        " A t test of so uneven seeds is wrong more often than it says."
    )


def _comparison(claim: Claim, row: dict[Hashable, Any]) -> Comparison:
    low, high = _number(claim, row["ci_low"]), _number(claim, row["ci_high"])
    reasons = {INCOMPLETE: "seeds are missing", TOO_SHORT: "training too short", UNDECLARED: "not declared"}
    reasons |= {NOT_COMMENSURATE: "accuracy not commensurate"}
    shown = {"for": "the claim", "against": "its contrary"}.get(row["shown"], "neither")
    n, planned = int(row["n"]), int(row["planned"])
    return Comparison(
        weights=f"{row['weights_remaining'] * 100:.3g}",
        seeds=str(n) if n == planned else f"{n} of {planned}",
        difference=_number(claim, row["mean_difference"]),
        interval=f"{low} to {high}" if low else "",
        p_for=_p(row["p_for"]),
        p_against=_p(row["p_against"]),
        shown=f"not tested: {reasons[row['untested']]}" if row["untested"] else shown,
    )


def _number(claim: Claim, value: float) -> str:
    """A difference with its sign, in points or iterations; empty where there is none."""
    scale, form = (100, "+.2f") if claim.question.more_is_better else (1, "+,.0f")
    return "" if math.isnan(value) else format(value * scale + 0.0, form).replace("-", "−")


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def _split(frame: pd.DataFrame, names: list[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    if frame.empty:
        return {}
    return {hashable(key): part for key, part in frame.groupby(names, dropna=False, observed=True, sort=False)}
