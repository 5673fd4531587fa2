"""What attacks and evaluations need of a network, and the networks that have their gradients in closed form."""

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from lthray.engine.network import cross_entropy_gradient, forward, image_gradient
from lthray.methods.networks import Layers

Gradient = Callable[[Tensor], Tensor]
"""Gives the gradient (S, B, D) of each image's cross-entropy against targets (S, B, C), with respect to its pixels."""


class Differentiable(Protocol):
    """A network, or a stack of networks; images and results have a leading S only for a stack."""

    def logits(self, images: Tensor) -> Tensor:
        """Logits (S, B, C) of images (S, B, D) in [0, 1], or (B, D) for the same images in every network."""

    def logits_and_gradient(self, images: Tensor) -> tuple[Tensor, Gradient]:
        """The logits, and a function of the targets that gives the gradient there; it may be called several times."""


class ClosedForm:
    """Networks of dense layers and convolutions, or one of them without S; see `network` for the shapes."""

    def __init__(self, weights: Layers) -> None:
        self.weights = weights

    def logits(self, images: Tensor) -> Tensor:
        """See `Differentiable`."""
        return forward(self.weights, images)[-1]

    def logits_and_gradient(self, images: Tensor) -> tuple[Tensor, Gradient]:
        """See `Differentiable`."""
        activations = forward(self.weights, images)
        return activations[-1], lambda targets: loss_gradient(self.weights, activations, targets)


def loss_gradient(weights: Layers, activations: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Gradient (S, B, D) of each image's cross-entropy against `targets`, with respect to its pixels."""
    return image_gradient(weights, activations, cross_entropy_gradient(activations[-1], targets))
