"""LeNet-300-100 as pure functions over a stack of weights, with its gradients in closed form.

Shapes: S trajectories of a stack, B images, D pixels, C classes. A network is a tuple of weights, one a layer, each
(S, out, in), without biases (LeCun et al. 1998 with the sizes of Frankle and Carbin 2019, appendix G). Pruned weights
are exactly zero in the weights themselves, so that no function here knows masks.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lthray.products import product

Weights = tuple[Tensor, ...]


def glorot_uniform(sizes: Sequence[tuple[int, int]], generator: torch.Generator) -> Weights:
    """Weights (out, in) uniform in ±sqrt(6 / (in + out)) (Glorot and Bengio 2010, equation 16), one network."""
    return tuple(
        torch.empty(out, width).uniform_(-((6 / (width + out)) ** 0.5), (6 / (width + out)) ** 0.5, generator=generator)
        for out, width in sizes
    )


def forward(weights: Weights, images: Tensor) -> list[Tensor]:
    """Every layer's input and, last, the logits.

    Args:
        weights: One tensor (S, out, in) a layer.
        images: (S, B, D), or (B, D) for the same images in every trajectory; pixels in [0, 1].

    Returns:
        The images, the hidden activations (S, B, width) and the logits (S, B, C).
    """
    activations = [images]
    for weight in weights[:-1]:
        activations.append(product(activations[-1], weight).relu_())
    activations.append(product(activations[-1], weights[-1]))
    return activations


def _backward(weight: Tensor, activation: Tensor, gradient: Tensor) -> Tensor:
    """The gradient before a layer's ReLU from the gradient behind the next layer; zero where ReLU was zero."""
    before: Tensor = torch.ops.aten.threshold_backward(product(gradient, weight.mT), activation, 0)
    return before


def image_gradient(weights: Weights, activations: Sequence[Tensor], logit_gradient: Tensor) -> Tensor:
    """Gradient by the images (S, B, D), from the gradient by the logits (S, B, C)."""
    gradient = logit_gradient
    for weight, activation in zip(reversed(weights[1:]), reversed(activations[1:-1]), strict=True):
        gradient = _backward(weight, activation, gradient)
    return product(gradient, weights[0].mT)


def weight_gradients(weights: Weights, activations: Sequence[Tensor], logit_gradient: Tensor) -> Weights:
    """Gradient by each layer's weights, summed over the B images, from the gradient by the logits (S, B, C)."""
    gradient = logit_gradient
    gradients = [product(gradient.mT, activations[-2].mT)]
    for weight, activation, inputs in zip(
        reversed(weights[1:]), reversed(activations[1:-1]), reversed(activations[:-2]), strict=True
    ):
        gradient = _backward(weight, activation, gradient)
        gradients.append(product(gradient.mT, inputs.mT))
    return tuple(reversed(gradients))


def one_hot(labels: Tensor, like: Tensor, smoothing: float = 0.0) -> Tensor:
    """Targets (..., C): 1 - smoothing + smoothing / C for the label, smoothing / C for the others.

    Label smoothing after Szegedy et al. 2016, section 7. `like` are logits, which say how many classes there are.
    """
    classes = like.shape[-1]
    off = smoothing / classes
    targets = torch.full((*labels.shape, classes), off, device=like.device, dtype=like.dtype)
    return targets.scatter_(-1, labels.unsqueeze(-1), 1 - smoothing + off)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each image, (..., B), against targets (..., B, C) that sum to 1."""
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(-1)


def cross_entropy_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each image's cross-entropy by its logits: softmax minus target."""
    return torch.softmax(logits, dim=-1) - targets
