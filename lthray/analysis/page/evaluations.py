"""Accuracies under attacks beyond those of the table of rounds: from the table of evaluations."""

from dataclasses import dataclass

import pandas as pd

from lthray.analysis.numbers import summary as stats
from lthray.analysis.page import tables

KEYS = ("attack", "split", "moment", "images")
"""What a table of the page is of."""


@dataclass(frozen=True)
class EvaluationTable:
    """The accuracies under one attack on one split at one moment of training: a column a strategy."""

    title: str
    moment: str
    headings: list[str]
    rows: list[list[str]]


def summarise(evaluations: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds.

    Args:
        evaluations: What `Results.evaluations` gives.
        rounds: A table of rounds (`load`): which trajectories count, and what varies among them.

    Returns:
        One row per setting, data set, train attack, attack (full name), split (validation, test), moment
        (early_stopping, final), number of images, strategy and round: `weights_remaining` (mean, (0, 1]),
        `accuracy_mean`, `accuracy_sd` (sample standard deviation, NaN with one seed; shares of [0, 1]) and `accuracy_n`
        (seeds). Of trajectories that differ in nothing but their list of eval attacks, the first counts.
    """
    identity = stats.trajectory_keys(rounds)
    told = evaluations[evaluations["moment"] != "training"]
    mine = told.merge(rounds[identity].drop_duplicates(), on=identity)
    keys = [*stats.varied(rounds), "dataset", "train_attack", *KEYS, "strategy", "round"]
    once = mine.sort_values(identity).drop_duplicates([*keys, "seed"])
    groups = once.groupby(keys, dropna=False, observed=True, sort=False)
    columns = {
        "weights_remaining": groups["weights_remaining"].mean(),
        "accuracy_mean": groups["accuracy"].mean(),
        "accuracy_sd": groups["accuracy"].std(),
        "accuracy_n": groups["accuracy"].count(),
    }
    return pd.DataFrame(columns).reset_index().sort_values(keys, key=stats.ranks, ignore_index=True)


def page_tables(summary: pd.DataFrame) -> list[EvaluationTable]:
    """The numbers of `summarise` as printed, on test images alone: a table an attack and moment."""
    shown = summary[summary["split"] == "test"]
    settings = [name for name in shown.columns if name not in (*KEYS, "strategy", "round", "weights_remaining")]
    settings = [name for name in settings if not name.startswith("accuracy_")]
    made = []
    for (attack, _, moment, images), part in shown.groupby(list(KEYS), sort=False):
        strategies = stats.strategies(part)
        rows = []
        for key, of_key in part.groupby([*settings, "round"], dropna=False, sort=False):
            cells = {
                str(row["strategy"]): tables.cell(
                    float(row["accuracy_mean"]), float(row["accuracy_sd"]), int(row["accuracy_n"]), percent=True
                )
                for row in of_key.to_dict("records")
            }
            weights = tables.percent(float(of_key["weights_remaining"].mean()))
            rows.append([*map(stats.show, key), weights, *(str(cells.get(name) or "–") for name in strategies)])
        headings = [name.replace("_", " ") for name in (*settings, "round")]
        when = f"{str(moment).replace('_', ' ')}, {images:,} test images"
        made.append(EvaluationTable(str(attack), when, [*headings, "weights, %", *strategies], rows))
    return made
