"""The poster's figures, drawn from what `stats` gives and from nothing else."""

import math
from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from analysis import stats

COLUMNS = (
    ("early_stopping_iteration", "Early-stopping iteration"),
    ("early_stopping_adversarial_accuracy_test", "Adversarial test accuracy, %"),
    ("early_stopping_natural_accuracy_test", "Natural test accuracy, %"),
)
"""The measures of Figure 2, from left to right, and how they are called."""

# Okabe and Ito's palette, told apart with any common colour vision; markers tell the lines apart without colour.
_STYLES = {"reset": ("#0072B2", "o"), "random": ("#D55E00", "s"), "continued": ("#009E73", "^")}
_SPARE = (("#CC79A7", "D"), ("#56B4E9", "v"), ("#E69F00", "P"))
_INK, _FAINT = "#1f2328", "#d0d7de"
_MAX_TICKS = 7


def figure_2(summary: pd.DataFrame) -> Figure:
    """Figure 2 of the poster: what sparsity does to early stopping and to both accuracies.

    Three columns (early-stopping iteration, adversarial and natural test accuracy in %, all at early stopping) against
    the weights remaining in %, a row per pair of train and eval attack, a line per strategy: the mean over seeds, with
    a band of one standard deviation either side where there are two seeds or more.

    Args:
        summary: The rows of `stats.summarise` for one data set and one setting (`stats.panels`).

    Raises:
        ValueError: There are no rows, or rows of more than one figure.
    """
    panels = list(stats.panels(summary))
    if len(panels) != 1:
        raise ValueError(f"figure_2 draws one data set under one setting, not {len(panels)}")
    pairs, strategies = stats.attack_pairs(summary), stats.strategies(summary)
    with mpl.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "axes.unicode_minus": True}):
        figure = Figure(
            figsize=(11, 1.3 + 2.5 * len(pairs)),
            layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08),
            facecolor="white",
        )
        grid = figure.subplots(len(pairs), len(COLUMNS), sharex=True, squeeze=False)
        _label_weights(grid[0][0], summary["weights_remaining"] * 100)
        for row, pair in zip(grid, pairs, strict=True):
            _draw_row(row, summary, pair, strategies)
        for axes, (_, label) in zip(grid[0], COLUMNS, strict=True):
            axes.set_title(label, loc="left", fontsize=10, fontweight="bold", color=_INK)
        for axes in grid[-1]:
            axes.set_xlabel("Weights remaining, %", color=_INK)
        figure.suptitle(_title(panels[0]), x=0.008, ha="left", fontsize=12, color=_INK, parse_math=False)
        figure.legend(
            handles=[_legend_line(name) for name in strategies],
            loc="outside lower center", ncols=len(strategies), frameon=False, fontsize=10,
        )  # fmt: skip
    return figure


def style(strategy: str) -> tuple[str, str]:
    """A strategy's colour and marker, the same in every figure."""
    return _STYLES.get(strategy) or _SPARE[sum(strategy.encode()) % len(_SPARE)]


def weight_ticks(percents: Sequence[float], most: int = _MAX_TICKS) -> list[float]:
    """The weights remaining, in %, to write on an axis: rounds' own, from the densest on, far enough apart to read."""
    values = sorted({float(f"{value:.3g}") for value in percents}, reverse=True)
    gap = math.log(values[0] / values[-1]) / most
    ticks = values[:1]
    for value in values[1:]:
        if math.log(ticks[-1] / value) >= gap:
            ticks.append(value)
    return ticks


def percent_label(value: float) -> str:
    """A share of weights in %, to one decimal, or to two digits below one percent."""
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"


def seeds_label(summary: pd.DataFrame) -> str:
    """How many seeds are behind the points: "3 seeds", "1 seed", "2 to 3 seeds"."""
    least, most = stats.seed_counts(summary)
    span = str(most) if least == most else f"{least} to {most}"
    return f"{span} seed{'' if most == 1 else 's'}"


def _title(panel: stats.Panel) -> str:
    band = ", band ± 1 standard deviation" if stats.seed_counts(panel.summary)[1] > 1 else ""
    return f"{panel.title}\nat early stopping, mean of {seeds_label(panel.summary)}{band}"


def _draw_row(row: Sequence[Axes], summary: pd.DataFrame, pair: tuple[str, str], strategies: list[str]) -> None:
    train, attack = pair
    part = summary[(summary["train_attack"] == train) & (summary["eval_attack"] == attack)]
    for axes, (measure, _) in zip(row, COLUMNS, strict=True):
        _prepare(axes, measure)
        for strategy in strategies:
            _draw_line(axes, part[part["strategy"] == strategy], measure, strategy)
        _limit(axes, measure)
    row[0].set_ylabel(f"train {train} → attack {attack}", fontsize=10, fontweight="bold", color=_INK)


def _draw_line(axes: Axes, rows: pd.DataFrame, measure: str, strategy: str) -> None:
    if rows.empty:
        return
    colour, marker = style(strategy)
    rows = rows.sort_values("round")
    scale = 1 if measure.endswith("_iteration") else 100
    weights, means = rows["weights_remaining"] * 100, rows[f"{measure}_mean"] * scale
    deviations = rows[f"{measure}_sd"] * scale
    axes.plot(
        weights.to_numpy(), means.to_numpy(float), color=colour, marker=marker, markersize=4, linewidth=1.6,
        label=strategy, zorder=3,
    )  # fmt: skip
    if len(rows) == 1:
        axes.errorbar(weights, means, deviations, color=colour, capsize=3, linewidth=1.2, zorder=2)
    elif deviations.notna().any():
        low, high = (means - deviations).to_numpy(float), (means + deviations).to_numpy(float)
        axes.fill_between(weights.to_numpy(), low, high, color=colour, alpha=0.18, linewidth=0, zorder=2)


def _prepare(axes: Axes, measure: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.tick_params(colors=_INK, labelsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], integer=measure.endswith("_iteration")))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}" if measure.endswith("_iteration") else "{x:g}"))


def _limit(axes: Axes, measure: str) -> None:
    """Iterations from zero on; accuracies where they lie, but never beyond 0 and 100 % by more than the markers."""
    low, high = axes.get_ylim()
    if measure.endswith("_iteration"):
        axes.set_ylim(0, max(high, 1))
    else:
        axes.set_ylim(max(low, -2), min(high, 102))


def _label_weights(axes: Axes, percents: pd.Series) -> None:
    """From dense on the left to sparse on the right; the other axes share it."""
    dense, sparse = float(percents.max()), float(percents.min())
    margin = max((dense / sparse) ** 0.04, 1.05)
    axes.set_xscale("log")
    axes.set_xlim(dense * margin, sparse / margin)
    ticks = weight_ticks(percents.tolist())
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([percent_label(tick) for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def _legend_line(strategy: str) -> Line2D:
    colour, marker = style(strategy)
    return Line2D([], [], color=colour, marker=marker, markersize=5, linewidth=1.8, label=strategy)
