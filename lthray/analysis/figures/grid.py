"""How the panels of a figure lie beside and below each other on paper of some width."""

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lthray.analysis.figures.style import PAPERS, WHITE, Paper, Width
from lthray.analysis.notebook import NotebookFigure

_LETTER = 0.68
"""The mean width of a bold letter, in its height."""
_BESIDE = 0.8
"""Inches that a figure takes above and below its panels."""


@dataclass(frozen=True)
class Grid:
    """The panels of a figure: `rows` as the caller asked for them, `lines` as they lie on the paper."""

    figure: Figure
    rows: list[list[Axes]]
    lines: list[list[Axes]]
    is_transposed: bool

    @property
    def panels(self) -> list[Axes]:
        """All panels, row by row."""
        return [axes for row in self.rows for axes in row]

    def showing(self, quantity: str) -> list[Axes]:
        """The panels of a quantity (`Axes.get_label`)."""
        return [axes for axes in self.panels if axes.get_label() == quantity]

    def name(self, rows: Sequence[str], columns: Sequence[str]) -> None:
        """Name rows and columns: what goes down the paper beside each line, what goes across above the panels."""
        down, across = (columns, rows) if self.is_transposed else (rows, columns)
        groups = [list(column) for column in zip(*self.rows, strict=True)] if self.is_transposed else self.rows
        breaks = len(self.lines) // len(groups)
        height, width = self.figure.get_figheight() / len(self.lines), self.figure.get_figwidth() / len(self.lines[0])
        for place, line in enumerate(self.lines):
            line[0].set_ylabel(_fit(down[place // breaks], height * 0.94), fontweight="bold")
        for group in groups if breaks > 1 else groups[:1]:
            for axes, title in zip(group, across, strict=True):
                axes.set_title(_fit(title, width * 0.88))

    def label_x(self, name: str, *, shared: bool = True) -> None:
        """Name the horizontal axis below the lowest panels; where it is shared, write its numbers there only."""
        for place, line in enumerate(self.lines):
            longest = max((len(below) for below in self.lines[place + 1 :]), default=0)
            for axes in line[:longest]:
                axes.tick_params(labelbottom=not shared)
            for axes in line[longest:]:
                axes.set_xlabel(name)

    def hide_inner_y(self) -> None:
        """Leave out the vertical axis' numbers where the panel to the left has the same."""
        for line in self.lines:
            for left, axes in itertools.pairwise(line):
                same = left.get_label() == axes.get_label() and left.get_ylim() == axes.get_ylim()
                axes.tick_params(labelleft=not same)


def make_grid(rows: int, columns: int, width: Width) -> Grid:
    """An empty figure for rows of panels.

    Where a row does not fit, it is broken into lines: as few panels side by side as let the figure be no higher than a
    page, at least one and no narrower than they can be read. Where that would leave gaps in each of several rows,
    columns go down the paper and rows across. The page's own figures grow instead.
    """
    paper = PAPERS[width]
    across = _across(rows, columns, paper)
    down, wide = rows, columns
    if transposed := rows > 1 and columns % across != 0:
        down, wide, across = columns, rows, _across(columns, rows, paper)
    breaks = math.ceil(wide / across)
    size = max(paper.width, paper.panel * wide if paper.height is None else 0), _BESIDE + paper.row * down * breaks
    pad = mpl.rcParams["font.size"] / 110
    figure = NotebookFigure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=pad, w_pad=pad), facecolor=WHITE)
    lines: list[list[Axes]] = []
    for place, line in enumerate(figure.subplots(down * breaks, across, squeeze=False)):
        used = min(across, wide - place % breaks * across)
        lines.append(list(line[:used]))
        for spare in line[used:]:
            spare.remove()
    panels = [axes for line in lines for axes in line]
    groups = [panels[place : place + wide] for place in range(0, len(panels), wide)]
    asked = [list(row) for row in zip(*groups, strict=True)] if transposed else groups
    return Grid(figure, asked, lines, transposed)


def _across(rows: int, columns: int, paper: Paper) -> int:
    """The number of panels side by side."""
    if paper.height is None:
        return columns
    most = min(columns, int(paper.width / paper.panel))
    heights = ((across, _BESIDE + paper.row * rows * math.ceil(columns / across)) for across in range(1, most))
    across = next((across for across, height in heights if height <= paper.height), most)
    return math.ceil(columns / math.ceil(columns / across))


def _fit(text: str, room: float) -> str:
    """A text broken into lines, by preference behind an arrow, where it is longer than the room in inches."""
    letters = max(8, int(room * 72 / (mpl.rcParams["font.size"] * _LETTER)))
    broken = [line for part in text.split("\n") for line in _break(part, letters)]
    return "\n".join(broken)


def _break(text: str, letters: int) -> list[str]:
    if len(text) > letters and " → " in text:
        first, second = text.split(" → ", 1)
        return [*_break(f"{first} →", letters), *_break(second, letters)]
    # A unit stays with its quantity.
    lines = textwrap.wrap(text.replace(", %", ",\xa0%"), letters, break_long_words=False)
    return [line.replace("\xa0", " ") for line in lines]
