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
"""Of `claims.json`; a change that can break a reader raises it (docs/analysis.md has the schema)."""

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
        """How many there are of each: "2 supported, 1 undecided"."""
        kinds = (SUPPORTED, CONTRADICTED, UNDECIDED, NO_VERDICT)
        counts = [(sum(one.verdict == kind for one in self.verdicts), kind) for kind in kinds]
        return ", ".join(f"{count} {kind}" for count, kind in counts if count)


def groups(found: pd.DataFrame, shown: pd.DataFrame, margin: float) -> list[Group]:
    """The verdicts as printed.

    Args:
        found: The verdicts (`verdicts`).
        shown: The evidence behind them (`evidence`).
        margin: The margin they were found with, as a share.
    """
    keys = _group_keys(found)
    evidence = _by_verdict(shown, keys)
    grouped: dict[str, list[Verdict]] = {}
    for row in found.to_dict("records"):
        title = _title({key: row[key] for key in keys})
        claim = CLAIMS[row["claim"] - 1]
        rows = evidence.get(_identity(row, keys), shown.iloc[:0])
        verdict = Verdict(
            number=claim.number,
            statement=claim.statement,
            against=str(row["against"]),
            verdict=row["verdict"] or NO_VERDICT,
            words=_words(claim, row, rows, margin),
            unit="points" if claim.more_is_better else "iterations",
            comparisons=tuple(_comparison(claim, one) for one in rows.to_dict("records")),
        )
        grouped.setdefault(title, []).append(verdict)
    return [Group(title, tuple(verdicts)) for title, verdicts in grouped.items()]


def claims_json(found: pd.DataFrame, shown: pd.DataFrame, margin: float) -> str:
    """The verdicts and their evidence for programs, as docs/analysis.md describes; missing numbers are null."""
    keys = _group_keys(found)
    evidence = _by_verdict(shown, keys)
    settings = [key for key in keys if key not in ("dataset", *layout.ATTACKS)]
    entries = []
    for row in found.to_dict("records"):
        claim = CLAIMS[row["claim"] - 1]
        rows = evidence.get(_identity(row, keys), shown.iloc[:0])
        entry = {name: row[name] for name in found.columns if name not in settings}
        entry |= {"statement": claim.statement, "measure": claim.measure, "rule": claim.rule}
        entry["setting"] = {name: row[name] for name in settings}
        entry["evidence"] = [{name: one[name] for name in _EVIDENCE} for one in rows.to_dict("records")]
        entries.append(entry)
    tree = {
        "schema": "lthray-claims", "version": SCHEMA_VERSION, "level": LEVEL, "power": POWER,
        "margin": margin, "resamples": RESAMPLES, "claims": entries,
    }  # fmt: skip
    return json.dumps(_plain(tree), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def points(share: float) -> str:
    """A share in percentage points: "1 point", "0.5 points"."""
    return f"{share * 100:g} point{'' if share == 0.01 else 's'}"


_EVIDENCE = (
    "round", "weights_remaining", "n", "mean_difference", "sd_difference", "ci_low", "ci_high", "boundary", "test_sd",
    "p_for", "p_against", "p_for_holm", "p_against_holm", "shown",
)  # fmt: skip


def _words(claim: Claim, row: dict[Hashable, Any], rows: pd.DataFrame, margin: float) -> str:
    other = "the dense network" if row["against"] == DENSE else f"{row['against']} networks"
    if row["verdict"] is None:
        if row["seeds"]:
            return "One seed: without a second there is no telling chance from effect. Five are a good start."
        what = "no pruned rounds" if row["against"] == DENSE else f"no {row['against']} networks"
        return f"There are {what} of the same seeds to compare."
    found = _found(claim, row, other, margin)
    return " ".join(part for part in (found, _at_sparsest(claim, rows), _more_seeds(claim, row)) if part)


def _found(claim: Claim, row: dict[Hashable, Any], other: str, margin: float) -> str:
    """At how many P_m the claim is shown, and its contrary."""
    by = f" by more than {points(margin)}" if margin else ""
    held, contrary = (
        (f"not worse than {other}{by}", f"worse than {other}{by}")
        if claim.more_is_better
        else (f"earlier than {other}", f"later than {other}")
    )
    tested, shown_for, shown_against = row["tested"], row["shown_for"], row["shown_against"]
    if claim.rule == EVERYWHERE and row["verdict"] == SUPPORTED:
        return f"{_capital(held)} at each of {tested} P_m."
    if claim.rule == SOMEWHERE and row["verdict"] == CONTRADICTED:
        return f"{_capital(contrary)} at each of {tested} P_m."
    if not shown_for and not shown_against:
        open_question = f"{contrary} or not" if claim.more_is_better else f"earlier or later than {other}"
        return f"At none of {tested} P_m is it shown whether tickets are {open_question}."
    found = []
    if shown_for:
        sparsest = _percent(row["smallest_weights_remaining"])
        found.append(f"shown to be {held} at {shown_for} of {tested} P_m, down to {sparsest} of the weights")
    if shown_against:
        found.append(f"shown to be {contrary} at {shown_against} of {tested} P_m")
    return _capital("; ".join(found)) + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _at_sparsest(claim: Claim, rows: pd.DataFrame) -> str:
    """The difference in the sparsest round tested."""
    last = _comparison(claim, rows[rows["n"] > 1].sort_values("round").iloc[-1].to_dict())
    unit = "points" if claim.more_is_better else "iterations"
    interval = f" ({last.interval})" if last.interval else ""
    return f"At {last.weights} %: {last.difference} {unit}{interval}."


def _more_seeds(claim: Claim, row: dict[Hashable, Any]) -> str:
    if row["verdict"] != UNDECIDED:
        return ""
    if claim.rule == TENDENCY and row["shown_for"] and row["shown_against"]:
        return "Mixed: more seeds would not decide it."
    if pd.isna(row["seeds_needed"]):
        return f"More than 1,000 seeds, or none, would decide it ({row['seeds']} now)."
    return f"About {row['seeds_needed']} seeds would decide it ({row['seeds']} now)."


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


def _group_keys(found: pd.DataFrame) -> list[str]:
    return list(found.columns[: list(found.columns).index("claim")])


def _by_verdict(shown: pd.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    names = [*keys, "claim", "against"]
    return {hashable(key): part for key, part in shown.groupby(names, dropna=False, observed=True)}


def _identity(row: dict[Hashable, Any], keys: list[str]) -> tuple[Any, ...]:
    return hashable(tuple(row[name] for name in (*keys, "claim", "against")))


def _plain(value: Any) -> Any:
    """JSON's own types: missing numbers as null, NumPy's as Python's."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
