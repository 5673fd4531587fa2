"""What a search found, parameter by parameter and all together."""

import math
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lthray.analysis.figures import captions, layout, style
from lthray.analysis.figures.grid import make_grid
from lthray.analysis.numbers.fields import select, show
from lthray.analysis.numbers.search import COMPLETE, Search, Space

_COLUMNS = 3
_EDGE = 0.04


def draw_parameters(samples: pd.DataFrame, search: Search, *, width: style.Width = "page") -> Figure:
    """The metric of every sample against each parameter that was searched.

    A point per sample, with a bar of one standard deviation either side where it has several seeds; a colour and a
    marker per cell of the grid; hollow where the sample is not complete, because its metric is from an earlier round.
    The figure's label (`get_label`) is its caption.

    Args:
        samples: The rows of `search.samples`.
        search: Their search.
        width: The width that it is printed at: "column" (3.3 inches), "text" (6.9) or "page" (11 or more).

    Raises:
        ValueError: There are no samples, or no such width.
    """
    cells = _cells(samples, search)
    looks = dict(enumerate(style.styles("cell", [str(place) for place in range(len(cells))]).values()))
    columns = min(_COLUMNS, len(search.space))
    rows = math.ceil(len(search.space) / columns)
    with style.settings(width):
        grid = make_grid(rows, columns, width)
        for axes in grid.panels[len(search.space) :]:
            axes.set_visible(False)
        panels = grid.panels[: len(search.space)]
        for axes, (field, space) in zip(panels, search.space.items(), strict=True):
            style.prepare(axes, _metric_label(search))
            scale = _Scale(space, samples[field])
            for number, cell in enumerate(cells):
                shift = (number - (len(cells) - 1) / 2) * min(0.12, 0.5 / len(cells)) if scale.choices else 0.0
                _points(axes, select(samples, cell), search, field, scale, looks[number], shift)
            scale.label(axes)
            axes.set_xlabel(field.replace("_", " "))
        low, high = zip(*(axes.get_ylim() for axes in panels), strict=True)
        for axes in panels:
            axes.set_ylim(min(low), max(high))
        grid.hide_inner_y()
        grid.figure.supylabel(_metric_label(search), fontsize=mpl.rcParams["font.size"])
        handles = [_dot(layout.label(cell) or "samples", looks[number]) for number, cell in enumerate(cells)]
        if (samples["state"] != COMPLETE).any():
            dot = _dot("stopped or partial: an earlier round", style.Style(style.GREY, "o"), hollow=True)
            handles.append(dot)
        style.legend(grid.figure, handles)
    grid.figure.set_label(
        f"{search.words} of every sample against each parameter of the search. {_describe(samples)} Bars are ± one"
        " sample standard deviation, hollow points are samples that are not complete."
    )
    return grid.figure


def draw_parallel_coordinates(samples: pd.DataFrame, search: Search, *, width: style.Width = "page") -> Figure:
    """Parallel coordinates: a line per sample through its parameters to its metric, a row per cell of the grid.

    Colour follows the metric, from blue (worst) to ochre (best); the best is thick, samples that are not complete
    are grey and end before the metric.

    Args:
        samples: As for `draw_parameters`, with the same errors.
        search: Their search.
        width: As for `draw_parameters`.
    """
    cells = _cells(samples, search)
    done = samples[samples["state"] == COMPLETE]
    scales = {field: _Scale(space, samples[field]) for field, space in search.space.items()}
    metric = _Scale(Space("uniform", ()), (done if len(done) else samples)["mean"] * (100 if search.percent else 1))
    with style.settings(width):
        grid = make_grid(len(cells), 1, width)
        for (axes,), cell in zip(grid.rows, cells, strict=True):
            _frame(axes, [*scales.items(), (_metric_label(search), metric)])
            _lines(axes, select(samples, cell), search, scales, metric)
            axes.set_title(layout.label(cell), pad=1.8 * float(mpl.rcParams["font.size"]))
    grid.figure.set_label(
        f"A line for each sample through its parameters to its metric. {_describe(samples)} Colour goes from blue"
        " (worst) to ochre (best), the best is thick; grey samples are not complete."
    )
    return grid.figure


