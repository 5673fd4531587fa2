"""What the page says first: a sentence on what was measured, what holds, what cannot be told and why; and a matrix."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.numbers.claims import CLAIMS
from lthray.analysis.numbers.fields import hashable
from lthray.analysis.numbers.robustness import DENSE_AT_CHANCE, Basis
from lthray.analysis.numbers.verdicts import CONTRADICTED, PARTLY, SUPPORTED, WITHHELD, Judgement
from lthray.analysis.page import words
from lthray.analysis.page.claims import title

MANY = 4
"""From more groups than this on, a matrix stands above the verdicts."""

_SHORT = {
    "robust": "robustness as the dense network's", "accurate": "natural accuracy as the dense network's",
    "faster": "earlier stopping", "better": "robustness above the dense network's",
}  # fmt: skip


@dataclass(frozen=True)
class Matrix:
    """A badge for every claim (columns) in every group (rows)."""

    headings: list[str]
    rows: list[tuple[str, str, list[tuple[str, str]]]]
    """Title and anchor of the group, and kind and badge of each cell."""


def write_lead(judgement: Judgement) -> list[str]:
    """The page's first lines: for every group what holds and what cannot be told; counts where there are many."""
    groups = list(judgement.verdicts.groupby(judgement.keys, dropna=False, observed=True, sort=False))
    if len(groups) > MANY:
        kinds = judgement.verdicts.drop_duplicates([*judgement.keys, "claim"])["verdict"].map(
            lambda kind: kind or words.NONE
        )
        counts = [f"{int((kinds == kind).sum())} {name}" for kind, name in words.KINDS.items() if (kinds == kind).any()]
        return [f"{len(groups)} groups of networks, {len(kinds)} verdicts: {', '.join(counts)}."]
    return [_describe_group(judgement, part) for _, part in groups]


def build_matrix(judgement: Judgement, anchors: list[str]) -> Matrix | None:
    """The matrix, None where there are few groups; `anchors` are those of the groups' verdicts, in order."""
    groups = list(judgement.verdicts.groupby(judgement.keys, dropna=False, observed=True, sort=False))
    if len(groups) <= MANY:
        return None
    rows = []
    for (key, part), anchor in zip(groups, anchors, strict=True):
        by_claim = {row["claim"]: row for row in part.to_dict("records")}
        cells = [
            (str(by_claim[claim.key]["verdict"] or words.NONE), words.name_badge(by_claim[claim.key]))
            if claim.key in by_claim
            else (words.NONE, "")
            for claim in CLAIMS
        ]
        rows.append((title(dict(zip(judgement.keys, key, strict=True))), anchor, cells))
    return Matrix([claim.key.replace("-", " ") for claim in CLAIMS], rows)


def _describe_group(judgement: Judgement, part: pd.DataFrame) -> str:
    """A group in sentences: "fashion-mnist · trained against fgsm, 5 seeds. Holds: ... Cannot be told: ..."."""
    key = tuple(part.iloc[0][name] for name in judgement.keys)
    rows = {row["claim"]: row for row in part.to_dict("records")}
    lists: dict[str, list[str]] = {"Holds": [], "Does not hold": [], "Cannot be told": [], "Not judged": []}
    for name, short in _SHORT.items():
        verdict = rows[name]["verdict"] if name in rows else WITHHELD
        if verdict in (SUPPORTED, PARTLY):
            lists["Holds"].append(f"{short}, down to {words.percent(rows[name]['holds_to'])} of the weights")
        elif verdict != WITHHELD:
            lists[{CONTRADICTED: "Does not hold", None: "Not judged"}.get(verdict, "Cannot be told")].append(short)
    sentences = [
        f"{title(dict(zip(judgement.keys, key, strict=True)))}, {_seeds(part)}.",
        _describe_robustness(rows["robust"], judgement.bases[hashable(key)]),
        *(f"{heading}: {'; '.join(entries)}." for heading, entries in lists.items() if entries),
        "Training was too short to tell when it stops early." if rows["faster"]["verdict"] == WITHHELD else "",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _describe_robustness(row: dict[Hashable, Any], basis: Basis) -> str:
    """What robustness was measured with, or why there is no evidence of it."""
    if row["verdict"] != WITHHELD:
        return f"Robustness was measured with {basis.setting}." if basis.setting else ""
    if basis.reason == DENSE_AT_CHANCE:
        why = f"under {basis.setting}, the dense network is not clearly above chance"
    elif row["train_attack"] == "none":
        why = "no strong attack was measured"
    else:
        why = "no attack stronger than the one trained against was measured"
    return f"No evidence of robustness: {why}."


def _seeds(part: pd.DataFrame) -> str:
    count = int(part["seeds"].max())
    return f"{count} seed{'' if count == 1 else 's'}"
