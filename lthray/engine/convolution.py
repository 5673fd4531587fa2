"""Convolutions and pooling on flat images, of one network or of a stack, with their gradients.

Images and maps are flat, (S, B, C·H·W) or without S for one network, so that callers need not tell them from
activations of dense layers. Weights are (out, in, height, width) as `torch.nn.Conv2d` has them, (S, out, in, height,
width) in a stack, which is computed as one convolution of S groups. All arithmetic is torch's.
"""

from math import isqrt

from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from lthray.methods.networks import POOL, padding


def is_convolution(weight: Tensor) -> bool:
    """Whether a layer's weights are those of a convolution: they have four axes, or five in a stack."""
    return weight.dim() > 3


def convolve(inputs: Tensor, weight: Tensor, place: int) -> Tensor:
    """A convolution's maps.

    Args:
        inputs: (S, B, in·H·W), or (B, in·H·W) for one network or for the same images in every one.
        weight: (S, out, in, height, width), or (out, in, height, width).
        place: Number of the layer in the network, from 0.

    Returns:
        (S, B, out·H'·W'), or (B, out·H'·W').
    """
    groups = weight.shape[:-4].numel()
    maps = F.conv2d(
        _grouped(inputs, weight), weight.flatten(0, -4), padding=_padding(inputs, weight, place), groups=groups
    )
    return _flat(maps, weight)


def input_gradient(inputs: Tensor, weight: Tensor, gradient: Tensor, place: int) -> Tensor:
    """Gradient with respect to a convolution's inputs, from its maps' gradient (S, B, out·H'·W')."""
    slope: Tensor = conv2d_input(  # type: ignore[no-untyped-call]
        _grouped(inputs, weight).shape,
        weight.flatten(0, -4),
        _groups(gradient, weight.shape[-4]),
        padding=_padding(inputs, weight, place),
        groups=weight.shape[:-4].numel(),
    )
    return _flat(slope, weight)


def weight_gradient(inputs: Tensor, weight: Tensor, gradient: Tensor, place: int) -> Tensor:
    """Gradient with respect to a convolution's weights, summed over images, from its maps' gradient."""
    slope: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
        _grouped(inputs, weight),
        weight.flatten(0, -4).shape,
        _groups(gradient, weight.shape[-4]),
        padding=_padding(inputs, weight, place),
        groups=weight.shape[:-4].numel(),
    )
    return slope.reshape(weight.shape)


def pool(maps: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """The maximum of each square of POOL by POOL, flat like `maps`, and its place, for `pool_gradient`."""
    maxima, places = F.max_pool2d(_maps(maps, channels).flatten(0, -4), POOL, return_indices=True)
    return maxima.reshape(*maps.shape[:-1], -1), places


def pool_gradient(maps: Tensor, channels: int, places: Tensor, gradient: Tensor) -> Tensor:
    """Gradient of the maps before pooling, from the maxima's gradient; the first of equal numbers gets it."""
    side = _maps(maps, channels).shape[-1]
    slope = F.max_unpool2d(gradient.reshape(places.shape), places, (POOL, POOL), output_size=(side, side))
    return slope.reshape(maps.shape)


def _maps(flat: Tensor, channels: int) -> Tensor:
    side = isqrt(flat.shape[-1] // channels)
    return flat.reshape(*flat.shape[:-1], channels, side, side)


def _groups(flat: Tensor, channels: int) -> Tensor:
    """Flat maps of a stack as (B, S·C, H, W); those of one network as (B, C, H, W)."""
    maps = _maps(flat, channels)
    return maps if maps.dim() == 4 else maps.transpose(0, 1).flatten(1, 2)


def _grouped(inputs: Tensor, weight: Tensor) -> Tensor:
    """The inputs of a convolution; those without S are the same for every network of the stack."""
    return _groups(inputs.expand(*weight.shape[:-4], *inputs.shape[-2:]), weight.shape[-3])


def _flat(maps: Tensor, weight: Tensor) -> Tensor:
    """The inverse of `_groups`."""
    if weight.dim() == 4:
        return maps.flatten(1)
    return maps.reshape(len(maps), len(weight), -1).transpose(0, 1)


def _padding(inputs: Tensor, weight: Tensor, place: int) -> int:
    return padding(place, isqrt(inputs.shape[-1] // weight.shape[-3]), weight.shape[-1])
