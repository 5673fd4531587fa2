"""What the figures have in common: sizes, colours, markers, axes."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from lthray.analysis.figures.series import Series, add_series
from lthray.analysis.numbers.summary import Panel, panels

Width = Literal["column", "text", "page"]
"""How wide a figure is printed: one column of a paper, its whole text, or a page across."""


@dataclass(frozen=True)
class Paper:
    """What a figure's width decides; inches, but for the letters, which are in points."""

    width: float
    font: float
    row: float
    """The height of a row of panels."""
    panel: float
    """The least width of a panel."""
    height: float | None
    """The height up to which panels are stacked; a higher figure has as many side by side as fit. None where the figure
    grows instead."""


PAPERS: dict[Width, Paper] = {
    "column": Paper(3.3, 7.0, 1.35, 1.6, 8.0),
    "text": Paper(6.9, 7.5, 1.75, 2.0, 0.0),
    "page": Paper(11.0, 9.5, 2.7, 2.6, None),
}

INK, FAINT, GREY, WHITE = "#1f2328", "#d0d7de", "#6e7781", "#ffffff"
"""Lines and letters, grid, what stands for no network, background. On the page, all but GREY follow its own colours."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#c4689b", "#7a6bd0", "#9a7400", "#6e7781")
"""After Okabe and Ito, told apart with any common colour vision; those too light for paper were made darker."""
SEQUENCE = ("#0f6cbd", "#6b5bd6", "#a94bb0", "#cf3f6b", "#cc5a1e", "#b88a00")
"""From dense to sparse. Like the palette's, their contrast is at least 3:1 on white and on the page's dark background,
so that lightness hardly orders them: hue, markers and dashes do."""
DASHES = ("-", (0, (4, 1.6)), (0, (1, 1.4)), (0, (6, 1.6, 1, 1.6)))
COLOURS = LinearSegmentedColormap.from_list("weights", SEQUENCE)

_STRATEGIES = ("reset", "random", "continued")
_FONTS = ["DejaVu Sans", "Verdana", "Arial", "Helvetica", "sans-serif"]
_MAX_TICKS = 7
_NEAR = 1 / 3
_FLAT = 0.2


class Style(NamedTuple):
    """How a line looks."""

    colour: str
    marker: str
    dashes: Any = "-"


def settings(width: Width) -> AbstractContextManager[None]:
    """The settings of matplotlib under which a figure of this width is drawn.

    Raises:
        ValueError: There is no such width.
    """
    if width not in PAPERS:
        raise ValueError(f"width {width!r} is none of {', '.join(PAPERS)}")
    size = PAPERS[width].font
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    sizes = ("font.size", "axes.titlesize", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize")
    chosen: dict[Any, Any] = {
        "font.family": "sans-serif", "font.sans-serif": _FONTS, "axes.unicode_minus": True,
        "axes.titlelocation": "left", "axes.titleweight": "bold", "axes.titlecolor": INK, "text.parse_math": False,
        "lines.linewidth": size / 6, "lines.markersize": size * 0.38, "legend.frameon": False,
        "legend.title_fontsize": size, "axes.linewidth": size / 12, "xtick.major.width": size / 12,
        "ytick.major.width": size / 12, "xtick.major.size": size / 3, "ytick.major.size": size / 3,
        **dict.fromkeys(inked, INK), **dict.fromkeys(sizes, size),
    }  # fmt: skip
    return mpl.rc_context(chosen)


def styles(field: str, values: Sequence[Any]) -> dict[Any, Style]:
    """A look for each value: strategies have their own in every figure, numbers a sequence."""
    if field == "strategy":
        known = [value for value in _STRATEGIES if value in values]
        fixed = {value: _look(_STRATEGIES.index(value), PALETTE) for value in known}
        others = [value for value in values if value not in fixed]
        spare = len(PALETTE) - len(_STRATEGIES)
        looks = {value: _look(len(_STRATEGIES) + place % spare, PALETTE) for place, value in enumerate(others)}
        return {value: (fixed | looks)[value] for value in values}
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    few = len(values) <= (2 if ordered else len(PALETTE))
    colours = PALETTE if few else sequence(len(values))
    return {value: _look(place, colours) for place, value in enumerate(values)}


def sequence(count: int) -> list[str]:
    """Colours from dense to sparse, or from small to large."""
    return [to_hex(COLOURS(place / max(1, count - 1))) for place in range(count)]


def percent_label(value: float) -> str:
    """A share of weights in %, to one decimal, or to two digits below one percent."""
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"


def weight_ticks(weights: Sequence[float], most: int = _MAX_TICKS) -> list[float]:
    """The weights remaining to write on an axis: rounds' own, from the densest on, far enough apart to read."""
    values = sorted({float(f"{value:.3g}") for value in weights}, reverse=True)
    gap = math.log(values[0] / values[-1]) / most
    ticks = values[:1]
    for value in values[1:]:
        if math.log(ticks[-1] / value) >= gap:
            ticks.append(value)
    return ticks


