"""The section of the page on attacks beyond those of the table of rounds: from the table of evaluations."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lthray.analysis import figures
from lthray.analysis.files import replace_file
from lthray.analysis.numbers.evaluations import KEYS, summarise_evaluations
from lthray.analysis.numbers.fields import select, show
from lthray.analysis.numbers.measurements import chance
from lthray.analysis.numbers.summary import list_strategies, panels
from lthray.analysis.page import tables
from lthray.analysis.page.drawing import Album, Drawing, name_files, write_figure
from lthray.analysis.page.headings import describe_panel


@dataclass(frozen=True)
class EvaluationTable:
    """The accuracies under one attack on one split at one moment of training: a column a strategy."""

    title: str
    moment: str
    headings: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class EvaluationSection:
    """The figures and tables of further attacks; empty where there were none."""

    drawings: list[Drawing]
    tables: list[EvaluationTable]


def section(measured: pd.DataFrame, rounds: pd.DataFrame, album: Album, folder: Path) -> EvaluationSection:
    """Draw the figures of further attacks, and write their numbers beside the others.

    Args:
        measured: What `Results.evaluations` gives.
        rounds: The table of rounds.
        album: Where the figures go.
        folder: Where the CSV file goes.
    """
    summary = pd.DataFrame() if measured.empty else summarise_evaluations(measured, rounds)
    if summary.empty:
        return EvaluationSection([], [])
    replace_file(folder / "evaluations.csv", tables.csv(summary))
    parts = list(panels(summary[summary["split"] == "test"]))
    drawings = [
        write_figure(
            "attacks",
            figures.draw_attacks(
                panel.summary, width=album.width, chance=chance(select(rounds, {"dataset": panel.dataset}))
            ),
            album,
            describe_panel(rounds, panel),
            anchor,
            "evaluations.csv",
        )
        for panel, anchor in zip(parts, name_files(parts), strict=True)
    ]
    return EvaluationSection(drawings, page_tables(summary))


def page_tables(summary: pd.DataFrame) -> list[EvaluationTable]:
    """The numbers of `summarise_evaluations` as printed, on test images alone: a table an attack and moment."""
    on_test = summary[summary["split"] == "test"]
    settings = [name for name in on_test.columns if name not in (*KEYS, "strategy", "round", "weights_remaining")]
    settings = [name for name in settings if not name.startswith("accuracy_")]
    made = []
    for (attack, _, moment, images), part in on_test.groupby(list(KEYS), sort=False):
        strategies = list_strategies(part)
        rows = []
        for key, of_key in part.groupby([*settings, "round"], dropna=False, sort=False):
            cells = {
                str(row["strategy"]): tables.format_cell(
                    float(row["accuracy_mean"]), float(row["accuracy_sd"]), int(row["accuracy_n"]), percent=True
                )
                for row in of_key.to_dict("records")
            }
            weights = tables.percent(float(of_key["weights_remaining"].mean()))
            rows.append([*map(show, key), weights, *(str(cells.get(name) or "–") for name in strategies)])
        headings = [name.replace("_", " ") for name in (*settings, "round")]
        when = f"{str(moment).replace('_', ' ')}, {images:,} test images"
        made.append(EvaluationTable(str(attack), when, [*headings, "weights, %", *strategies], rows))
    return made
