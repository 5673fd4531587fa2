"""How a round starts: a function for each strategy, from what the trajectory has trained so far.

As in `criteria`, torch is not imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lthray.methods.networks import Layers

if TYPE_CHECKING:
    from torch import Tensor

TRANSFER = "transfer"
"""The strategy whose masks are another trajectory's."""
SHUFFLED = "shuffled"
"""The strategy whose masks are shuffled within their layers."""


@dataclass(frozen=True)
class Past:
    """What a strategy may start from.

    There is a tensor and a mask for each layer. A module's other parameters and buffers follow the layers' tensors.
    """

    initial: Layers
    """θ0."""
    rewound: Layers
    """θ0, or the weights that `rewind_to` names."""
    trained: Layers
    """Weights at the end of the round that is pruned."""
    before: Layers
    """Masks under which those weights were trained, bool."""
    masks: Layers
    """Masks after the pruning, or those of the same round of the trajectory that masks are transferred from."""
    draw: Callable[[], Layers]
    """Draws new starting weights."""
    permutation: Callable[[int], "Tensor"]
    """Draws a permutation of that many numbers."""


def _kept_signs(past: Past) -> tuple[Layers, Layers]:
    """The magnitudes that `random` draws with the signs of θ0 (Zhou et al. 2019, section 4)."""
    drawn = past.draw()
    signed = [new.abs().copysign(old) for new, old, _ in zip(drawn, past.initial, past.masks, strict=False)]
    return (*signed, *drawn[len(signed) :]), past.masks


def _shuffled(past: Past) -> tuple[Layers, Layers]:
    """As `reset`, but each layer's mask is shuffled among the weights that remained before the pruning (a control)."""
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
    SHUFFLED: _shuffled,
    TRANSFER: lambda past: (past.rewound, past.masks),
}
"""For each strategy, the weights that a round starts from, before masks are applied, and those masks."""
