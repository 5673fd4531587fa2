"""Lines of means that know the numbers behind them, for a page that shows them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """What a line stands for.

    Attributes:
        entry: The entry of the figure's legend that it belongs to.
        name: What tells it from the other lines of its panel.
        deviations: A standard deviation for each point, NaN without one, in the unit of the axis.
        counts: The number of seeds, or of pairs, behind each point.
    """

    entry: str
    name: str
    deviations: Floats
    counts: npt.NDArray[np.int_]


class SeriesLine(Line2D):
    """A line of means, and what is shown and hidden with it: its band, a label at its end."""

    series: Series
    companions: list[Artist]


def add_series(axes: Axes, x: Floats, means: Floats, series: Series, *, band: bool = True, **look: Any) -> SeriesLine:
    """A line of means, with a band of one standard deviation either side where there are several points with one."""
    line = SeriesLine(x, means, label=series.name, zorder=3, **look)
    line.series, line.companions = series, []
    axes.add_line(line)
    if band and len(x) > 1 and not np.isnan(series.deviations).all():
        low, high = means - series.deviations, means + series.deviations
        shade = axes.fill_between(x, low, high, color=line.get_color(), alpha=0.16, linewidth=0, zorder=2)
        line.companions.append(shade)
    axes.autoscale_view()
    return line


def series_lines(axes: Axes) -> list[SeriesLine]:
    """The lines of means of a panel, in the order in which they were drawn."""
    return [line for line in axes.lines if isinstance(line, SeriesLine)]
