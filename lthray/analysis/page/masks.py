"""The section on masks: what each layer keeps, how much networks have in common, and which tickets were not read."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from lthray.analysis import figures
from lthray.analysis.figures import layout
from lthray.analysis.figures.masks import BETWEEN
from lthray.analysis.files import replace_file
from lthray.analysis.load import Results
from lthray.analysis.numbers.fields import as_floats, trajectory_keys
from lthray.analysis.numbers.masks import Masks, layer_density, overlaps, summarise_density, summarise_overlaps
from lthray.analysis.numbers.summary import panels
from lthray.analysis.page import drawing
from lthray.analysis.page.headings import describe_panel
from lthray.analysis.page.tables import csv

BUDGET = 600_000_000
"""The most weights whose masks are read, a byte each; of more, only some rounds. The paper's 90 trajectories of 21
rounds have 503 million."""

_DENSITY = "layer-density"


@dataclass(frozen=True)
class Part:
    """The figures of one data set under one setting, or of several data sets."""

    title: str
    drawings: list[drawing.Drawing]


@dataclass(frozen=True)
class MaskSection:
    """The section on masks."""

    notes: list[str]
    parts: list[Part]


def section(
    results: Results,
    rounds: pd.DataFrame,
    place: layout.Layout,
    anchors: dict[str, str],
    album: drawing.Album,
    processes: int = 1,
) -> MaskSection:
    """The section, with its figures and tables written to their files.

    Args:
        results: The results whose tickets are read.
        rounds: The table of rounds that is reported.
        place: The fields that the figures place.
        anchors: The name of each panel's files, by its title.
        album: Where the figures go; the tables go beside its folder.
        processes: The number of processes that draw.
    """
    numbers = choose_rounds(rounds)
    masks = results.masks(numbers)
    chosen = rounds[rounds["round"].isin(numbers)]
    density, pairs = layer_density(chosen, masks), overlaps(chosen, masks)
    for name, frame in (("layer_density", density), ("mask_overlap", pairs)):
        replace_file(album.folder.parent / "tables" / f"{name}.csv", csv(frame))
    notes = list(_notes(rounds, chosen, masks, density, pairs))
    tasks = list(_tasks(rounds, density, pairs, place, anchors)) if len(density) else []
    for task in tasks:
        album.number(task.kind)  # before the figures are drawn by several processes
    drawings = drawing.map_tasks(partial(_write_task, place, album), tasks, processes)
    parts: dict[str, list[drawing.Drawing]] = {}
    for task, drawn in zip(tasks, drawings, strict=True):
        parts.setdefault(task.title, []).append(drawn)
    return MaskSection(notes, [Part(*part) for part in parts.items()])


def choose_rounds(rounds: pd.DataFrame, budget: int = BUDGET) -> list[int]:
    """The rounds whose masks are read: all, or as many as the budget of weights allows, evenly from the last back."""
    trajectories = rounds.drop_duplicates(trajectory_keys(rounds))
    weights = float((as_floats(trajectories, "weights_remaining_count") / trajectories["weights_remaining"]).sum())
    numbers = sorted(int(number) for number in rounds["round"].unique())
    most = max(1, int(budget // weights)) if weights > 0 else len(numbers)
    if len(numbers) <= most:
        return numbers
    places = np.linspace(len(numbers) - 1, 0, most, endpoint=False).round().astype(int)
    return sorted({numbers[place] for place in places})


def _notes(
    rounds: pd.DataFrame, chosen: pd.DataFrame, masks: Masks, density: pd.DataFrame, pairs: pd.DataFrame
) -> Iterator[str]:
    if len(density):
        yield (
            "Overlap is |A ∩ B| / |A ∪ B| of a layer's masks in two networks. The dashed line is what independent"
            " random masks with the same densities p and q are expected to have in common: p·q / (p + q − p·q). Above"
            " it, pruning keeps choosing the same weights."
        )
        if "prune.scope" not in rounds or set(rounds["prune.scope"]) == {"layerwise"}:
            yield (
                "Pruning was layerwise: the setting alone decides what each layer keeps, and all lines of a layer in"
                " the figure of layers coincide."
            )
        else:
            yield (
                "Pruning was global: the scores decide what each layer keeps. A layer whose share falls below the"
                " network's lost more than its share."
            )
    keys = [*trajectory_keys(chosen), "round"]
    lacking = sum(row[-1] not in masks.get(row[:-1], {}) for row in chosen[keys].itertuples(index=False, name=None))
    if lacking == len(chosen):
        yield "These results have no tickets, and so no masks to show."
    elif lacking:
        verb = "has" if lacking == 1 else "have"
        yield f"{lacking:,} of {len(chosen):,} rounds {verb} no readable ticket and {verb} been left out."
    if len(left := set(rounds["round"]) - set(chosen["round"])) and lacking < len(chosen):
        listed = ", ".join(map(str, sorted(set(chosen["round"]))))
        yield f"There are too many masks to read them all: rounds {listed} were read, {len(left)} others were left out."
    if len(density) and pairs.empty:
        yield "No two networks differ only in strategy, seed, train attack or data set, so no masks can be compared."


@dataclass(frozen=True, eq=False)
class _Task:
    """A figure to draw: what it shows, its part of the page, the name of its files, and its means."""

    kind: str
    title: str
    anchor: str
    summary: pd.DataFrame


def _tasks(
    rounds: pd.DataFrame, density: pd.DataFrame, pairs: pd.DataFrame, place: layout.Layout, anchors: dict[str, str]
) -> Iterator[_Task]:
    summary, overlap = summarise_density(density), summarise_overlaps(pairs)
    alike, across = overlap[overlap["between"] != "dataset"], overlap[overlap["between"] == "dataset"]
    others = {panel.title: panel for panel in panels(alike)} if len(alike) else {}
    for number, panel in enumerate(panels(summary, place.fields), 1):
        title, anchor = describe_panel(rounds, panel), anchors.get(panel.title, f"masks-{number}")
        yield _Task(_DENSITY, title, anchor, panel.summary)
        if (own := others.pop(panel.title, None)) is not None:
            yield from _overlaps(own.summary, title, anchor)
    # The figure of layers shows several settings at once where their fields are placed; their overlaps stand alone.
    for number, panel in enumerate(others.values(), 1):
        yield from _overlaps(panel.summary, describe_panel(rounds, panel), f"overlap-{number}")
    for number, panel in enumerate(panels(across, ["dataset"]) if len(across) else (), 1):
        yield from _overlaps(panel.summary, describe_panel(rounds, panel), f"data-sets-{number}")


def _overlaps(overlap: pd.DataFrame, title: str, anchor: str) -> Iterator[_Task]:
    for between in BETWEEN:
        if len(part := overlap[overlap["between"] == between]):
            yield _Task(f"overlap-{between.replace('_', '-')}", title, anchor, part)


def _write_task(place: layout.Layout, album: drawing.Album, task: _Task) -> drawing.Drawing:
    if task.kind == _DENSITY:
        figure, numbers = figures.draw_layer_density(task.summary, place, width=album.width), "layer_density.csv"
    else:
        figure, numbers = figures.draw_overlap(task.summary, width=album.width), "mask_overlap.csv"
    return drawing.write_figure(task.kind, figure, album, task.title, task.anchor, numbers)
