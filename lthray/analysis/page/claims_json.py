"""`claims.json`: the verdicts and their evidence for programs, as docs/reference/report.md describes."""

import json
from typing import Any

import pandas as pd

from lthray.analysis.numbers.claims import CLAIMS
from lthray.analysis.numbers.evidence import QUESTIONS
from lthray.analysis.numbers.fields import hashable
from lthray.analysis.numbers.verdicts import LEVEL, POWER, Judgement
from lthray.analysis.page.lead import write_lead

SCHEMA_VERSION = 2
"""The version of the schema; every change that can break a reader raises it."""

_VERDICT = (
    "verdict", "reason", "seeds", "rounds", "tested", "tested_to", "holds", "holds_to", "fails", "fails_from",
    "fails_to", "seeds_low", "seeds_high", "seeds_show",
)  # fmt: skip
_EVIDENCE = (
    "round", "weights_remaining", "n", "planned", "untested", "mean_difference", "sd_difference", "ci_low", "ci_high",
    "boundary", "test_sd", "p_for", "p_against", "level_for", "level_against", "shown",
)  # fmt: skip
_OUTLIER = ("seed", "round", "weights_remaining", "difference", "median")


def claims_json(judgement: Judgement) -> str:
    """The text of the file; missing numbers are null."""
    keys = judgement.keys
    claims = {claim.key: claim for claim in CLAIMS}
    entries = []
    for row in judgement.verdicts.to_dict("records"):
        claim, group = claims[row["claim"]], hashable(tuple(row[key] for key in keys))
        question, basis = QUESTIONS.index(claim.question), judgement.bases[group]
        evidence, outliers = (_rows(frame, keys, group, question) for frame in (judgement.evidence, judgement.outliers))
        entries.append(
            {"claim": claim.key, "number": claim.number, "quote": claim.quote}
            | {"statement": claim.statement.format(margin=f"{judgement.margin:g}")}
            | {"measure": claim.question.measure, "against": claim.question.against, "shows": claim.question.shows}
            | {"dataset": row["dataset"], "train_attack": row["train_attack"]}
            | {"setting": {key: row[key] for key in keys if key not in ("dataset", "train_attack")}}
            | {name: row[name] for name in _VERDICT}
            | {
                "attack": {
                    "name": row["attack"],
                    "description": str(basis.setting),
                    "moment": row["moment"],
                    "images": row["images"] or None,
                    "dense_accuracy": basis.dense_accuracy,
                }
                if row["attack"]
                else None
            }
            | {"outliers": [{name: entry[name] for name in _OUTLIER} for entry in outliers]}
            | {"evidence": [{name: entry[name] for name in _EVIDENCE} for entry in evidence]}
        )
    tree = {
        "schema": "lthray-claims", "version": SCHEMA_VERSION, "level": LEVEL, "power": POWER,
        "margin": judgement.margin, "at": judgement.at, "look": judgement.look,
        "level_of_page": judgement.level, "questions": judgement.questions, "lead": write_lead(judgement),
        "claims": entries,
    }  # fmt: skip
    return json.dumps(_plain(tree), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _rows(frame: pd.DataFrame, keys: list[str], group: tuple[Any, ...], question: int) -> list[dict[Any, Any]]:
    if frame.empty:
        return []
    own = frame[frame["question"] == question]
    kept = [hashable(key) == group for key in own[keys].itertuples(index=False, name=None)]
    return own[kept].to_dict("records")


def _plain(value: Any) -> Any:
    """JSON's own types: missing numbers as null, NumPy's as Python's."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or pd.isna(value):
        return None
    return value.item() if hasattr(value, "item") else value
