"""The figures of a report as files, drawn side by side where there are many."""

import io
import multiprocessing
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from lthray.analysis import figures
from lthray.analysis.figures import layout
from lthray.analysis.figures.style import Width, settings
from lthray.analysis.files import replace_file
from lthray.analysis.numbers.fields import show
from lthray.analysis.numbers.summary import Panel, list_attack_pairs, list_strategies
from lthray.analysis.page.inline import inline_svg, name_series, read_series

_Task = TypeVar("_Task")
_Drawn = TypeVar("_Drawn")

_DPI = 200
_MAX_NAME = 100
_MANY = 24
"""From this number of figures on, further processes save more seconds than they take to start."""


EMBEDDED = 10_000_000
"""From this many characters of pictures on, the page shows those beside it: browsers are slow with a larger one."""


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: its number, caption and files' name, its picture as SVG, and its alternative."""

    number: str
    caption: str
    name: str
    picture: str
    alternative: str
    numbers: str
    """The CSV file that has the figure's numbers."""


@dataclass
class Album:
    """Where the figures of a report go, how wide they are printed, and how they are numbered."""

    folder: Path
    width: Width = "page"
    _kinds: list[str] = field(default_factory=list)

    def number(self, kind: str) -> str:
        """The poster's figures have their own numbers; others are S1, S2, ... as the page first shows their kind."""
        if kind in POSTER:
            return POSTER[kind]
        if kind not in self._kinds:
            self._kinds.append(kind)
        return f"S{self._kinds.index(kind) + 1}"


POSTER = {"accuracy-curves": "1", "sparsity": "2", "loss-curves": "3"}
"""The poster's figures; their files' names give the number alone."""


@dataclass(frozen=True, eq=False)
class Task:
    """A panel to draw: its heading, its means, the means of its learning curves if there are any, its files' name.

    `chance` is the accuracy of a guess.
    """

    heading: str
    panel: Panel
    curves: pd.DataFrame | None
    place: layout.Layout
    album: Album
    anchor: str
    chance: float


def map_tasks(
    draw: Callable[[_Task], _Drawn], tasks: Sequence[_Task], processes: int, figures_each: int = 1
) -> list[_Drawn]:
    """What `draw`, a function of a module, returns for each task; by further processes where there are many figures."""
    if processes < 2 or len(tasks) * figures_each < _MANY:
        return [draw(task) for task in tasks]
    # Arrow's threads would not survive a fork.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(draw, tasks))


def name_files(parts: list[Panel]) -> list[str]:
    """A unique name for each panel's files and anchor, of letters, digits and hyphens."""
    taken: list[str] = []
    for panel in parts:
        words = [panel.dataset, *(f"{name}-{show(value)}" for name, value in panel.setting.items())]
        stem = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[:_MAX_NAME] or "figure"
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.append(name)
    return taken


def write_panel(task: Task) -> list[Drawing]:
    """Draw the figures of a panel and write their files."""
    width = task.album.width
    drawn = figures.draw_sparsity(task.panel.summary, task.place, width=width, chance=task.chance)
    sparsity = _write("sparsity", drawn, task, "figure_2.csv")
    if task.curves is None:
        return [sparsity]
    curves = figures.draw_accuracy_curves(task.curves, task.place, width=width, chance=task.chance)
    losses = figures.draw_loss_curves(task.curves, task.place, width=width)
    accuracy, loss = (
        _write(kind, figure, task, "learning_curves.csv")
        for kind, figure in (("accuracy-curves", curves), ("loss-curves", losses))
    )
    return [accuracy, sparsity, loss]


def write_networks(heading: str, panel: Panel, album: Album, anchor: str, chance: float) -> Drawing:
    """Draw the figure that compares a panel's networks (`networks`) and write its files."""
    task = Task(heading, panel, None, layout.Layout(colour="network"), album, anchor, chance)
    figure = figures.draw_networks(panel.summary, width=album.width, chance=chance)
    return _write("networks", figure, task, "figure_2.csv")


def write_figure(
    kind: str, figure: Figure, album: Album, heading: str, anchor: str, numbers: str, details: str = ""
) -> Drawing:
    """Write a figure as SVG, PDF and PNG. The same numbers give the same bytes.

    Args:
        kind: What it shows: part of the files' names, and what decides its number.
        figure: The figure, which is not laid out again. Its label is its caption.
        album: Where the files go.
        heading: What its networks are: data set, network, setting.
        anchor: The end of the files' names, which tells it from others of its kind.
        numbers: The CSV file that has its numbers.
        details: What its alternative says further; by default, that the CSV file gives the numbers.
    """
    number = album.number(kind)
    name = "-".join(["figure", number, *([kind] if kind not in POSTER else []), anchor])
    caption = f"{heading}. {figure.get_label()}"
    alternative = f"{caption} {details or 'The CSV file gives the numbers.'}"
    # Letters stay letters: in SVG as text, in PDF as TrueType.
    letters = mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none", "pdf.fonttype": 42})
    with settings(album.width), letters:
        # Each format would lay the figure out again, which takes half of a report's time.
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
        figure.set_layout_engine("none")
        name_series(figure)
        svg = _render(figure, "svg", {"Date": None, "Creator": None, "Title": alternative})
        pdf = _render(figure, "pdf", {"CreationDate": None, "Creator": None, "Producer": None, "Title": alternative})
        png = _render(figure, "png", {"Software": None})
    for form, content in (("svg", svg), ("pdf", pdf), ("png", png)):
        replace_file(album.folder / f"{name}.{form}", content)
    picture = inline_svg(svg, name, alternative, read_series(figure))
    return Drawing(number, caption, name, picture, alternative, numbers)


def _write(kind: str, figure: Figure, task: Task, numbers: str) -> Drawing:
    return write_figure(kind, figure, task.album, task.heading, task.anchor, numbers, _describe(task.panel))


def _describe(panel: Panel) -> str:
    pairs = ", ".join(f"{train} → {attack}" for train, attack in list_attack_pairs(panel.summary))
    return (
        f"Train attack → eval attack: {pairs}. Strategies: {', '.join(list_strategies(panel.summary))}. The tables"
        " below give the numbers."
    )


def _render(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    options: dict[str, Any] = {"pil_kwargs": {"compress_level": 1}} if form == "png" else {}
    figure.savefig(buffer, format=form, dpi=_DPI, metadata=metadata, **options)
    return buffer.getvalue()
