"""What sparsity does to early stopping and to both accuracies, by share and by number of weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from lthray.analysis.figures import captions, layout, style
from lthray.analysis.figures.grid import make_grid
from lthray.analysis.numbers.fields import distinct, select
from lthray.analysis.numbers.frames import NETWORKS, SUMMARY, takes
from lthray.analysis.numbers.measurements import CHANCE


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
def draw_sparsity(
    summary: pd.DataFrame,
    place: layout.Layout | None = None,
    *,
    width: style.Width = "page",
    chance: float = CHANCE,
) -> Figure:
    """Figure 2 of the poster: what sparsity does to early stopping and to both accuracies.

    Three columns (early-stopping iteration, adversarial and natural test accuracy in %, all at early stopping) against
    the weights remaining in %, a row per pair of train and eval attack, a line per strategy: the mean over seeds, with
    a band of one standard deviation either side where there are two seeds or more. A field on colour moves the
    strategies to the rows; one on column divides every measure. A column's panels have the same vertical axis, unless
    that would flatten one. The figure's label (`get_label`) is its caption.

    Args:
        summary: The rows of `summarise` for one data set and one setting, apart from placed fields.
        place: The fields on colour, row and column; strategies on colour by default.
        width: The width that it is printed at: "column" (3.3 inches), "text" (6.9) or "page" (11 or more).
        chance: The accuracy of a guess, in (0, 1].

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    caption = "Early-stopping iteration, adversarial and natural test accuracy at early stopping, by weights remaining."
    return _figure(summary, place or layout.Layout(), width, layout.MOMENTS[0][1], _SHARE, caption, chance)


@takes(summary=NETWORKS)
def draw_networks(summary: pd.DataFrame, *, width: style.Width = "page", chance: float = CHANCE) -> Figure:
    """Networks compared by the number of their weights: is a large sparse one better than a small dense one?

    Two columns (adversarial and natural test accuracy in %, at early stopping) against the number of weights remaining,
    a row per pair of train and eval attack and strategy, a line per network.

    Args:
        summary: The rows of `networks` for one data set and one setting.
        width: As for `draw_sparsity`.
        chance: Likewise.

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    caption = (
        "Adversarial and natural test accuracy at early stopping, by the number of weights remaining, a line for each"
        " network."
    )
    place, measures = layout.Layout(colour="network"), layout.MOMENTS[0][1][1:]
    return _figure(summary, place, width, measures, _NUMBER, caption, chance)


def _figure(
    summary: pd.DataFrame,
    place: layout.Layout,
    width: style.Width,
    measures: Sequence[tuple[str, str]],
    weights: _Weights,
    caption: str,
    chance: float,
) -> Figure:
    style.single_panel(summary, place.fields)
    free = [name for name in (*layout.ATTACKS, "strategy") if name not in place.fields]
    rows = layout.facets(summary, [*free, *([place.row] if place.row else [])])
    parts = layout.facets(summary, [place.column] if place.column else [])
    columns = [(measure, name, part) for measure, name in measures for part in parts]
    looks = style.styles(place.colour, [value for (value,) in distinct(summary, [place.colour])])
    with style.settings(width):
        grid = make_grid(len(rows), len(columns), width)
        for row, facet in zip(grid.rows, rows, strict=True):
            for axes, (measure, name, part) in zip(row, columns, strict=True):
                counted = measure.endswith("_iteration")
                style.prepare(axes, name, integer=counted)
                style.label_weights(axes, summary[weights.column] * weights.scale, weights.text)
                panel = select(summary, facet | part)
                for value, look in looks.items():
                    chosen, label = select(panel, {place.colour: value}), layout.label({place.colour: value})
                    style.draw_means(
                        axes, chosen, measure, look, 1 if counted else 100, label, weights.column, weights.scale
                    )
                if counted:
                    axes.set_ylim(0, max(axes.get_ylim()[1], 1))
                else:
                    style.limit_accuracies(axes, chance)
        apart = [name.partition(",")[0].lower() for _, name in measures if not style.share_y(grid.showing(name))]
        for measure, name in measures:
            for axes in grid.showing(name) if not measure.endswith("_iteration") else ():
                style.draw_chance(axes, chance)
        grid.name(
            [layout.label(facet, "\n") for facet in rows],
            [f"{name}\n{layout.label(part)}" if part else name for _, name, part in columns],
        )
        grid.hide_inner_y()
        grid.label_x(weights.name)
        style.legend(
            grid.figure, [style.legend_line(layout.label({place.colour: v}), look) for v, look in looks.items()]
        )
    means = captions.describe_means(summary["early_stopping_iteration_n"])
    grid.figure.set_label(" ".join([caption, means, *captions.describe_axes(apart)]))
    return grid.figure
