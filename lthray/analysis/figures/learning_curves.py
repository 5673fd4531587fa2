"""Figures 1 and 3: accuracy and loss as training proceeds, a curve for each weights remaining."""

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from lthray.analysis.figures import layout, style
from lthray.analysis.numbers.curves import rounds_shown
from lthray.analysis.numbers.fields import select
from lthray.analysis.numbers.frames import MEAN_CURVES, takes
from lthray.analysis.numbers.summary import Panel, list_strategies

_WIDTH, _COLUMN = 11.0, 3.4
_DASHES = ("-", (0, (4, 1.6)), (0, (1, 1.4)))
_MARKS = 6
_TITLE = 36
"""Letters that a column has room for."""


@dataclass(frozen=True)
class _Column:
    title: str
    facet: layout.Facet
    strategies: list[str]


@takes(curves=MEAN_CURVES)
def draw_accuracy_curves(curves: pd.DataFrame, place: layout.Layout | None = None) -> Figure:
    """Figure 1 of the poster: adversarial test accuracy as training proceeds.

    A curve per weights remaining (the mean over seeds; where a strategy is alone, with a band of one standard deviation
    either side), a row per pair of train and eval attack; columns reset alone, reset and random, reset and continued.
    A field on column takes the place of those columns and moves the strategies to the rows; one on colour or row makes
    rows, because colours stand for weights remaining here.

    Args:
        curves: The rows of `learning_curves` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    return _figure(curves, place or layout.Layout(), "accuracy_test", "Adversarial test accuracy, %", 100)


@takes(curves=MEAN_CURVES)
def draw_loss_curves(curves: pd.DataFrame, place: layout.Layout | None = None) -> Figure:
    """Figure 3 of the poster: adversarial validation loss as training proceeds, laid out as `draw_accuracy_curves`."""
    return _figure(curves, place or layout.Layout(), "loss_validation", "Adversarial validation loss", 1)


def _figure(curves: pd.DataFrame, place: layout.Layout, measure: str, name: str, scale: float) -> Figure:
    panel = style.single_panel(curves, place.fields)
    numbers = rounds_shown(curves)
    curves = curves[curves["round"].isin(numbers)]
    columns = _columns(curves, place)
    rows = layout.facets(curves, _row_fields(place))
    looks = dict(zip(numbers, zip(style.sequence(len(numbers)), style.MARKERS, strict=False), strict=True))
    with style.fonts():
        figure = style.canvas(len(rows), len(columns), max(_WIDTH, _COLUMN * len(columns)))
        grid = figure.subplots(len(rows), len(columns), sharex=_shared(place), sharey="row", squeeze=False)
        for row, facet in zip(grid, rows, strict=True):
            for axes, column in zip(row, columns, strict=True):
                style.prepare(axes, integer=False)
                strategies = [str(facet["strategy"])] if "strategy" in facet else column.strategies
                _draw(axes, select(curves, facet | column.facet), strategies, measure, scale, looks)
            row[0].set_ylabel(layout.label(facet, "\n"), fontsize=10, fontweight="bold", color=style.INK)
        for axes, column in zip(grid[0], columns, strict=True):
            axes.set_title(column.title, loc="left", fontsize=10, fontweight="bold", color=style.INK)
        for axes in grid[-1]:
            axes.set_xlabel("Iteration", color=style.INK)
            axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        figure.suptitle(
            _title(panel, name, measure), x=0.008, ha="left", fontsize=12, color=style.INK, parse_math=False
        )
        figure.legend(
            handles=_legend(curves, looks), loc="outside lower center", ncols=min(len(looks), 7), frameon=False,
            fontsize=10, title="Weights remaining, %",
        )  # fmt: skip
    return figure


def _columns(curves: pd.DataFrame, place: layout.Layout) -> list[_Column]:
    strategies = list_strategies(curves)
    if place.column or place.row == "strategy":
        facets = layout.facets(curves, [place.column] if place.column else [])
        return [_Column(layout.label(facet), facet, strategies) for facet in facets]
    first, *others = strategies
    pairs = [_Column(_pair(first, second), {}, [first, second]) for second in others]
    return [_Column(first, {}, [first]), *pairs]


def _pair(first: str, second: str) -> str:
    title = f"{first} (solid), {second} (dashed)"
    return title if len(title) <= _TITLE else title.replace(", ", ",\n", 1)


def _shared(place: layout.Layout) -> Literal["all", "row", "col"]:
    """Which axes share their iterations: data sets and settings may train for different times."""
    if place.column:
        return "col"
    return "all" if place == layout.Layout() else "row"


def _row_fields(place: layout.Layout) -> list[str]:
    free = [name for name in layout.ATTACKS if name not in place.fields]
    if place.column and "strategy" not in (place.row, place.column):
        free.append("strategy")
    colour = [place.colour] if place.colour != "strategy" else []
    return [*free, *colour, *([place.row] if place.row else [])]


def _draw(
    axes: Axes, rows: pd.DataFrame, strategies: list[str], measure: str, scale: float, looks: dict[int, style.Style]
) -> None:
    rows = rows.sort_values("iteration")
    present = [strategy for strategy in strategies if (rows["strategy"] == strategy).any()]
    parts = dict(iter(rows.groupby(["strategy", "round"], sort=False)))
    for strategy, (number, look) in itertools.product(present, looks.items()):
        part = parts.get((strategy, number))
        if part is None:
            continue
        dashes = _DASHES[strategies.index(strategy) % len(_DASHES)]
        x = part["iteration"].to_numpy()
        mean, deviation = (part[f"{measure}_{name}"].to_numpy(float) * scale for name in ("mean", "sd"))
        every = max(1, len(x) // _MARKS)
        axes.plot(
            x, mean, color=look[0], marker=look[1], markersize=3.5, markevery=(number % every, every), linewidth=1.3,
            linestyle=dashes, zorder=3, label=f"{strategy} {number}",
        )  # fmt: skip
        if len(present) == 1 and not np.isnan(deviation).all():
            axes.fill_between(x, mean - deviation, mean + deviation, color=look[0], alpha=0.15, linewidth=0, zorder=2)


def _title(panel: Panel, name: str, measure: str) -> str:
    seeds = style.seeds_label(panel.summary[f"{measure}_n"])
    quantity, comma, unit = name.partition(",")
    return f"{panel.title}\n{quantity} as training proceeds{comma}{unit}; mean of {seeds}"


def _legend(curves: pd.DataFrame, looks: dict[int, style.Style]) -> list[Line2D]:
    weights = curves.groupby("round")["weights_remaining"].mean() * 100
    return [
        Line2D(
            [], [], color=colour, marker=marker, markersize=5, linewidth=1.6, label=style.percent_label(weights[number])
        )
        for number, (colour, marker) in looks.items()
    ]
