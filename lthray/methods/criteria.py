"""Which weights a pruning removes: criteria that score them, and the rule that takes the smallest scores.

Functions here take torch's tensors but do not import torch: sweep files are checked against the names below without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lthray.methods.networks import Layers

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Trained:
    """What a criterion may score by: a network at the end of a round."""

    weights: Layers
    """Its weights; pruned weights are zero."""
    gradient: Callable[[], Layers]
    """Computes the gradient of the natural training loss, the mean over all training images."""
    adversarial_gradient: Callable[[], Layers]
    """Computes the gradient of the adversarial training loss, likewise."""
    noise: Callable[[], Layers]
    """Draws numbers uniform in [0, 1)."""


def _saliency(weights: Layers, gradient: Layers) -> Layers:
    """|w·∂L/∂w|: to first order, by how much the loss changes without a weight (Lee et al. 2019, equation 5)."""
    return tuple((weight * slope).abs() for weight, slope in zip(weights, gradient, strict=True))


CRITERIA: dict[str, Callable[[Trained], Layers]] = {
    "magnitude": lambda net: tuple(weight.abs() for weight in net.weights),
    "random": lambda net: net.noise(),
    "gradient": lambda net: _saliency(net.weights, net.gradient()),
    "adversarial-gradient": lambda net: _saliency(net.weights, net.adversarial_gradient()),
}
"""A score for every weight; of those that remain, the smallest scores are pruned."""


def prune(score: "Tensor", mask: "Tensor", keep: int) -> "Tensor":
    """Prunes the remaining weights with the smallest scores.

    Args:
        score: Of any shape.
        mask: bool, of the same shape; True where a weight remains.
        keep: How many weights remain afterwards, at most as many as do now.

    Returns:
        A new mask. Of weights with equal scores the first is pruned first, so that the number pruned is exact.
    """
    remaining = mask.flatten().nonzero()[:, 0]
    order = score.flatten()[remaining].argsort(stable=True)
    kept = mask.flatten().clone()
    kept[remaining[order[: len(remaining) - keep]]] = False
    return kept.view_as(mask)


def prune_together(scores: Sequence["Tensor"], masks: Sequence["Tensor"], keep: int) -> Layers:
    """As `prune`, but over several layers with a single threshold; ties go by the layers' order."""
    from torch import cat, split  # slow to import

    kept = prune(cat([score.flatten() for score in scores]), cat([mask.flatten() for mask in masks]), keep)
    parts = split(kept, [mask.numel() for mask in masks])
    return tuple(part.view_as(mask) for part, mask in zip(parts, masks, strict=True))
