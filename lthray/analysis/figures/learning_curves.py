"""Accuracy and loss as training proceeds, a curve for each weights remaining."""

import itertools
from dataclasses import dataclass
from statistics import fmean

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lthray.analysis.figures import captions, layout, style
from lthray.analysis.figures.grid import Grid, make_grid
from lthray.analysis.figures.series import Series, add_series, series_lines
from lthray.analysis.numbers.curves import rounds_shown
from lthray.analysis.numbers.fields import select
from lthray.analysis.numbers.frames import MEAN_CURVES, takes
from lthray.analysis.numbers.measurements import CHANCE
from lthray.analysis.numbers.summary import list_strategies

_MARKS = 6
_NARROW = 1.8
"""The width in inches of a panel that has room for three iterations as text."""
_INNER = 0.55
"""The share of a line of panels that lies between its axes."""
_LINE = 1.2
"""The height of a line of text, in that of its letters."""


@dataclass(frozen=True)
class _Measure:
    column: str
    name: str
    scale: float


_ACCURACY = _Measure("accuracy_test", "Adversarial test accuracy, %", 100)
_LOSS = _Measure("loss_validation", "Adversarial validation loss", 1)


@dataclass(frozen=True)
class _Column:
    title: str
    facet: layout.Facet
    strategies: list[str]


