"""What the figures have in common: colours, markers, axes."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from lthray.analysis.notebook import NotebookFigure
from lthray.analysis.numbers.summary import Panel, panels

INK, FAINT = "#1f2328", "#d0d7de"
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

# Okabe and Ito's palette, told apart with any common colour vision; markers tell the lines apart without colour.
_STRATEGIES = {"reset": ("#0072B2", "o"), "random": ("#D55E00", "s"), "continued": ("#009E73", "^")}
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_MAX_TICKS = 7
# What a row takes beside its axes.
_MARGIN, _ROW = 1.3, 2.5

Style = tuple[str, str]
"""A colour and a marker."""


def fonts() -> AbstractContextManager[None]:
    """The settings under which every figure is drawn."""
    return mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "axes.unicode_minus": True})


def canvas(rows: int, columns: int, width: float) -> Figure:
    """An empty figure for a grid of axes."""
    size = (width, _MARGIN + _ROW * rows)
    return NotebookFigure(figsize=size, layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08), facecolor="white")


def styles(field: str, values: Sequence[Any]) -> dict[Any, Style]:
    """A colour and a marker for each value: strategies have their own in every figure, numbers a sequence."""
    if field == "strategy":
        known = {value: _STRATEGIES[value] for value in values if value in _STRATEGIES}
        spare = list(zip(_PALETTE[3:], MARKERS[3:], strict=False))
        others = [value for value in values if value not in known]
        return known | {value: spare[place % len(spare)] for place, value in enumerate(others)}
    markers = [MARKERS[place % len(MARKERS)] for place in range(len(values))]
    ordered = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if (ordered and len(values) > 2) or len(values) > len(_PALETTE):
        return dict(zip(values, zip(sequence(len(values)), markers, strict=True), strict=True))
    return {value: (_PALETTE[place], markers[place]) for place, value in enumerate(values)}


def sequence(count: int) -> list[str]:
    """Colours from dark to light whose order is seen with any colour vision and in print (viridis, its end cut off)."""
    colours = mpl.colormaps["viridis"]
    return [mpl.colors.to_hex(colours(0.78 * place / max(1, count - 1))) for place in range(count)]


def percent_label(value: float) -> str:
    """A share of weights in %, to one decimal, or to two digits below one percent."""
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"


def weight_ticks(weights: Sequence[float]) -> list[float]:
    """The weights remaining to write on an axis: rounds' own, from the densest on, far enough apart to read."""
    values = sorted({float(f"{value:.3g}") for value in weights}, reverse=True)
    gap = math.log(values[0] / values[-1]) / _MAX_TICKS
    ticks = values[:1]
    for value in values[1:]:
        if math.log(ticks[-1] / value) >= gap:
            ticks.append(value)
    return ticks


def label_weights(axes: Axes, weights: pd.Series, text: Callable[[float], str] = percent_label) -> None:
    """From dense on the left to sparse on the right; axes that share x follow."""
    dense, sparse = float(weights.max()), float(weights.min())
    margin = max((dense / sparse) ** 0.04, 1.05)
    axes.set_xscale("log")
    axes.set_xlim(dense * margin, sparse / margin)
    ticks = weight_ticks(weights.tolist())
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([text(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def prepare(axes: Axes, *, integer: bool) -> None:
    """Quiet axes with a horizontal grid."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=integer))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if integer else "{x:g}"))


def draw_means(
    axes: Axes,
    rows: pd.DataFrame,
    measure: str,
    look: Style,
    scale: float,
    label: str = "",
    weights: str = "weights_remaining",
    weights_scale: float = 100,
) -> None:
    """A line of means against the weights remaining, with a band of one standard deviation either side.

    Args:
        axes: Where to draw.
        rows: One row per round, with `weights`, `<measure>_mean` and `<measure>_sd`; without rows nothing is drawn.
        measure: What to draw.
        look: Its colour and marker.
        scale: 100 for shares to be shown in %.
        label: The line's name.
        weights: The column of the horizontal axis.
        weights_scale: 100 for shares to be shown in %.
    """
    if rows.empty:
        return
    colour, marker = look
    rows = rows.sort_values("round")
    left, means = rows[weights] * weights_scale, rows[f"{measure}_mean"] * scale
    deviations = rows[f"{measure}_sd"] * scale
    axes.plot(
        left.to_numpy(), means.to_numpy(float), color=colour, marker=marker, markersize=4, linewidth=1.6,
        label=label, zorder=3,
    )  # fmt: skip
    if len(rows) == 1:
        axes.errorbar(left, means, deviations, color=colour, capsize=3, linewidth=1.2, zorder=2)
    elif deviations.notna().any():
        low, high = (means - deviations).to_numpy(float), (means + deviations).to_numpy(float)
        axes.fill_between(left.to_numpy(), low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def legend_line(label: str, look: Style) -> Line2D:
    """A line as `draw_means` draws it, for the legend."""
    colour, marker = look
    return Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.8, label=label)


def legend(figure: Figure, handles: Sequence[Line2D], most: int = 7) -> None:
    """The lines' names below a figure, as many in a row as there is room for."""
    longest = max((len(str(handle.get_label())) for handle in handles), default=0)
    room = int(figure.get_figwidth() * 13 / (longest + 8))
    figure.legend(
        handles=list(handles), loc="outside lower center", ncols=max(1, min(len(handles), most, room)), frameon=False,
        fontsize=10,
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


def seeds_label(counts: pd.Series) -> str:
    """How many seeds are behind the points: "3 seeds", "1 seed", "2 to 3 seeds"."""
    least, most = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    span = str(most) if least == most else f"{least} to {most}"
    return f"{span} seed{'' if most == 1 else 's'}"
