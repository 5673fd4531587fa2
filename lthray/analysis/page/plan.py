"""What a sweep planned, as far as verdicts need it: the seeds of its trajectories, and those that verdicts rest on."""

import json

import pandas as pd

from lthray.analysis.load import Results
from lthray.analysis.numbers.fields import field_columns, select, show
from lthray.analysis.numbers.paired_tests import TICKETS
from lthray.analysis.numbers.verdicts import Judgement

_MEASURED = {"eval_attacks", "eval_attacks_at", "end_attacks", "end_images"}
_FREE = {"folder", "seed", "strategy", "rounds", "rewind_to", *_MEASURED}
"""Fields that do not tell settings apart for a look: networks of one setting may differ in them."""


def planned_seeds(results: Results) -> dict[str, set[int]]:
    """The seeds that the sweep files name and those of failed trajectories, by folder's label, or "" for one folder."""
    planned = {}
    for label, sweep in results.sweeps.items():
        named = ((sweep or {}).get("grid") or {}).get("seed", [])
        seeds = {seed for seed in (named if isinstance(named, list) else [named]) if isinstance(seed, int)}
        lost = results.failures
        if len(results.folders) > 1 and "folder" in lost:
            lost = lost[lost["folder"] == label]
        if "seed" in lost:
            seeds |= {int(seed) for seed in lost["seed"].dropna()}
        planned[label if len(results.folders) > 1 else ""] = seeds
    return planned


def judged_seeds(rounds: pd.DataFrame, judgement: Judgement) -> dict[str, list[int]]:
    """The seeds behind the verdicts of each setting that has any, by a text that stands for the setting."""
    tested = judgement.evidence[judgement.evidence["untested"] == ""]
    seeds = {}
    for group in tested[judgement.keys].drop_duplicates().to_dict("records"):
        part = select(rounds, {str(name): value for name, value in group.items()})
        tickets = part[part["strategy"] == TICKETS]
        fields = {name: show(tickets[name].iloc[0]) for name in sorted(set(field_columns(rounds)) - _FREE)}
        seeds[json.dumps(fields, sort_keys=True)] = sorted({int(seed) for seed in tickets["seed"]})
    return seeds
