"""The poster's figures, and those of searches, networks and masks, drawn only from what the pure functions return."""

from lthray.analysis.figures.attacks import draw_attacks
from lthray.analysis.figures.learning_curves import draw_accuracy_curves, draw_loss_curves
from lthray.analysis.figures.masks import draw_layer_density, draw_overlap
from lthray.analysis.figures.search import draw_parallel_coordinates, draw_parameters
from lthray.analysis.figures.sparsity import draw_networks, draw_sparsity

__all__ = [
    "draw_accuracy_curves",
    "draw_attacks",
    "draw_layer_density",
    "draw_loss_curves",
    "draw_networks",
    "draw_overlap",
    "draw_parallel_coordinates",
    "draw_parameters",
    "draw_sparsity",
]
