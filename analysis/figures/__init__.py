"""The poster's figures, drawn from what the pure functions give and from nothing else."""

from analysis.figures.by_iteration import figure_1, figure_3
from analysis.figures.by_weights import figure_2

__all__ = ["figure_1", "figure_2", "figure_3"]
