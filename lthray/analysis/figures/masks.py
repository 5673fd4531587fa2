"""Figures 6 to 10: what each layer keeps, and how much of it masks have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lthray.analysis.figures import layout, style
from lthray.analysis.numbers.fields import distinct, select
from lthray.analysis.numbers.frames import MEAN_DENSITY, MEAN_OVERLAPS, takes
from lthray.analysis.numbers.masks import PAIR

MOST_LINES = 6
"""The most pairs of strategies drawn together; if there are more, only those with the first strategy are drawn."""

_WIDTH, _COLUMN = 11.0, 2.6
_CHANCE = "#57606a"
_TITLES = {
    "strategy": "Overlap of masks between strategies, at the same seed",
    "seed": "Overlap of masks between seeds, of the same setting",
    "train_attack": "Overlap of masks between train attacks, at the same seed",
    "dataset": "Overlap of masks between data sets, at the same seed",
}


@takes(density=MEAN_DENSITY)
def draw_layer_density(density: pd.DataFrame, place: layout.Layout | None = None) -> Figure:
    """How many of its weights each layer has left, against those of the network.

    A column per layer, a row per train attack, a line per strategy: the mean over seeds, with a band of one standard
    deviation either side. Both axes are logarithmic, in %. A field on colour moves the strategies to the rows; one on
    row or column makes rows.

    Args:
        density: The rows of `summarise_density` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column; strategies on colour by default.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    place = place or layout.Layout()
    panel = style.single_panel(density, place.fields)
    colour = place.colour if place.colour in density.columns else "strategy"
    rest = [name for name in (place.row, place.column) if name and name in density.columns]
    free = [name for name in ("train_attack", "strategy") if name not in (colour, *rest)]

    def draw(axes: Axes, rows: pd.DataFrame, look: style.Style) -> None:
        style.draw_means(axes, rows, "density", look, 100)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.percent_label(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())

    seeds = style.seeds_label(density["density_n"])
    title = f"{panel.title}\nWeights remaining of each layer, %; mean of {seeds}"
    return _figure(density, [*free, *rest], colour, title, draw, [])


@takes(overlap=MEAN_OVERLAPS)
def draw_overlap(overlap: pd.DataFrame) -> Figure:
    """How much of each layer's mask two networks have in common: |A ∩ B| / |A ∪ B| in %, Figures 7 to 10.

    A column per layer, a row per train attack (or pair of them), a line per strategy (or pair of them), or per pair of
    data sets and strategy: the mean over pairs, with a band of one standard deviation either side. Grey and dashed is
    what independent random masks of the same densities are expected to have in common.

    Args:
        overlap: The rows of `summarise_overlaps` with one value of `between`, of one data set (or of pairs of
            them) and one setting.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    if len(overlap["between"].unique()) != 1:
        raise ValueError("a figure of overlaps shows networks that differ in one thing")
    between = str(overlap["between"].iloc[0])
    by_pair = between == "dataset"
    panel = style.single_panel(overlap, ["dataset"] if by_pair else [])
    drawn, dropped = select_pairs(overlap)

    def draw(axes: Axes, rows: pd.DataFrame, look: style.Style) -> None:
        style.draw_means(axes, rows, "overlap", look, 100)
        by_round = rows.sort_values("round")
        axes.plot(
            (by_round["weights_remaining"] * 100).to_numpy(), (by_round["expected"] * 100).to_numpy(), color=_CHANCE,
            linewidth=1.1, linestyle=(0, (4, 2)), zorder=3.5,
        )  # fmt: skip
        axes.set_ylim(-3, 103)

    pairs = int(drawn["overlap_n"].min()), int(drawn["overlap_n"].max())
    count = str(pairs[1]) if pairs[0] == pairs[1] else f"{pairs[0]} to {pairs[1]}"
    note = f"; {dropped} more pairs are in the CSV file" if dropped else ""
    title = f"{panel.title}\n{_TITLES[between]}, %; mean of {count} pair{'' if pairs[1] == 1 else 's'} each{note}"
    chance = Line2D([], [], color=_CHANCE, linewidth=1.1, linestyle=(0, (4, 2)), label="independent random masks")
    rows = ["train_attack", *(["dataset"] if by_pair and len(drawn["dataset"].unique()) > 1 else [])]
    return _figure(drawn, rows, "strategy", title, draw, [chance])


def select_pairs(overlap: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The rows to draw, and the number of pairs of strategies left out: of many, those without the first strategy."""
    names = list(overlap["strategy"].unique())
    if overlap["between"].iloc[0] != "strategy" or len(names) <= MOST_LINES:
        return overlap, 0
    first = names[0].split(PAIR)[0]
    kept = overlap[overlap["strategy"].str.startswith(f"{first}{PAIR}")]
    return kept, len(names) - kept["strategy"].nunique()


def _figure(
    frame: pd.DataFrame,
    row_fields: Sequence[str],
    colour: str,
    title: str,
    draw: Callable[[Axes, pd.DataFrame, style.Style], None],
    handles: list[Line2D],
) -> Figure:
    """A grid of axes, a column per layer and a row per facet, with a line per value of the field on colour."""
    layers = [layer for _, layer in distinct(frame, ["place", "layer"])]
    rows = layout.facets(frame, list(row_fields))
    values: list[Any] = [value for (value,) in distinct(frame, [colour])]
    if pairs := any(PAIR in str(value) for value in values):
        values = list(frame[colour].unique())  # reset before random, as the rows have them
    looks = style.styles("pair" if pairs else colour, values)
    with style.fonts():
        figure = style.canvas(len(rows), len(layers), max(_WIDTH, _COLUMN * len(layers)))
        grid = figure.subplots(len(rows), len(layers), sharex=True, sharey=True, squeeze=False)
        style.label_weights(grid[0][0], frame["weights_remaining"] * 100)
        for row, facet in zip(grid, rows, strict=True):
            for axes, layer in zip(row, layers, strict=True):
                style.prepare(axes, integer=False)
                part = select(frame[frame["layer"] == layer], facet)
                for value, look in looks.items():
                    if len(own := select(part, {colour: value})):
                        draw(axes, own, look)
            row[0].set_ylabel(_row_label(facet), fontsize=10, fontweight="bold", color=style.INK)
        for axes, layer in zip(grid[0], layers, strict=True):
            axes.set_title(layer, loc="left", fontsize=10, fontweight="bold", color=style.INK)
        for axes in grid[-1]:
            axes.set_xlabel("Weights remaining, %", color=style.INK)
        figure.suptitle(title, x=0.008, ha="left", fontsize=12, color=style.INK, parse_math=False)
        lines = [style.legend_line(layout.label({colour: value}), look) for value, look in looks.items()]
        style.legend(figure, [*lines, *handles], 4)
    return figure


def _row_label(facet: layout.Facet) -> str:
    words = [
        f"train {value}" if field == "train_attack" else layout.label({field: value}) for field, value in facet.items()
    ]
    return "\n".join(words)
