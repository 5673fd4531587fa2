"""The figures of a report as files, drawn side by side where there are many."""

import base64
import io
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from lthray.analysis import figures
from lthray.analysis.figures import layout, style
from lthray.analysis.files import replace_file
from lthray.analysis.numbers import summary

_Task = TypeVar("_Task")
_Drawn = TypeVar("_Drawn")

_MANY = 24
"""Figures from which on further processes are worth the seconds in which they start."""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: its number, caption and files' name, its picture as a data URI, and its alternative."""

    number: int
    caption: str
    name: str
    source: str
    alternative: str
    numbers: str
    """The CSV file behind it."""


@dataclass(frozen=True, eq=False)
class Task:
    """A panel to draw: its means, those of its learning curves if there are any, and where its files go."""

    panel: summary.Panel
    curves: pd.DataFrame | None
    place: layout.Layout
    folder: Path
    anchor: str


def draw_all(
    draw: Callable[[_Task], _Drawn], tasks: Sequence[_Task], processes: int, figures_each: int = 1
) -> list[_Drawn]:
    """What `draw`, a function of a module, makes of each task; by further processes where there are many figures."""
    if processes < 2 or len(tasks) * figures_each < _MANY:
        return [draw(task) for task in tasks]
    # Not forked, for Arrow's threads would not survive it.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(draw, tasks))


def draw_panel(task: Task) -> list[Drawing]:
    """The figures of a panel, written to their files."""
    if task.curves is None:
        return [_draw_2(task)]
    return [_draw_curves(1, task, task.curves), _draw_2(task), _draw_curves(3, task, task.curves)]


def draw_networks(panel: summary.Panel, folder: Path, anchor: str) -> Drawing:
    """The figure that compares a panel's networks, of `stats.networks`, written to its files."""
    seeds = style.seeds_label(panel.summary["early_stopping_iteration_n"])
    caption = (
        "Adversarial and natural test accuracy at early stopping, by the number of weights remaining, a line for each"
        f" network. Mean of {seeds}; bands are ± one sample standard deviation over seeds."
    )
    task = Task(panel, None, layout.Layout(colour="network"), folder, anchor)
    return _save(11, figures.figure_11(panel.summary), task, caption, "figure_2.csv")


def _draw_2(task: Task) -> Drawing:
    panel = task.panel
    seeds = style.seeds_label(panel.summary["early_stopping_iteration_n"])
    caption = (
        "Early-stopping iteration, adversarial and natural test accuracy at early stopping, by weights remaining."
        f" Mean of {seeds}; bands are ± one sample standard deviation over seeds."
    )
    return _save(2, figures.figure_2(panel.summary, task.place), task, caption, "figure_2.csv")


def _draw_curves(number: int, task: Task, curves: pd.DataFrame) -> Drawing:
    draw, what = {
        1: (figures.figure_1, "Adversarial test accuracy"),
        3: (figures.figure_3, "Adversarial validation loss"),
    }[number]
    caption = (
        f"{what} as training proceeds, a curve for each of the weights remaining. Mean over seeds; bands, where a"
        " strategy is alone, are ± one sample standard deviation."
    )
    return _save(number, draw(curves, task.place), task, caption, "learning_curves.csv")


def _alternative(panel: summary.Panel, caption: str) -> str:
    """What the picture shows, for those who do not see it; its numbers are in the tables below it."""
    pairs = ", ".join(f"{train} → {attack}" for train, attack in summary.attack_pairs(panel.summary))
    return (
        f"{panel.title}. {caption} Train attack → eval attack: {pairs}. Strategies:"
        f" {', '.join(summary.strategies(panel.summary))}. The tables below give the numbers."
    )


def _save(number: int, figure: Figure, task: Task, caption: str, numbers: str) -> Drawing:
    name, alternative = f"figure-{number}-{task.anchor}", _alternative(task.panel, caption)
    return Drawing(number, caption, name, save(figure, task.folder, name, alternative), alternative, numbers)


def written(number: int, figure: Figure, folder: Path, name: str, caption: str, title: str, numbers: str) -> Drawing:
    """A figure written to its files, whose alternative is its title and caption."""
    alternative = f"{title}. {caption} The CSV file gives the numbers."
    return Drawing(number, caption, name, save(figure, folder, name, alternative), alternative, numbers)


def save(figure: Figure, folder: Path, name: str, alternative: str) -> str:
    """Write a figure as SVG and PNG; the same numbers give the same bytes. Returns the SVG as a data URI."""
    with mpl.rc_context({"svg.hashsalt": "lthray", "svg.fonttype": "path"}):
        # Laid out once: each format would do it again, in half of the time that a report takes.
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine("none")
        svg = _rendered(figure, "svg", {"Date": None, "Creator": None, "Title": alternative})
        png = _rendered(figure, "png", {"Software": None})
    replace_file(folder / f"{name}.svg", svg)
    replace_file(folder / f"{name}.png", png)
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def _rendered(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": 1}} if form == "png" else {}
    figure.savefig(buffer, format=form, dpi=160, metadata=metadata, **options)
    return buffer.getvalue()
