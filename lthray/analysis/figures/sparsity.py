"""Figures 2 and 11: what sparsity does to early stopping and to both accuracies, by share and by number of weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lthray.analysis.figures import layout, style
from lthray.analysis.numbers.fields import distinct, select, show
from lthray.analysis.numbers.frames import NETWORKS, SUMMARY, takes
from lthray.analysis.numbers.summary import Panel

_WIDTH, _COLUMN = 11.0, 3.4


@dataclass(frozen=True)
class _Weights:
    """What the horizontal axis shows: a column of the summary."""

    column: str
    scale: float
    name: str
    text: Callable[[float], str]


_SHARE = _Weights("weights_remaining", 100, "Weights remaining, %", style.percent_label)
_NUMBER = _Weights("weights_remaining_count", 1, "Weights remaining", "{:,.0f}".format)


@takes(summary=SUMMARY)
def draw_sparsity(summary: pd.DataFrame, place: layout.Layout | None = None) -> Figure:
    """Figure 2 of the poster: what sparsity does to early stopping and to both accuracies.

    Three columns (early-stopping iteration, adversarial and natural test accuracy in %, all at early stopping) against
    the weights remaining in %, a row per pair of train and eval attack, a line per strategy: the mean over seeds, with
    a band of one standard deviation either side where there are two seeds or more. A field on colour moves the
    strategies to the rows; one on column divides every measure.

    Args:
        summary: The rows of `summarise` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column; strategies on colour by default.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    return _figure(summary, place or layout.Layout(), layout.MOMENTS[0][1], _SHARE)


@takes(summary=NETWORKS)
def draw_networks(summary: pd.DataFrame) -> Figure:
    """Networks compared by the number of their weights: is a large sparse one better than a small dense one?

    Two columns (adversarial and natural test accuracy in %, at early stopping) against the number of weights remaining,
    a row per pair of train and eval attack and strategy, a line per network.

    Args:
        summary: The rows of `networks` for one data set and one setting.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    return _figure(summary, layout.Layout(colour="network"), layout.MOMENTS[0][1][1:], _NUMBER)


def _figure(
    summary: pd.DataFrame, place: layout.Layout, measures: Sequence[tuple[str, str]], weights: _Weights
) -> Figure:
    panel = style.single_panel(summary, place.fields)
    free = [name for name in (*layout.ATTACKS, "strategy") if name not in place.fields]
    rows = layout.facets(summary, [*free, *([place.row] if place.row else [])])
    parts = layout.facets(summary, [place.column] if place.column else [])
    columns = [(measure, name, part) for measure, name in measures for part in parts]
    looks = style.styles(place.colour, [value for (value,) in distinct(summary, [place.colour])])
    with style.fonts():
        figure = style.canvas(len(rows), len(columns), max(_WIDTH, _COLUMN * len(columns)))
        grid = figure.subplots(len(rows), len(columns), sharex=True, squeeze=False)
        style.label_weights(grid[0][0], summary[weights.column] * weights.scale, weights.text)
        for row, facet in zip(grid, rows, strict=True):
            for axes, (measure, _, part) in zip(row, columns, strict=True):
                _draw(axes, select(summary, facet | part), measure, weights, place.colour, looks)
            row[0].set_ylabel(layout.label(facet, "\n"), fontsize=10, fontweight="bold", color=style.INK)
        for axes, (_, name, part) in zip(grid[0], columns, strict=True):
            title = f"{name}\n{layout.label(part)}" if part else name
            axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=style.INK)
        for axes in grid[-1]:
            axes.set_xlabel(weights.name, color=style.INK)
        figure.suptitle(_title(panel), x=0.008, ha="left", fontsize=12, color=style.INK, parse_math=False)
        lines = [style.legend_line(layout.label({place.colour: value}), look) for value, look in looks.items()]
        style.legend(figure, lines)
    return figure


def _title(panel: Panel) -> str:
    seeds = panel.summary["early_stopping_iteration_n"]
    band = ", band ± 1 standard deviation" if seeds.max() > 1 else ""
    return f"{panel.title}\nat early stopping, mean of {style.seeds_label(seeds)}{band}"


def _draw(
    axes: Axes, rows: pd.DataFrame, measure: str, weights: _Weights, colour: str, looks: dict[Any, style.Style]
) -> None:
    style.prepare(axes, integer=measure.endswith("_iteration"))
    for value, look in looks.items():
        scale = 1 if measure.endswith("_iteration") else 100
        chosen = select(rows, {colour: value})
        style.draw_means(axes, chosen, measure, look, scale, show(value), weights.column, weights.scale)
    _limit(axes, measure)


def _limit(axes: Axes, measure: str) -> None:
    """Iterations from zero on; accuracies where they lie, but never beyond 0 and 100 % by more than the markers."""
    low, high = axes.get_ylim()
    if measure.endswith("_iteration"):
        axes.set_ylim(0, max(high, 1))
    else:
        axes.set_ylim(max(low, -2), min(high, 102))
