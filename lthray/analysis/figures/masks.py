"""What each layer keeps, and how much of it masks have in common."""

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lthray.analysis.figures import captions, layout, style
from lthray.analysis.figures.grid import make_grid
from lthray.analysis.numbers.fields import distinct, select
from lthray.analysis.numbers.frames import MEAN_DENSITY, MEAN_OVERLAPS, takes
from lthray.analysis.numbers.masks import PAIR

MOST_LINES = 6
"""The most pairs of strategies drawn together; if there are more, only those with the first strategy are drawn."""

BETWEEN = {
    "strategy": "between strategies at the same seed",
    "seed": "between seeds of the same setting",
    "train_attack": "between train attacks at the same seed",
    "dataset": "between data sets at the same seed",
}
"""What networks differ in whose masks are compared, in the order of their figures."""

_EXPECTED: dict[str, Any] = {"color": style.GREY, "linewidth": 1.0, "linestyle": (0, (4, 2))}


@takes(density=MEAN_DENSITY)
def draw_layer_density(
    density: pd.DataFrame, place: layout.Layout | None = None, *, width: style.Width = "page"
) -> Figure:
    """How many of its weights each layer has left, against those of the network.

    A column per layer, a row per train attack, a line per strategy: the mean over seeds, with a band of one standard
    deviation either side. Both axes are logarithmic, in %, and the same in all panels. A field on colour moves the
    strategies to the rows; one on row or column makes rows. The figure's label (`get_label`) is its caption.

    Args:
        density: The rows of `summarise_density` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column; strategies on colour by default.
        width: The width that it is printed at: "column" (3.3 inches), "text" (6.9) or "page" (11 or more).

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    place = place or layout.Layout()
    style.single_panel(density, place.fields)
    colour = place.colour if place.colour in density.columns else "strategy"
    rest = [name for name in (place.row, place.column) if name and name in density.columns]
    free = [name for name in ("train_attack", "strategy") if name not in (colour, *rest)]

    def draw(axes: Axes, rows: pd.DataFrame, look: style.Style, label: str) -> None:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: style.percent_label(value)))
        axes.yaxis.set_minor_locator(NullLocator())
        style.draw_means(axes, rows, "density", look, 100, label)

    figure = _figure(density, [*free, *rest], colour, width, "Weights remaining in the layer, %", draw, [])
    means = captions.describe_means(density["density_n"])
    figure.set_label(f"Weights remaining of each layer against those of the network. {means}")
    return figure


@takes(overlap=MEAN_OVERLAPS)
def draw_overlap(overlap: pd.DataFrame, *, width: style.Width = "page") -> Figure:
    """How much of each layer's mask two networks have in common: `|A ∩ B| / |A ∪ B|` in %.

    A column per layer, a row per train attack (or pair of them), a line per strategy (or pair of them), or per pair of
    data sets and strategy: the mean over pairs, with a band of one standard deviation either side. Grey and dashed is
    what independent random masks of the same densities are expected to have in common.

    Args:
        overlap: The rows of `summarise_overlaps` with one value of `between`, of one data set (or of pairs of
            them) and one setting.
        width: As for `draw_layer_density`.

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    if len(overlap["between"].unique()) != 1:
        raise ValueError("a figure of overlaps shows networks that differ in one thing")
    between = str(overlap["between"].iloc[0])
    by_pair = between == "dataset"
    style.single_panel(overlap, ["dataset"] if by_pair else [])
    drawn, dropped = _select_pairs(overlap)

    def draw(axes: Axes, rows: pd.DataFrame, look: style.Style, label: str) -> None:
        style.draw_means(axes, rows, "overlap", look, 100, label)
        by_round = rows.sort_values("round")
        left, expected = (100 * by_round[name].to_numpy(float) for name in ("weights_remaining", "expected"))
        axes.plot(left, expected, zorder=3.5, **_EXPECTED)
        axes.set_ylim(-3, 103)

    chance = Line2D([], [], label="independent random masks", **_EXPECTED)
    rows = ["train_attack", *(["dataset"] if by_pair and len(drawn["dataset"].unique()) > 1 else [])]
    figure = _figure(drawn, rows, "strategy", width, "Overlap of masks, %", draw, [chance])
    count = captions.count(drawn["overlap_n"], "pair")
    sentences = [
        f"Overlap of masks {BETWEEN[between]}, against the weights remaining.",
        f"Mean of {count}, with bands of ± one sample standard deviation; grey and dashed, independent random masks of"
        " the same densities.",
        *([f"{dropped} more pairs, without the first strategy, are in the CSV file only."] if dropped else []),
    ]
    figure.set_label(" ".join(sentences))
    return figure


def _select_pairs(overlap: pd.DataFrame) -> tuple[pd.DataFrame, int]:
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
    width: style.Width,
    measure: str,
    draw: Callable[[Axes, pd.DataFrame, style.Style, str], None],
    handles: list[Line2D],
) -> Figure:
    """A grid of axes, a column per layer and a row per facet, with a line per value of the field on colour."""
    layers = [layer for _, layer in distinct(frame, ["place", "layer"])]
    rows = layout.facets(frame, list(row_fields))
    values: list[Any] = [value for (value,) in distinct(frame, [colour])]
    if pairs := any(PAIR in str(value) for value in values):
        values = list(frame[colour].unique())  # reset before random, as the rows have them
    looks = style.styles("pair" if pairs else colour, values)
    labels = {value: layout.label({colour: value}) for value in values}
    with style.settings(width):
        grid = make_grid(len(rows), len(layers), width)
        for row, facet in zip(grid.rows, rows, strict=True):
            for axes, layer in zip(row, layers, strict=True):
                style.prepare(axes, measure)
                style.label_weights(axes, frame["weights_remaining"] * 100)
                part = select(frame[frame["layer"] == layer], facet)
                for value, look in looks.items():
                    if len(own := select(part, {colour: value})):
                        draw(axes, own, look, labels[value])
        low, high = zip(*(axes.get_ylim() for axes in grid.panels if axes.has_data()), strict=True)
        for axes in grid.panels:
            axes.set_ylim(min(low), max(high))
        grid.hide_inner_y()
        grid.name([_row_label(facet) for facet in rows], layers)
        grid.label_x("Weights remaining, %")
        grid.figure.supylabel(measure, fontsize=mpl.rcParams["font.size"])
        style.legend(
            grid.figure, [*(style.legend_line(labels[value], look) for value, look in looks.items()), *handles]
        )
    return grid.figure


def _row_label(facet: layout.Facet) -> str:
    words = [
        f"train {value}" if field == "train_attack" else layout.label({field: value}) for field, value in facet.items()
    ]
    return "\n".join(words)
