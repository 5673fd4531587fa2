"""Facts about networks, known without building them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt, prod
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from torch import Tensor

Layers: TypeAlias = "tuple[Tensor, ...]"
"""One tensor a layer, in order: the weights, masks or gradients of a network, or of a stack with a leading axis S."""

KERNEL, POOL = 5, 2
"""Side of a convolution's kernel, and of the squares that the max pooling behind it reduces to one number."""
WIDEST, DEEPEST = 100_000, 32
"""Largest number of units in a hidden layer, and of hidden layers."""

Shape = tuple[int, ...]
"""Shape of a layer's weights: (out, in) of a dense layer, (out, in, height, width) of a convolution."""


@dataclass(frozen=True)
class ModelFacts:
    """A network of convolutions, each with ReLU and max pooling, then of dense layers with ReLU; no biases."""

    maps: tuple[int, ...]
    """Maps of each convolution."""
    widths: tuple[int, ...] | None
    """Units of each hidden layer behind them; None where the field `widths` decides."""


MODELS = {
    "lenet-300-100": ModelFacts(maps=(), widths=(300, 100)),
    "mlp": ModelFacts(maps=(), widths=None),
    "lenet-5": ModelFacts(maps=(6, 16), widths=(120, 84)),
}

MODULES = {
    "conv-4": "lthray.engine.zoo.conv_4:Conv4",
    "vgg-11-bn": "lthray.engine.zoo.vgg:Vgg11",
    "resnet-20": "lthray.engine.zoo.resnet:ResNet20",
}
"""The networks that are torch modules, by the reference of what makes them."""


def is_module(model: str) -> bool:
    """Whether a network is a torch module, trained by autograd; the others have their gradients in closed form."""
    return model not in MODELS


def own_widths(model: str) -> tuple[int, ...] | None:
    """Units of each hidden layer, where the model fixes them: () for a module, None for an `mlp`."""
    return MODELS[model].widths if model in MODELS else ()


def canonical(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A trajectory's fields, in which an `mlp` with a named network's widths takes that name."""
    named = {facts.widths: name for name, facts in MODELS.items() if not facts.maps}
    widths = fields.get("widths")
    name = named.get(tuple(widths)) if isinstance(widths, list | tuple) and _are_widths(widths) else None
    return dict(fields) | ({"model": name} if name and fields.get("model") == "mlp" else {})


def resolve_widths(model: str, widths: object) -> tuple[int, ...]:
    """The units of a model's hidden layers, from the field `widths`.

    Raises:
        ValueError: they are not the widths of the model, or not widths at all.
    """
    own = own_widths(model)
    if own == () and widths in ((), [], "auto"):
        return ()
    if own == ():
        raise ValueError(f"is for model mlp; {model} takes its own arguments as model_args")
    if own is not None:
        if isinstance(widths, list | tuple) and tuple(widths) == own:
            return own
        raise ValueError(f"{model} has {list(own)}: leave this key out, or choose model: mlp for other widths")
    if not isinstance(widths, list | tuple) or not _are_widths(widths):
        raise ValueError(
            f"model {model} takes a list of 1 to {DEEPEST} whole numbers from 1 to {WIDEST:,}, the units of each hidden"
            " layer, for example [300, 100]"
        )
    return tuple(widths)


def _are_widths(values: Sequence[object]) -> bool:
    return 1 <= len(values) <= DEEPEST and all(type(value) is int and 1 <= value <= WIDEST for value in values)


def padding(place: int, side: int, kernel: int) -> int:
    """Rows and columns of zeros on each side of a convolution's inputs.

    The first convolution keeps the size of the images. A later one has no padding, unless too little would be left
    to pool.

    Args:
        place: Number of the convolution, from 0.
        side: Height and width of its inputs.
        kernel: Height and width of its kernel.
    """
    return kernel // 2 if place == 0 or side - kernel + 1 < POOL else 0


def layer_sizes(model: str, widths: Sequence[int], shape: Sequence[int], classes: int) -> dict[str, Shape]:
    """The shape of each layer's weights, in order.

    Args:
        model: A network of `MODELS`.
        widths: Units of each hidden layer behind the convolutions.
        shape: Channels, height and width of an image, or its number of features.
        classes: Number of classes.

    Raises:
        ValueError: the network has convolutions, and the images are not square and grey, or too small.
    """
    sizes: dict[str, Shape] = {}
    inputs, channels, side = prod(shape), 1, shape[-1]
    for place, maps in enumerate(MODELS[model].maps):
        sizes[f"conv_{place + 1}"] = (maps, channels, KERNEL, KERNEL)
        channels, side = maps, _outputs(place, side) // POOL
        inputs = channels * side**2
    if sizes and (tuple(shape) != (1, shape[-1], shape[-1]) or not side):
        allowed = "square grey images of at least 4x4 pixels"
        raise ValueError(f"model: {model} takes {allowed}, but these are {'x'.join(map(str, shape))}")
    names = [*(f"hidden_{place + 1}" for place in range(len(widths))), "output"]
    return sizes | {
        name: (out, width) for name, (width, out) in zip(names, pairwise([inputs, *widths, classes]), strict=True)
    }


def units(sizes: Mapping[str, Shape], inputs: int) -> int:
    """Number of values of an image and its activations: pixels, the maps before pooling, hidden units, logits."""
    side, total = isqrt(inputs), inputs
    for place, (out, *rest) in enumerate(sizes.values()):
        area = 1
        if len(rest) > 1:
            area, side = _outputs(place, side) ** 2, _outputs(place, side) // POOL
        total += out * area
    return total


def weights(sizes: Mapping[str, Shape]) -> dict[str, int]:
    """How many weights each layer has."""
    return {name: prod(size) for name, size in sizes.items()}


def rate_of(layer: str, layers: Mapping[str, Shape]) -> str:
    """The name of the `prune.rates` by which a layer is pruned.

    Args:
        layer: A layer's name.
        layers: The shapes of all layers of the network. Of a module, the last dense layer is the output.
    """
    if layer in ("hidden_1", "hidden_2", "output"):
        return layer
    if len(layers[layer]) > 2:
        return "convolution"
    dense = [name for name, shape in layers.items() if len(shape) == 2]
    return "output" if layer in dense[-1:] else "deeper"


def _outputs(place: int, side: int) -> int:
    """Height and width of a convolution's maps."""
    return side + 2 * padding(place, side, KERNEL) - KERNEL + 1
