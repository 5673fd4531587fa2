"""A ticket as a plain torch module, for everything else that one does with networks."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from lthray.engine.module import build_module, state_names
from lthray.engine.results import Ticket
from lthray.errors import InputError, first_line
from lthray.methods.networks import POOL, padding
from lthray.spec.arguments import thaw
from lthray.spec.trajectory import TrajectorySpec


class Normalized(nn.Module):
    """A module that normalises its inputs first, so that it takes pixels in [0, 1] as the trajectory did.

    Args:
        module: The network.
        mean: One number for each channel; none for no shift.
        std: One number for each channel; none for no scale.
        axes: Axes of an image: 3, or 1 for features, each of which is a channel.
    """

    def __init__(self, module: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], axes: int) -> None:
        super().__init__()
        self.module = module
        shape = (-1, *[1] * (axes - 1))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean or (0.0,)).view(shape), persistent=False)
        self.register_buffer("std", torch.tensor(std or (1.0,)).view(shape), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of images (B, channels, height, width), or (B, features), in [0, 1]."""
        logits: Tensor = self.module((images - self.mean) / self.std)
        return logits


def to_module(spec: TrajectorySpec, ticket: Ticket) -> nn.Module:
    """A ticket's network in eval mode; pruned weights are zero.

    Args:
        spec: Its trajectory, with the code that trained it where the network is the user's own.
        ticket: Its weights.

    Returns:
        A module from images (B, channels, height, width), or (B, features), in [0, 1] to logits (B, C).

    Raises:
        InputError: the user's function is not there or makes another network.
    """
    tensors = {name: torch.tensor(ticket.weights[name]) for name in spec.tensor_sizes}
    if not spec.is_module:
        return _sequential(spec, tensors).eval()
    module = build_module(spec.model, thaw(spec.model_args), spec.data, spec.own.code, spec.seed)
    try:
        module.load_state_dict(dict(zip(state_names(spec), tensors.values(), strict=True)))
    except RuntimeError as error:
        # The code in the results folder is what was trained with, but an installed package may have changed since.
        raise InputError(f"model {spec.model}: makes another network than the ticket's: {first_line(error)}") from None
    mean, std = spec.normalize.mean, spec.normalize.std
    return (Normalized(module, mean, std, len(spec.data.shape)) if mean or std else module).eval()


def _sequential(spec: TrajectorySpec, weights: dict[str, Tensor]) -> nn.Sequential:
    """A network of convolutions with ReLU and pooling, and of dense layers with ReLU, all without biases."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    side = spec.data.shape[-1]
    for place, (name, weight) in enumerate(weights.items()):
        out, width, *kernel = weight.shape
        if kernel:
            edge = padding(place, side, kernel[0])
            layers[name] = nn.Conv2d(width, out, kernel[0], padding=edge, bias=False)
            layers[f"{name}_relu"], layers[f"{name}_pool"] = nn.ReLU(), nn.MaxPool2d(POOL)
            side = (side + 2 * edge - kernel[0] + 1) // POOL
        else:
            if "flatten" not in layers:
                layers["flatten"] = nn.Flatten()
            layers[name] = nn.Linear(width, out, bias=False)
            if name != "output":
                layers[f"{name}_relu"] = nn.ReLU()
    network = nn.Sequential(layers)
    network.load_state_dict({f"{name}.weight": weight for name, weight in weights.items()})
    return network
