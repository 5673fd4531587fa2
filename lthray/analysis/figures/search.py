"""Figures 4 and 5: what a search found, parameter by parameter and all together."""

import math
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lthray.analysis.figures import layout, style
from lthray.analysis.numbers.fields import select, show
from lthray.analysis.numbers.search import COMPLETE, Search, Space

_WIDTH, _COLUMNS = 11.0, 3
_GREY = "#8c959f"
_EDGE = 0.04


def draw_parameters(samples: pd.DataFrame, search: Search) -> Figure:
    """The metric of every sample against each parameter that was searched.

    A point per sample, with a bar of one standard deviation either side where it has several seeds; a colour and a
    marker per cell of the grid; hollow where the sample is not complete, because its metric is from an earlier round.

    Args:
        samples: The rows of `search.samples`.
        search: Their search.

    Raises:
        ValueError: There are no samples.
    """
    cells = _cells(samples, search)
    looks = dict(enumerate(style.styles("cell", [str(place) for place in range(len(cells))]).values()))
    columns = min(_COLUMNS, len(search.space))
    rows = math.ceil(len(search.space) / columns)
    with style.fonts():
        figure = style.canvas(rows, columns, _WIDTH if columns > 1 else 6.0)
        grid = figure.subplots(rows, columns, sharey=True, squeeze=False)
        for place, axes in enumerate(grid.flat):
            if place >= len(search.space):
                axes.set_visible(False)
                continue
            field, space = list(search.space.items())[place]
            style.prepare(axes, integer=False)
            scale = _Scale(space, samples[field])
            for number, cell in enumerate(cells):
                shift = (number - (len(cells) - 1) / 2) * min(0.12, 0.5 / len(cells)) if scale.choices else 0.0
                _points(axes, select(samples, cell), search, field, scale, looks[number], shift)
            scale.label(axes)
            axes.set_xlabel(field.replace("_", " "), color=style.INK)
        for row in grid:
            row[0].set_ylabel(_metric_label(search), color=style.INK)
        handles = [_dot(layout.label(cell) or "samples", looks[number]) for number, cell in enumerate(cells)]
        if (samples["state"] != COMPLETE).any():
            handles.append(_dot("stopped or partial: an earlier round", ("#57606a", "o"), hollow=True))
        figure.suptitle(_title(samples, search), x=0.008, ha="left", fontsize=12, color=style.INK, parse_math=False)
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 4), frameon=False)
    return figure


def draw_parallel_coordinates(samples: pd.DataFrame, search: Search) -> Figure:
    """Parallel coordinates: a line per sample through its parameters to its metric, a row per cell of the grid.

    Colour follows the metric, from dark (worst) to bright (best); the best is thick, samples that are not complete
    are grey and end before the metric.

    Args:
        samples: As for `draw_parameters`, with the same error if there are none.
        search: Their search.
    """
    cells = _cells(samples, search)
    done = samples[samples["state"] == COMPLETE]
    scales = {field: _Scale(space, samples[field]) for field, space in search.space.items()}
    metric = _Scale(Space("uniform", ()), (done if len(done) else samples)["mean"] * (100 if search.percent else 1))
    with style.fonts():
        figure = style.canvas(len(cells), 1, _WIDTH)
        grid = figure.subplots(len(cells), 1, squeeze=False)
        for axes, cell in zip(grid[:, 0], cells, strict=True):
            _frame(axes, [*scales.items(), (_metric_label(search), metric)])
            _lines(axes, select(samples, cell), search, scales, metric)
            axes.set_title(layout.label(cell), loc="left", fontsize=10, fontweight="bold", color=style.INK, pad=18)
        figure.suptitle(_title(samples, search), x=0.008, ha="left", fontsize=12, color=style.INK, parse_math=False)
    return figure


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


def _title(samples: pd.DataFrame, search: Search) -> str:
    done = int((samples["state"] == COMPLETE).sum())
    return f"{len(samples)} samples, {done} complete, mean of {style.seeds_label(samples['n'])}"


def _points(
    axes: Axes, part: pd.DataFrame, search: Search, field: str, scale: _Scale, look: style.Style, shift: float
) -> None:
    colour, marker = look
    factor = 100 if search.percent else 1
    for complete, group in part.groupby(part["state"] == COMPLETE):
        x = scale.positions(group[field]) + shift
        mean, deviation = group["mean"].to_numpy(float) * factor, group["sd"].to_numpy(float) * factor
        if complete:
            axes.errorbar(x, mean, np.nan_to_num(deviation), fmt="none", ecolor=colour, alpha=0.45, linewidth=1.2)
        axes.plot(
            x, mean, linestyle="none", marker=marker, markersize=5.5 if complete else 4.5, color=colour,
            markerfacecolor=colour if complete else "white", markeredgewidth=1.1,
            alpha=0.9 if complete else 0.55, zorder=3 if complete else 2,
        )  # fmt: skip


def _dot(label: str, look: style.Style, *, hollow: bool = False) -> Line2D:
    colour, marker = look
    face = "white" if hollow else colour
    return Line2D(
        [], [], linestyle="none", color=colour, marker=marker, markerfacecolor=face, markersize=6, label=label
    )


def _frame(axes: Axes, scales: list[tuple[str, _Scale]]) -> None:
    axes.set_xlim(-0.15, len(scales) - 0.7)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xticks(range(len(scales)), [name.replace("_", " ") for name, _ in scales], fontsize=9, color=style.INK)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    for place, (_, scale) in enumerate(scales):
        axes.plot([place, place], [0, 1], color=style.INK, linewidth=1, zorder=4)
        for share, text in scale.ticks():
            axes.plot([place - 0.012, place + 0.012], [share, share], color=style.INK, linewidth=1, zorder=4)
            axes.text(
                place + 0.025, share, text, fontsize=8, color=style.INK, va="center", zorder=5,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.8},
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
            axes.plot(range(len(points)), points, color=_GREY, linewidth=0.9, alpha=0.5, zorder=1)
            continue
        share = float(heights[number])
        goodness = share if sign == 1 else 1 - share
        is_best = len(done) > 0 and index == done.index[-1]
        axes.plot(
            range(len(points) + 1), [*points, share], color=colormaps["viridis"](0.85 * goodness),
            linewidth=2.8 if is_best else 1.2, alpha=1.0 if is_best else 0.8, zorder=3 if is_best else 2,
        )  # fmt: skip
