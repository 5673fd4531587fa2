"""Which weights a pruning removes: criteria that score them, and the rule that takes the smallest scores.

Functions here take torch's tensors but do not import torch: sweep files are checked against the names below without it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
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
    batch_gradient: Callable[[Layers, int], Layers]
    """Computes the gradient of the training loss on a batch, with respect to weights that replace the network's own.

    Batch k is that of the round's iteration k, augmented as then. Give the batches in order: in a module, running
    statistics follow them.
    """
    masks_from: Callable[[Layers], Layers]
    """The masks that the pruning would leave, bool, if these were the scores."""
    iterations: int
    """Steps of a criterion that learns its scores."""
    learning_rate: float
    """Learning rate of those steps."""


def _saliency(weights: Layers, gradient: Layers) -> Layers:
    """|w·∂L/∂w|: to first order, by how much the loss changes without a weight (Lee et al. 2019, equation 5)."""
    return tuple((weight * slope).abs() for weight, slope in zip(weights, gradient, strict=True))


MOMENTUM = 0.9
"""Momentum of the gradient descent on learned scores."""


def _learned(net: Trained) -> Layers:
    """|s| for scores s that minimise the training loss of the pruned network (HYDRA, Sehwag et al. 2020, section 3).

    They start at s = sqrt(6 / fan_in)·w / max|w|, and gradient descent with momentum moves them while w is fixed. The
    loss is that of w under the mask of the largest |s|. The gradient takes the mask for |s| (a straight-through
    estimate): with respect to s it is sign(s)·w·∂L/∂(masked w).
    """
    scores = [
        sqrt(6 / weight[0].numel()) * weight / weight.abs().max().clamp(min=1e-30)  # where all weights are zero
        for weight in net.weights
    ]
    velocities = [0 * score for score in scores]
    for step in range(net.iterations):
        masks = net.masks_from(tuple(score.abs() for score in scores))
        kept = tuple(weight * mask for weight, mask in zip(net.weights, masks, strict=True))
        layers = zip(scores, velocities, net.weights, net.batch_gradient(kept, step), strict=True)
        for score, velocity, weight, slope in layers:
            velocity.mul_(MOMENTUM).add_(score.sign() * weight * slope)
            score.sub_(velocity, alpha=net.learning_rate)
    return tuple(score.abs() for score in scores)


LEARNED = "learned"
"""The criterion whose scores are trained."""
CRITERIA: dict[str, Callable[[Trained], Layers]] = {
    "magnitude": lambda net: tuple(weight.abs() for weight in net.weights),
    "random": lambda net: net.noise(),
    "gradient": lambda net: _saliency(net.weights, net.gradient()),
    "adversarial-gradient": lambda net: _saliency(net.weights, net.adversarial_gradient()),
    LEARNED: _learned,
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
