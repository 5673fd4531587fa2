"""A round's starting weights: one function a strategy, each from what a trajectory has lived through."""

from collections.abc import Callable
from dataclasses import dataclass

from lthray.network import Weights


@dataclass(frozen=True)
class Past:
    """What a strategy may start from; each network is a tuple of weights (out, in) of one trajectory."""

    rewound: Weights
    """θ0, or the weights that `rewind_to` names."""
    trained: Weights
    """Weights at the end of the round before."""
    draw: Callable[[], Weights]
    """Draws a new start."""


STRATEGIES: dict[str, Callable[[Past], Weights]] = {
    "reset": lambda past: past.rewound,
    "random": lambda past: past.draw(),
    "continued": lambda past: past.trained,
}
"""The weights that a round starts from, before the new mask is laid over them."""
