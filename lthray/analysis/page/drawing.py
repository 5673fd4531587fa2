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
from lthray.analysis.numbers.summary import Panel, list_attack_pairs, list_strategies

_Task = TypeVar("_Task")
_Drawn = TypeVar("_Drawn")

_MANY = 24
"""From this number of figures on, further processes save more seconds than they take to start."""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: its number, caption and files' name, its picture as a data URI, and its alternative."""

    number: int
    caption: str
    name: str
    source: str
    alternative: str
    numbers: str
    """The CSV file that has the figure's numbers."""


@dataclass(frozen=True, eq=False)
class Task:
    """A panel to draw: its means, the means of its learning curves if there are any, and where its files go."""

    panel: Panel
    curves: pd.DataFrame | None
    place: layout.Layout
    folder: Path
    anchor: str


def map_tasks(
    draw: Callable[[_Task], _Drawn], tasks: Sequence[_Task], processes: int, figures_each: int = 1
) -> list[_Drawn]:
    """What `draw`, a function of a module, returns for each task; by further processes where there are many figures."""
    if processes < 2 or len(tasks) * figures_each < _MANY:
        return [draw(task) for task in tasks]
    # Arrow's threads would not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(draw, tasks))


def write_panel(task: Task) -> list[Drawing]:
    """Draw the figures of a panel and write their files."""
    seeds = style.seeds_label(task.panel.summary["early_stopping_iteration_n"])
    caption = (
        "Early-stopping iteration, adversarial and natural test accuracy at early stopping, by weights remaining."
        f" Mean of {seeds}; bands are ± one sample standard deviation over seeds."
    )
    sparsity = _write(2, figures.draw_sparsity(task.panel.summary, task.place), task, caption, "figure_2.csv")
    if task.curves is None:
        return [sparsity]
    accuracy, loss = (
        _write(number, draw(task.curves, task.place), task, f"{measure} {_TRAINING}", "learning_curves.csv")
        for number, draw, measure in (
            (1, figures.draw_accuracy_curves, "Adversarial test accuracy"),
            (3, figures.draw_loss_curves, "Adversarial validation loss"),
        )
    )
    return [accuracy, sparsity, loss]


def write_networks(panel: Panel, folder: Path, anchor: str) -> Drawing:
    """Draw the figure that compares a panel's networks (`networks`) and write its files."""
    seeds = style.seeds_label(panel.summary["early_stopping_iteration_n"])
    caption = (
        "Adversarial and natural test accuracy at early stopping, by the number of weights remaining, a line for each"
        f" network. Mean of {seeds}; bands are ± one sample standard deviation over seeds."
    )
    task = Task(panel, None, layout.Layout(colour="network"), folder, anchor)
    return _write(11, figures.draw_networks(panel.summary), task, caption, "figure_2.csv")


def write_figure(
    number: int, figure: Figure, folder: Path, name: str, caption: str, alternative: str, numbers: str
) -> Drawing:
    """Write a figure as SVG and PNG. The same numbers give the same bytes.

    Args:
        number: The figure's number.
        figure: The figure, which is not laid out again.
        folder: Where the files go.
        name: The files' name without `.svg` and `.png`.
        caption: What stands below it.
        alternative: What it shows, for readers who do not see it.
        numbers: The CSV file that has its numbers.
    """
    with mpl.rc_context({"svg.hashsalt": "lthray", "svg.fonttype": "path"}):
        # Each format would lay the figure out again, which takes half of a report's time.
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine("none")
        svg = _render(figure, "svg", {"Date": None, "Creator": None, "Title": alternative})
        png = _render(figure, "png", {"Software": None})
    replace_file(folder / f"{name}.svg", svg)
    replace_file(folder / f"{name}.png", png)
    source = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
    return Drawing(number, caption, name, source, alternative, numbers)


_TRAINING = (
    "as training proceeds, a curve for each of the weights remaining. Mean over seeds; bands, where a strategy is"
    " alone, are ± one sample standard deviation."
)


def describe(title: str, caption: str) -> str:
    """The alternative of a figure whose numbers are in a CSV file alone."""
    return f"{title}. {caption} The CSV file gives the numbers."


def _write(number: int, figure: Figure, task: Task, caption: str, numbers: str) -> Drawing:
    name = f"figure-{number}-{task.anchor}"
    return write_figure(number, figure, task.folder, name, caption, _describe(task.panel, caption), numbers)


def _describe(panel: Panel, caption: str) -> str:
    pairs = ", ".join(f"{train} → {attack}" for train, attack in list_attack_pairs(panel.summary))
    return (
        f"{panel.title}. {caption} Train attack → eval attack: {pairs}. Strategies:"
        f" {', '.join(list_strategies(panel.summary))}. The tables below give the numbers."
    )


def _render(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": 1}} if form == "png" else {}
    figure.savefig(buffer, format=form, dpi=160, metadata=metadata, **options)
    return buffer.getvalue()