def label_weights(axes: Axes, weights: pd.Series, text: Callable[[float], str] = percent_label) -> None:
    """An axis from dense on the left to sparse on the right."""
    dense, sparse = float(weights.max()), float(weights.min())
    margin = max((dense / sparse) ** 0.04, 1.05)
    axes.set_xscale("log")
    axes.set_xlim(dense * margin, sparse / margin)
    room = 75 * axes.get_position().width * axes.figure.get_figwidth() / mpl.rcParams["font.size"]  # type: ignore[union-attr]
    widest = max(len(text(float(value))) for value in weights)
    ticks = weight_ticks(weights.tolist(), max(2, min(_MAX_TICKS, int(room / (0.62 * widest + 0.8)))))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([text(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def prepare(axes: Axes, measure: str, *, integer: bool = False) -> None:
    """Quiet axes with a horizontal grid; `measure` says what they show (`Axes.get_label`)."""
    axes.set_label(measure)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=integer))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if integer else "{x:g}"))


def draw_means(
    axes: Axes,
    rows: pd.DataFrame,
    measure: str,
    look: Style,
    scale: float,
    label: str,
    weights: str = "weights_remaining",
    weights_scale: float = 100,
) -> None:
    """A line of means against the weights remaining, with a band of one standard deviation either side.

    Args:
        axes: Where to draw.
        rows: One row per round, with `weights`, `<measure>_mean`, `_sd` and `_n`; without rows nothing is drawn.
        measure: What to draw.
        look: How the line looks.
        scale: 100 for shares to be shown in %.
        label: The line's name in the legend.
        weights: The column of the horizontal axis.
        weights_scale: 100 for shares to be shown in %.
    """
    if rows.empty:
        return
    rows = rows.sort_values("round")
    left, means = (rows[weights] * weights_scale).to_numpy(float), rows[f"{measure}_mean"].to_numpy(float) * scale
    deviations = rows[f"{measure}_sd"].to_numpy(float) * scale
    series = Series(label, label, deviations, rows[f"{measure}_n"].to_numpy(int))
    line = add_series(axes, left, means, series, color=look.colour, marker=look.marker, linestyle=look.dashes)
    if len(rows) == 1:
        _, caps, bars = axes.errorbar(left, means, deviations, color=look.colour, capsize=3, zorder=2)
        line.companions += [*caps, *bars]


def limit_accuracies(axes: Axes, chance: float) -> None:
    """An axis of accuracies, in %: little beyond 0 and 100, and with what a guess would reach where that is near."""
    guess = 100 * chance
    low, high = axes.get_ylim()
    low, high = max(low, -2), min(high, 102)
    axes.set_ylim(low, high)
    near = _NEAR * (high - low)
    if low - near <= guess <= high + near:
        axes.set_ylim(min(low, guess - near / 5), max(high, guess + near / 5))


def draw_chance(axes: Axes, chance: float) -> None:
    """A dashed line at what a guess would reach, where an axis of accuracies, in %, has it."""
    low, high = axes.get_ylim()
    guess = 100 * chance
    if not low <= guess <= high:
        return
    first, last = (min((_distance(line, guess, step) for line in axes.lines), default=0.0) for step in (1, -1))
    side, right = ("left", 2) if first > last else ("right", -2)
    edge, up = ("top", -1) if high - guess < (high - low) / 5 else ("bottom", 1)
    axes.axhline(guess, color=GREY, linewidth=0.8, linestyle=(0, (5, 3)), zorder=1.5)
    axes.annotate(
        "chance", (0 if side == "left" else 1, guess), (right, up), xycoords=axes.get_yaxis_transform(),
        textcoords="offset points", ha=side, va=edge, color=GREY,
    )  # fmt: skip


def share_y(axes: Sequence[Axes]) -> bool:
    """Give panels the same vertical axis, unless a fifth of it would hold all that one of them shows.

    Returns:
        Whether they have the same.
    """
    drawn = [panel for panel in axes if panel.has_data()]
    limits = [panel.get_ylim() for panel in drawn]
    if not limits:
        return True
    low, high = min(low for low, _ in limits), max(high for _, high in limits)
    if any(top - bottom < _FLAT * (high - low) for bottom, top in limits):
        return False
    for panel in axes:
        panel.set_ylim(low, high)
    return True


def legend_line(label: str, look: Style) -> Line2D:
    """A line as `draw_means` draws it, for the legend."""
    return Line2D([], [], color=look.colour, marker=look.marker, linestyle=look.dashes, label=label)


def legend(figure: Figure, handles: Sequence[Line2D], title: str | None = None) -> None:
    """The lines' names below a figure, as many in a row as there is room for."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    room = int(figure.get_figwidth() * 72 / (mpl.rcParams["font.size"] * 0.62 * (longest + 8)))
    columns = max(1, min(len(handles), 7, room))
    columns = math.ceil(len(handles) / math.ceil(len(handles) / columns)) if handles else 1
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=columns, title=title, handlelength=2.6,
        columnspacing=1.4,
    )  # fmt: skip


def single_panel(frame: pd.DataFrame, fields: Sequence[str]) -> Panel:
    """The panel that a frame holds.

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    parts = list(panels(frame, fields))
    if len(parts) != 1:
        raise ValueError(f"a figure shows one data set under one setting, not {len(parts)}")
    return parts[0]


def _distance(line: Line2D, guess: float, step: Literal[1, -1]) -> float:
    """How near to a guess a line comes in the first third of its points, or in the last (-1)."""
    values = np.asarray(line.get_ydata(), float)[::step]
    return float(np.nanmin(np.abs(values[: len(values) // 3 + 1] - guess), initial=100.0))


def _look(place: int, colours: Sequence[str]) -> Style:
    return Style(colours[place], MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])
