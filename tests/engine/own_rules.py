"""Rules as docs/own.md shows them, for tests of references."""

from lthray.methods.criteria import Trained
from lthray.methods.networks import Layers
from lthray.methods.strategies import Past


def signed(net: Trained) -> Layers:
    """-w·∂L/∂w: to first order, how much larger the loss is without a weight."""
    return tuple(-weight * slope for weight, slope in zip(net.weights, net.gradient(), strict=True))


def rewind_layers(past: Past) -> tuple[Layers, Layers]:
    """Rewound layers, with the trained biases and normalisation."""
    layers = len(past.masks)
    return past.rewound[:layers] + past.trained[layers:], past.masks
