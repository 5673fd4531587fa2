"""A round's start: one function a strategy, each from what a trajectory has lived through.

As in `pruning`, torch is known by its tensors alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lthray.methods.networks import Layers

if TYPE_CHECKING:
    from torch import Tensor

TRANSFER = "transfer"
"""The strategy whose masks are another trajectory's."""


@dataclass(frozen=True)
class Past:
    """What a strategy may start from."""

    initial: Layers
    """θ0."""
    rewound: Layers
    """θ0, or the weights that `rewind_to` names."""
    trained: Layers
    """Weights at the end of the round that was pruned."""
    before: Layers
    """Masks that they were trained under, bool."""
    masks: Layers
    """Masks as pruning left them, or those of the same round of the trajectory that they are taken from."""
    draw: Callable[[], Layers]
    """Draws a new start."""
    permutation: Callable[[int], "Tensor"]
    """Draws a permutation of so many numbers."""


def _kept_signs(past: Past) -> tuple[Layers, Layers]:
    """The magnitudes that `random` draws with the signs of θ0 (Zhou et al. 2019, section 4)."""
    drawn = zip(past.draw(), past.initial, strict=True)
    return tuple(new.abs().copysign(old) for new, old in drawn), past.masks


def _shuffled(past: Past) -> tuple[Layers, Layers]:
    """As `reset`, but each layer's mask shuffled among the weights that it had left before (a control)."""
    shuffled = []
    for before, mask in zip(past.before, past.masks, strict=True):
        new, kept = mask.clone(), mask[before]
        new[before] = kept[past.permutation(len(kept))]
        shuffled.append(new)
    return past.rewound, tuple(shuffled)


STRATEGIES: dict[str, Callable[[Past], tuple[Layers, Layers]]] = {
    "reset": lambda past: (past.rewound, past.masks),
    "random": lambda past: (past.draw(), past.masks),
    "continued": lambda past: (past.trained, past.masks),
    "kept-signs": _kept_signs,
    "shuffled": _shuffled,
    TRANSFER: lambda past: (past.rewound, past.masks),
}
"""The weights that a round starts from, before its masks are laid over them, and those masks."""
