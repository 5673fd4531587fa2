"""Verdicts in words for people, and as JSON for programs."""

import json
import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.numbers.claims import (
    CLAIMS,
    CONTRADICTED,
    EVERYWHERE,
    LEVEL,
    POWER,
    SOMEWHERE,
    SUPPORTED,
    TENDENCY,
    UNDECIDED,
    Claim,
)
from lthray.analysis.numbers.fields import hashable, show
from lthray.analysis.numbers.paired_tests import DENSE, RESAMPLES

SCHEMA_VERSION = 1
"""The version of the schema of `claims.json`; every change that can break a reader raises it (docs/analysis.md)."""

NO_VERDICT = "no verdict"


@dataclass(frozen=True)
class Comparison:
    """A row of the evidence as printed; numbers are in points, iterations, % or p-values."""

    weights: str
    seeds: int
    difference: str
    interval: str
    p_for: str
    p_against: str
    shown: str


@dataclass(frozen=True)
class Verdict:
    """A verdict as printed."""

    number: int
    statement: str
    against: str
    verdict: str
    """supported, contradicted, undecided or "no verdict"."""
    words: str
    unit: str
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Group:
    """The verdicts for one setting, data set, train attack and eval attack."""

    title: str
    verdicts: tuple[Verdict, ...]

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare."""
        return any(verdict.comparisons for verdict in self.verdicts)

    @property
    def tally(self) -> str:
        """How many verdicts there are of each kind: "2 supported, 1 undecided"."""
        kinds = (SUPPORTED, CONTRADICTED, UNDECIDED, NO_VERDICT)
        counts = [(sum(verdict.verdict == kind for verdict in self.verdicts), kind) for kind in kinds]
        return ", ".join(f"{count} {kind}" for count, kind in counts if count)


def group_verdicts(verdicts: pd.DataFrame, evidence: pd.DataFrame, margin: float) -> list[Group]:
    """The verdicts as printed.

    Args:
        verdicts: The frame that `numbers.claims.verdicts` returns.
        evidence: The evidence behind them (`numbers.claims.evidence`).
        margin: The margin that accuracies were tested against, as a share.
    """
    keys = _group_keys(verdicts)
    parts = _split_evidence(evidence, keys)
    grouped: dict[str, list[Verdict]] = {}
    for row in verdicts.to_dict("records"):
        title = _title({key: row[key] for key in keys})
        claim = CLAIMS[row["claim"] - 1]
        rows = parts.get(_identity(row, keys), evidence.iloc[:0])
        verdict = Verdict(
            number=claim.number,
            statement=claim.statement,
            against=str(row["against"]),
            verdict=row["verdict"] or NO_VERDICT,
            words=_describe(claim, row, rows, margin),
            unit="points" if claim.more_is_better else "iterations",
            comparisons=tuple(_comparison(claim, round_row) for round_row in rows.to_dict("records")),
        )
        grouped.setdefault(title, []).append(verdict)
    return [Group(title, tuple(group)) for title, group in grouped.items()]


def claims_json(verdicts: pd.DataFrame, evidence: pd.DataFrame, margin: float) -> str:
    """The verdicts and their evidence for programs, as docs/analysis.md describes; missing numbers are null."""
    keys = _group_keys(verdicts)
    parts = _split_evidence(evidence, keys)
    settings = [key for key in keys if key not in ("dataset", *layout.ATTACKS)]
    entries = []
    for row in verdicts.to_dict("records"):
        claim = CLAIMS[row["claim"] - 1]
        rows = parts.get(_identity(row, keys), evidence.iloc[:0])
        entry = {name: row[name] for name in verdicts.columns if name not in settings}
        entry |= {"statement": claim.statement, "measure": claim.measure, "rule": claim.rule}
        entry["setting"] = {name: row[name] for name in settings}
        entry["evidence"] = [{name: of_round[name] for name in _EVIDENCE} for of_round in rows.to_dict("records")]
        entries.append(entry)
    tree = {
        "schema": "lthray-claims", "version": SCHEMA_VERSION, "level": LEVEL, "power": POWER,
        "margin": margin, "resamples": RESAMPLES, "claims": entries,
    }  # fmt: skip
    return json.dumps(_plain(tree), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def format_points(share: float) -> str:
    """A share in percentage points: "1 point", "0.5 points"."""
    return f"{share * 100:g} point{'' if share == 0.01 else 's'}"


_EVIDENCE = (
    "round", "weights_remaining", "n", "mean_difference", "sd_difference", "ci_low", "ci_high", "boundary", "test_sd",
    "p_for", "p_against", "p_for_holm", "p_against_holm", "shown",
)  # fmt: skip


def _describe(claim: Claim, row: dict[Hashable, Any], rows: pd.DataFrame, margin: float) -> str:
    """A verdict in sentences: at which sparsity levels it holds, how large the effect is, what would decide it."""
    if row["verdict"] is None:
        if row["seeds"]:
            return "One seed cannot tell an effect from chance. Train with at least two seeds, better with five."
        networks = "pruned rounds" if row["against"] == DENSE else f"{row['against']} networks"
        return f"There are no {networks} of the same seeds to compare."
    sentences = (_describe_levels(claim, row, margin), _describe_sparsest(claim, rows), _describe_seeds(claim, row))
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_levels(claim: Claim, row: dict[Hashable, Any], margin: float) -> str:
    """At how many sparsity levels the claim is shown, and at how many its contrary."""
    against = "the dense network" if row["against"] == DENSE else f"{row['against']} networks"
    if not claim.more_is_better:
        holds, fails = f"tickets stop earlier than {against}", f"tickets stop later than {against}"
        question = f"tickets stop earlier or later than {against}"
    elif margin:
        loss = format_points(margin)
        holds, fails = (
            f"tickets lose at most {loss} against {against}",
            f"tickets lose more than {loss} against {against}",
        )
        question = fails
    else:
        holds, fails = f"tickets are at least as good as {against}", f"tickets are worse than {against}"
        question = fails
    tested, shown_for, shown_against = row["tested"], row["shown_for"], row["shown_against"]
    everywhere = "At the one sparsity level tested" if tested == 1 else f"At all {tested} sparsity levels"
    if claim.rule == EVERYWHERE and row["verdict"] == SUPPORTED:
        return f"{everywhere}, {holds}."
    if claim.rule == SOMEWHERE and row["verdict"] == CONTRADICTED:
        return f"{everywhere}, {fails}."
    if not shown_for and not shown_against:
        levels = "at the one sparsity level tested" if tested == 1 else f"at any of the {tested} sparsity levels"
        return f"With {row['seeds']} seeds we cannot tell {levels} whether {question}."
    sentences = []
    if shown_for:
        sparsest = _percent(row["smallest_weights_remaining"])
        sentences.append(f"At {shown_for} of {tested} sparsity levels, down to {sparsest} of the weights, {holds}.")
    if shown_against:
        sentences.append(f"At {shown_against} of {tested} sparsity levels, {fails}.")
    return " ".join(sentences)


def _describe_sparsest(claim: Claim, rows: pd.DataFrame) -> str:
    """The difference in the sparsest round that was tested."""
    last = _comparison(claim, rows[rows["n"] > 1].sort_values("round").iloc[-1].to_dict())
    unit = "points" if claim.more_is_better else "iterations"
    interval = f" ({last.interval})" if last.interval else ""
    return f"At {last.weights} % of the weights, the mean difference is {last.difference} {unit}{interval}."


def _describe_seeds(claim: Claim, row: dict[Hashable, Any]) -> str:
    if row["verdict"] != UNDECIDED:
        return ""
    if claim.rule == TENDENCY and row["shown_for"] and row["shown_against"]:
        return "The levels disagree, so that more seeds would not decide it."
    if pd.isna(row["seeds_needed"]):
        return "Even 1,000 seeds might not decide it."
    return f"About {row['seeds_needed']} seeds would decide it."


def _comparison(claim: Claim, row: dict[Hashable, Any]) -> Comparison:
    scale, form = (100, "+.2f") if claim.more_is_better else (1, "+,.0f")

    def number(value: float) -> str:
        return "" if math.isnan(value) else format(value * scale + 0.0, form).replace("-", "−")

    low, high = number(row["ci_low"]), number(row["ci_high"])
    return Comparison(
        weights=f"{row['weights_remaining'] * 100:.3g}",
        seeds=int(row["n"]),
        difference=number(row["mean_difference"]),
        interval=f"{low} to {high}" if low else "",
        p_for=_p(row["p_for_holm"]),
        p_against=_p(row["p_against_holm"]),
        shown={"for": "the claim", "against": "its contrary"}.get(row["shown"], "neither"),
    )


def _p(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.1e}" if value < 0.001 else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"


def _title(group: dict[str, Any]) -> str:
    """A group as a heading: "fashion-mnist · pgd.steps 7 · trained against fgsm, attacked with fgsm"."""
    train = "trained without attack" if group["train_attack"] == "none" else f"trained against {group['train_attack']}"
    words = [str(group["dataset"])]
    words += [f"{name} {show(group[name])}" for name in group if name not in ("dataset", *layout.ATTACKS)]
    return " · ".join([*words, f"{train}, attacked with {group['eval_attack']}"])


def _group_keys(verdicts: pd.DataFrame) -> list[str]:
    return list(verdicts.columns[: verdicts.columns.get_loc("claim")])


def _split_evidence(evidence: pd.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    names = [*keys, "claim", "against"]
    return {hashable(key): part for key, part in evidence.groupby(names, dropna=False, observed=True)}


def _identity(row: dict[Hashable, Any], keys: list[str]) -> tuple[Any, ...]:
    return hashable(tuple(row[name] for name in (*keys, "claim", "against")))


def _plain(value: Any) -> Any:
    """JSON's own types: missing numbers as null, NumPy's as Python's."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