@takes(curves=MEAN_CURVES)
def draw_accuracy_curves(
    curves: pd.DataFrame,
    place: layout.Layout | None = None,
    *,
    width: style.Width = "page",
    chance: float = CHANCE,
) -> Figure:
    """Figure 1 of the poster: adversarial test accuracy as training proceeds.

    A curve per weights remaining (the mean over seeds; where a strategy is alone, with a band of one standard deviation
    either side), a row per pair of train and eval attack; columns reset alone, reset and random, reset and continued.
    A field on column takes the place of those columns and moves the strategies to the rows; one on colour or row makes
    rows, because colours stand for weights remaining here. The figure's label (`get_label`) is its caption.

    Args:
        curves: The rows of `learning_curves` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column.
        width: The width that it is printed at: "column" (3.3 inches), "text" (6.9) or "page" (11 or more).
        chance: The accuracy of a guess, in (0, 1].

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    return _figure(curves, place or layout.Layout(), width, _ACCURACY, chance)


@takes(curves=MEAN_CURVES)
def draw_loss_curves(
    curves: pd.DataFrame, place: layout.Layout | None = None, *, width: style.Width = "page"
) -> Figure:
    """Figure 3 of the poster: adversarial validation loss as training proceeds, laid out as `draw_accuracy_curves`."""
    return _figure(curves, place or layout.Layout(), width, _LOSS, CHANCE)


def _figure(curves: pd.DataFrame, place: layout.Layout, width: style.Width, measure: _Measure, chance: float) -> Figure:
    style.single_panel(curves, place.fields)
    numbers = rounds_shown(curves)
    curves = curves[curves["round"].isin(numbers)]
    columns = _columns(curves, place)
    rows = layout.facets(curves, _row_fields(place))
    weights = curves.groupby("round")["weights_remaining"].mean() * 100
    labels = {number: style.percent_label(weights[number]) for number in numbers}
    looks = {
        number: style.Style(colour, marker)
        for number, colour, marker in zip(numbers, style.sequence(len(numbers)), style.MARKERS, strict=False)
    }
    with style.settings(width):
        grid = make_grid(len(rows), len(columns), width)
        wide = grid.figure.get_figwidth() / len(grid.lines[0]) > _NARROW
        for row, facet in zip(grid.rows, rows, strict=True):
            for axes, column in zip(row, columns, strict=True):
                style.prepare(axes, measure.name)
                strategies = [str(facet["strategy"])] if "strategy" in facet else column.strategies
                _draw(axes, select(curves, facet | column.facet), strategies, measure, looks, labels)
                if measure is _ACCURACY:
                    style.limit_accuracies(axes, chance)
                axes.xaxis.set_major_locator(MaxNLocator(nbins=4 if wide else 2, integer=True))
                axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        apart = _share_axes(grid, place, measure)
        for axes in grid.panels:
            if measure is _ACCURACY:
                style.draw_chance(axes, chance)
            _label_ends(axes, _INNER * grid.figure.get_figheight() / len(grid.lines))
        grid.name([layout.label(facet, "\n") for facet in rows], [column.title for column in columns])
        grid.figure.supylabel(measure.name, fontsize=mpl.rcParams["font.size"])
        handles = [
            Line2D([], [], color=look.colour, marker=look.marker, label=labels[number])
            for number, look in looks.items()
        ]
        style.legend(grid.figure, handles, "Weights remaining, %")
    grid.figure.set_label(_caption(curves, measure, apart))
    return grid.figure


def _caption(curves: pd.DataFrame, measure: _Measure, apart: list[str]) -> str:
    quantity = measure.name.replace(", %", " (%)")
    seeds = captions.count_seeds(curves[f"{measure.column}_n"])
    sentences = [
        f"{quantity} as training proceeds, a curve for each of the weights remaining.",
        f"Mean of {seeds}; bands, where a strategy is alone, are ± one sample standard deviation.",
        *captions.describe_axes(apart),
    ]
    return " ".join(sentences)


def _columns(curves: pd.DataFrame, place: layout.Layout) -> list[_Column]:
    strategies = list_strategies(curves)
    if place.column or place.row == "strategy":
        facets = layout.facets(curves, [place.column] if place.column else [])
        return [_Column(layout.label(facet), facet, strategies) for facet in facets]
    first, *others = strategies
    pairs = [_Column(f"{first} (solid), {second} (dashed)", {}, [first, second]) for second in others]
    return [_Column(first, {}, [first]), *pairs]


def _share_axes(grid: Grid, place: layout.Layout, measure: _Measure) -> list[str]:
    """Give panels the same axes; returns the measure's name where that would flatten a row.

    Iterations are the same within a row or, with a field on column, within a column: data sets and settings may train
    for different times.
    """
    by_column = [list(column) for column in zip(*grid.rows, strict=True)]
    groups = [grid.panels] if place == layout.Layout() else by_column if place.column else grid.rows
    for panels in groups:
        limits = np.array([axes.get_xlim() for axes in panels if axes.has_data()])
        for axes in panels:
            axes.set_xlim(limits[:, 0].min(), limits[:, 1].max())
    grid.label_x("Iteration", shared=place == layout.Layout() or place.column is not None)
    together = style.share_y(grid.panels)
    if not together:
        for row in grid.rows:
            style.share_y(row)
    grid.hide_inner_y()
    return [] if together else [measure.name.partition(",")[0].lower()]


def _row_fields(place: layout.Layout) -> list[str]:
    free = [name for name in layout.ATTACKS if name not in place.fields]
    if place.column and "strategy" not in (place.row, place.column):
        free.append("strategy")
    colour = [place.colour] if place.colour != "strategy" else []
    return [*free, *colour, *([place.row] if place.row else [])]


def _draw(
    axes: Axes,
    rows: pd.DataFrame,
    strategies: list[str],
    measure: _Measure,
    looks: dict[int, style.Style],
    labels: dict[int, str],
) -> None:
    rows = rows.sort_values("iteration")
    present = [strategy for strategy in strategies if (rows["strategy"] == strategy).any()]
    parts = dict(iter(rows.groupby(["strategy", "round"], sort=False)))
    for strategy, (number, look) in itertools.product(present, looks.items()):
        part = parts.get((strategy, number))
        if part is None:
            continue
        x = part["iteration"].to_numpy(float)
        mean, deviation = (part[f"{measure.column}_{name}"].to_numpy(float) * measure.scale for name in ("mean", "sd"))
        counts = part[f"{measure.column}_n"].to_numpy(int)
        every = max(1, len(x) // _MARKS)
        add_series(
            axes, x, mean, Series(labels[number], f"{strategy}, {labels[number]} %", deviation, counts),
            band=len(present) == 1, color=look.colour, marker=look.marker, markevery=(number % every, every),
            linestyle=style.DASHES[strategies.index(strategy) % len(style.DASHES)],
        )  # fmt: skip


def _label_ends(axes: Axes, height: float) -> None:
    """Write the weights remaining behind the ends of the curves of a strategy that is alone, if they all have room.

    The panel's height in inches is that which the layout will give it, roughly.
    """
    lines = series_lines(axes)
    if len({line.series.entry for line in lines}) < len(lines):
        return
    size = float(mpl.rcParams["font.size"])
    low, high = axes.get_ylim()
    gap = (high - low) * size * _LINE / (72 * height)
    ends = {line: float(np.asarray(line.get_ydata(), float)[-1]) for line in lines}
    ends = {line: end for line, end in sorted(ends.items(), key=lambda pair: pair[1]) if not np.isnan(end)}
    if len(ends) * gap > high - low:
        return
    for line, y in zip(ends, _spread(list(ends.values()), gap, low + gap / 2, high - gap / 2), strict=True):
        x = float(np.asarray(line.get_xdata(), float)[-1])
        label = axes.annotate(
            line.series.entry, (x, y), (size / 2, 0), textcoords="offset points", va="center", color=line.get_color(),
            annotation_clip=False,
        )  # fmt: skip
        line.companions.append(label)


def _spread(values: list[float], gap: float, low: float, high: float) -> list[float]:
    """Ascending values at least a gap apart, within limits and as near as can be to where they were (least squares)."""
    groups: list[list[float]] = []
    for place, value in enumerate(values):
        groups.append([value - place * gap])
        while len(groups) > 1 and fmean(groups[-2]) >= fmean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    starts = [fmean(group) for group in groups for _ in group]
    room = high - gap * (len(values) - 1)
    return [min(max(start, low), room) + place * gap for place, start in enumerate(starts)]