class _Scale:
    """Where a parameter's values lie on its axis, in [0, 1] for parallel coordinates."""

    def __init__(self, space: Space, values: pd.Series) -> None:
        self.is_log = space.is_log
        self.choices = [show(value) for value in _ordered(values)] if space.is_choice else None
        numbers = [float(value) for value in space.arguments[:2]] if not space.is_choice and space.arguments else []
        if not self.choices:
            seen = values.astype(float)
            self.low, self.high = min([*numbers, seen.min()]), max([*numbers, seen.max()])
            if self.low == self.high:
                self.low, self.high = self.low - 0.5, self.high + 0.5

    def positions(self, values: pd.Series) -> Any:
        """Positions to draw values at: the values themselves, or their places among the choices."""
        if self.choices:
            places = {text: place for place, text in enumerate(self.choices)}
            return np.array([places[show(value)] for value in values], float)
        return values.to_numpy(float)

    def share(self, values: pd.Series) -> Any:
        """Positions in [0, 1]."""
        if self.choices:
            last = len(self.choices) - 1
            return self.positions(values) / last if last else self.positions(values) + 0.5
        positions, low, high = values.to_numpy(float), self.low, self.high
        if self.is_log:
            positions, low, high = np.log(positions), math.log(low), math.log(high)
        return (positions - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """What to write beside an axis of parallel coordinates: shares and their texts."""
        if self.choices:
            return list(zip(self._places(), self.choices, strict=True))
        shares = (0.0, 0.5, 1.0)
        if self.is_log:
            values = [math.exp(math.log(self.low) + share * math.log(self.high / self.low)) for share in shares]
        else:
            values = [self.low + share * (self.high - self.low) for share in shares]
        return [(share, f"{value:.3g}") for share, value in zip(shares, values, strict=True)]

    def _places(self) -> list[float]:
        count = len(self.choices or ())
        return [0.5] if count == 1 else [place / (count - 1) for place in range(count)]

    def label(self, axes: Axes) -> None:
        """Set up an axis of a scatter plot for this parameter."""
        if self.choices:
            axes.set_xticks(range(len(self.choices)), self.choices)
            axes.set_xlim(-0.5, len(self.choices) - 0.5)
        elif self.is_log:
            axes.set_xscale("log")
            margin = (self.high / self.low) ** _EDGE
            axes.set_xlim(self.low / margin, self.high * margin)
        else:
            margin = (self.high - self.low) * _EDGE
            axes.set_xlim(self.low - margin, self.high + margin)


def _ordered(values: pd.Series) -> list[Any]:
    distinct = values.drop_duplicates().tolist()
    numbers = all(isinstance(value, int | float) for value in distinct)
    return sorted(distinct) if numbers else sorted(distinct, key=str)


def _cells(samples: pd.DataFrame, search: Search) -> list[layout.Facet]:
    if samples.empty:
        raise ValueError("a search without samples has no figure")
    return layout.facets(samples, list(search.grid))


def _metric_label(search: Search) -> str:
    words = search.words.replace(" at ", "\nat ")
    return f"{words}, %" if search.percent else words


def _describe(samples: pd.DataFrame) -> str:
    done = int((samples["state"] == COMPLETE).sum())
    return f"{len(samples)} samples, {done} complete; mean of {captions.count_seeds(samples['n'])}."


def _points(
    axes: Axes, part: pd.DataFrame, search: Search, field: str, scale: _Scale, look: style.Style, shift: float
) -> None:
    factor = 100 if search.percent else 1
    for complete, group in part.groupby(part["state"] == COMPLETE):
        x = scale.positions(group[field]) + shift
        mean, deviation = group["mean"].to_numpy(float) * factor, group["sd"].to_numpy(float) * factor
        if complete:
            axes.errorbar(x, mean, np.nan_to_num(deviation), fmt="none", ecolor=look.colour, alpha=0.45)
        axes.plot(
            x, mean, linestyle="none", marker=look.marker, color=look.colour,
            markerfacecolor=look.colour if complete else style.WHITE, zorder=3 if complete else 2,
        )  # fmt: skip


def _dot(label: str, look: style.Style, *, hollow: bool = False) -> Line2D:
    face = style.WHITE if hollow else look.colour
    return Line2D([], [], linestyle="none", color=look.colour, marker=look.marker, markerfacecolor=face, label=label)


def _frame(axes: Axes, scales: list[tuple[str, _Scale]]) -> None:
    axes.set_xlim(-0.15, len(scales) - 0.7)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xticks(range(len(scales)), [name.replace("_", " ") for name, _ in scales])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, (_, scale) in enumerate(scales):
        axes.plot([place, place], [0, 1], color=style.INK, linewidth=1, zorder=4)
        for share, text in scale.ticks():
            axes.plot([place - 0.012, place + 0.012], [share, share], color=style.INK, linewidth=1, zorder=4)
            axes.text(
                place + 0.025, share, text, va="center", zorder=5,
                bbox={"facecolor": style.WHITE, "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
            )  # fmt: skip


def _lines(axes: Axes, part: pd.DataFrame, search: Search, scales: dict[str, _Scale], metric: _Scale) -> None:
    factor = 100 if search.percent else 1
    sign = 1 if search.mode == "max" else -1
    ordered = part.assign(_goodness=sign * part["mean"]).sort_values("_goodness", na_position="first")
    done = ordered[ordered["state"] == COMPLETE]
    places = {field: scale.share(ordered[field]) for field, scale in scales.items()}
    heights = metric.share(ordered["mean"] * factor)
    for number, (index, row) in enumerate(ordered.iterrows()):
        points = [float(places[field][number]) for field in scales]
        if row["state"] != COMPLETE:
            axes.plot(range(len(points)), points, color=style.GREY, linewidth=0.9, zorder=1)
            continue
        share = float(heights[number])
        goodness = share if sign == 1 else 1 - share
        is_best = len(done) > 0 and index == done.index[-1]
        axes.plot(
            range(len(points) + 1), [*points, share], color=to_hex(style.COLOURS(goodness)),
            linewidth=2.8 if is_best else 1.2, alpha=1.0 if is_best else 0.9, zorder=3 if is_best else 2,
        )  # fmt: skip
