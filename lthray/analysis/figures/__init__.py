"""The poster's figures, and those of searches, networks and masks, drawn from what the pure functions give alone."""

from lthray.analysis.figures.by_iteration import figure_1, figure_3
from lthray.analysis.figures.by_layer import figure_6, figure_7
from lthray.analysis.figures.by_parameter import figure_4, figure_5
from lthray.analysis.figures.by_weights import figure_2, figure_11

__all__ = [
    "figure_1",
    "figure_2",
    "figure_3",
    "figure_4",
    "figure_5",
    "figure_6",
    "figure_7",
    "figure_11",
]
