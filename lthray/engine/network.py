"""Networks as pure functions over a stack of weights, with their gradients in closed form.

Shapes: S trajectories of a stack, B images, D pixels, C classes. A network is a tuple of weights, one a layer, without
biases, in order: convolutions (S, out, in, height, width), each with ReLU and max pooling behind it, then dense layers
(S, out, in), all but the last with ReLU. S is left out for one network. The number of axes tells a layer's kind, so
no function here needs the network's name. Images and maps are flat. Pruned weights are exactly zero in the weights
themselves, so no function here needs masks.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from lthray.engine.convolution import convolve, input_gradient, is_convolution, pool, pool_gradient, weight_gradient
from lthray.engine.matmul import product
from lthray.methods.networks import Layers, Shape


def glorot_uniform(sizes: Sequence[Shape], generator: torch.Generator) -> Layers:
    """Weights uniform in ±sqrt(6 / (in + out)) (Glorot and Bengio 2010, equation 16), one network.

    `in` is the number of inputs of a unit, and `out` the number of units that an input goes into: for a convolution,
    maps times the area of its kernel, as in `torch.nn.init` and Keras.

    Args:
        sizes: (out, in) of a dense layer, (out, in, height, width) of a convolution.
        generator: Source of the numbers.
    """
    return tuple(
        torch.empty(size).uniform_(-_glorot_limit(size), _glorot_limit(size), generator=generator) for size in sizes
    )


def _glorot_limit(size: Shape) -> float:
    out, width, *kernel = size
    limit: float = (6 / ((width + out) * prod(kernel))) ** 0.5
    return limit


def forward(weights: Layers, images: Tensor) -> list[Tensor]:
    """The images, the outputs of every layer and, last, the logits.

    Args:
        weights: One tensor (S, out, in) or (S, out, in, height, width) a layer.
        images: (S, B, D), or (B, D) for the same images in every trajectory; pixels in [0, 1].

    Returns:
        The images, the activations of convolutions, before pooling, and of hidden layers (S, B, width), and the logits
        (S, B, C).
    """
    activations = [images]
    for place, weight in enumerate(weights):
        inputs, _ = _inputs(weights, activations, place)
        outputs = convolve(inputs, weight, place) if is_convolution(weight) else product(inputs, weight)
        activations.append(outputs if place == len(weights) - 1 else outputs.relu_())
    return activations


def image_gradient(weights: Layers, activations: Sequence[Tensor], logit_gradient: Tensor) -> Tensor:
    """Gradient with respect to the images (S, B, D), from the logits' gradient (S, B, C)."""
    gradient = logit_gradient
    for place in range(len(weights) - 1, 0, -1):
        gradient = _backward(weights, activations, place, _inputs(weights, activations, place), gradient)
    return _input_gradient(weights[0], activations[0], 0, gradient)


def weight_gradients(weights: Layers, activations: Sequence[Tensor], logit_gradient: Tensor) -> Layers:
    """Gradient with respect to each layer's weights, summed over images, from the logits' gradient (S, B, C)."""
    gradient, gradients = logit_gradient, []
    for place in range(len(weights) - 1, -1, -1):
        weight, (inputs, pooled_from) = weights[place], _inputs(weights, activations, place)
        gradients.append(
            weight_gradient(inputs, weight, gradient, place)
            if is_convolution(weight)
            else product(gradient.mT, inputs.mT)
        )
        if place:
            gradient = _backward(weights, activations, place, (inputs, pooled_from), gradient)
    return tuple(reversed(gradients))


def _inputs(weights: Layers, activations: Sequence[Tensor], place: int) -> tuple[Tensor, Tensor | None]:
    """The inputs of a layer, pooled if the layer before is a convolution, and then the places of the maxima."""
    if place and is_convolution(weights[place - 1]):
        return pool(activations[place], weights[place - 1].shape[-4])
    return activations[place], None


def _input_gradient(weight: Tensor, inputs: Tensor, place: int, gradient: Tensor) -> Tensor:
    """The gradient with respect to a layer's inputs, from its outputs' gradient."""
    if is_convolution(weight):
        return input_gradient(inputs, weight, gradient, place)
    return product(gradient, weight.mT)


def _backward(
    weights: Layers,
    activations: Sequence[Tensor],
    place: int,
    layer_inputs: tuple[Tensor, Tensor | None],
    gradient: Tensor,
) -> Tensor:
    """The gradient before the previous layer's ReLU, from that of a layer's outputs and the result of `_inputs`."""
    inputs, pooled_from = layer_inputs
    gradient = _input_gradient(weights[place], inputs, place, gradient)
    if pooled_from is not None:
        gradient = pool_gradient(activations[place], weights[place - 1].shape[-4], pooled_from, gradient)
    slope: Tensor = torch.ops.aten.threshold_backward(gradient, activations[place], 0)
    return slope


def one_hot(labels: Tensor, like: Tensor, smoothing: float = 0.0) -> Tensor:
    """Targets (..., C): 1 - smoothing + smoothing / C for the label, smoothing / C for the others.

    Label smoothing after Szegedy et al. 2016, section 7. `like` are logits: C, device and precision are theirs.
    """
    classes = like.shape[-1]
    off = smoothing / classes
    targets = torch.full((*labels.shape, classes), off, device=like.device, dtype=like.dtype)
    return targets.scatter_(-1, labels.unsqueeze(-1), 1 - smoothing + off)


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of each image, (..., B), against targets (..., B, C) that sum to 1."""
    return -(targets * torch.log_softmax(logits, dim=-1)).sum(-1)


def cross_entropy_gradient(logits: Tensor, targets: Tensor) -> Tensor:
    """Gradient of each image's cross-entropy with respect to its logits: softmax minus target."""
    return torch.softmax(logits, dim=-1) - targets
