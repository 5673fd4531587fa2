"""Networks and averages in the form that the kernels take, and back."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from lthray.engine.adam import Averages
from lthray.engine.tiles.compiling import TILE, Array
from lthray.engine.tiles.dense import INPUTS, DenseMoments, DenseNetwork
from lthray.engine.tiles.sparse import SparseMoments, SparseNetwork
from lthray.engine.tiles.state import Workspace
from lthray.engine.tiles.vectors import ROWS, lanes, width
from lthray.methods.networks import Layers

PART = 112
"""Units whose activations fit into the first-level cache."""
RUN = 10
"""Weights a unit has to have in a part, on average: each part costs a unit as much time as some weights."""


class Member(Protocol):
    """A network in training, in the form that the kernels take."""

    network: Any
    """`DenseNetwork` or `SparseNetwork`."""
    moments: Any
    """`DenseMoments` or `SparseMoments`."""

    def read(self, weights: Sequence[Tensor], averages: Averages) -> None:
        """Writes the current weights and averages into tensors (out, in) a layer."""


class SparseMember:
    """A network of its remaining weights.

    Args:
        weights: (out, in) a layer.
        averages: Adam's, of the same shapes.
        masks: bool, of the same shapes.
    """

    def __init__(self, weights: Layers, averages: Averages, masks: Layers) -> None:
        self.masks = masks
        self.network = sparse_network(weights, masks)
        mean, square = (
            np.concatenate([layer[mask].numpy() for layer, mask in zip(layers, masks, strict=True)])
            for layers in (averages.mean, averages.square)
        )
        self.moments = SparseMoments(np.zeros_like(mean), mean, square, keep=np.ones_like(mean))

    def read(self, weights: Sequence[Tensor], averages: Averages) -> None:
        """As in `Member`; what is pruned stays as it is."""
        values = (self.network.weights, self.moments.mean, self.moments.square)
        for remaining, layers in zip(values, (weights, averages.mean, averages.square), strict=True):
            rest = torch.from_numpy(remaining)
            for layer, mask in zip(layers, self.masks, strict=True):
                head, rest = rest.tensor_split([int(mask.sum())])
                layer[mask] = head


class DenseMember:
    """A network of whole layers.

    Args:
        weights: (out, in) a layer.
        averages: Adam's, of the same shapes.
        masks: bool, of the same shapes.
        passes: Passes of a whole batch; see `Workspace`.
    """

    def __init__(self, weights: Layers, averages: Averages, masks: Layers, passes: int) -> None:
        self.network = dense_network(weights)
        self.moments = DenseMoments(
            mean=tuple(_padded(layer) for layer in averages.mean),
            square=tuple(_padded(layer) for layer in averages.square),
            keep=tuple(_padded(mask) for mask in masks),
            block=_aligned(ROWS * max(layer.shape[1] for layer in self.network.weights), like=weights[0]),
            images=tuple(_aligned(passes * TILE, layer.shape[1], like=weights[0]) for layer in self.network.weights),
        )

    def read(self, weights: Sequence[Tensor], averages: Averages) -> None:
        """As in `Member`."""
        values = (self.network.weights, self.moments.mean, self.moments.square)
        for padded, layers in zip(values, (weights, averages.mean, averages.square), strict=True):
            for array, layer in zip(padded, layers, strict=True):
                out, inputs = layer.shape
                layer.copy_(torch.from_numpy(array)[:out, :inputs])


def dense_network(weights: Layers) -> DenseNetwork:
    """A network of weights (out, in) a layer."""
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
    starts = np.cumsum([0, *(_up(units, ROWS) for units in widths[:-1])])
    number = weights[0].numpy().dtype
    return DenseNetwork(
        pixels=widths[0],
        inner=int(starts[-1]),
        classes=widths[-1],
        starts=starts,
        widths=np.array(widths),
        weights=tuple(_padded(weight) for weight in weights),
        wide=width(number),
        side=lanes(number),
    )


def sparse_network(weights: Layers, masks: Layers) -> SparseNetwork:
    """The graph of the remaining weights of layers (out, in)."""
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
    starts = np.cumsum([0, *widths])
    kept = [np.nonzero(mask.numpy()) for mask in masks]
    values = np.concatenate([weight.numpy()[where] for weight, where in zip(weights, kept, strict=True)])
    outputs = np.concatenate([where[0] + start for where, start in zip(kept, starts[1:-1], strict=True)])
    inputs = np.concatenate([where[1] + start for where, start in zip(kept, starts[:-2], strict=True)])
    order = np.argsort(inputs, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))
    rows, row_parts = _parts(outputs, inputs, starts, range(1, len(starts) - 1), -1)
    columns, column_parts = _parts(inputs[order], outputs[order], starts, range(len(starts) - 2), 1)

    return SparseNetwork(
        pixels=widths[0],
        inner=int(starts[-2]),
        classes=widths[-1],
        side=lanes(values.dtype),
        starts=starts[:-1],
        rows=rows,
        row_parts=row_parts,
        inputs=inputs.astype(np.uint16),
        weights=values,
        columns=columns,
        column_parts=column_parts,
        outputs=outputs[order].astype(np.uint16),
        turned=values[order],
        place=place,
    )


def _parts(units: Array, ends: Array, starts: Array, layers: range, across: int) -> tuple[Array, Array]:
    """Where the weights of each unit begin and end, part by part of the units at their other ends; and the parts.

    Args:
        units: (n,), sorted: the unit that has the weight.
        ends: (n,), sorted for each unit: the unit at the weight's other end.
        starts: (layers + 2,): the first unit of each layer, and their number.
        layers: The layers that have weights.
        across: The layer of the other ends is this far from that of a unit.

    Returns:
        (parts + 1, units), and (layers + 1,); see `SparseNetwork`.
    """
    count = len(starts) - 1
    parts = np.zeros(count, np.int64)
    for layer in layers:
        lengths = np.diff(np.searchsorted(units, starts[layer : layer + 2]))[0] / (starts[layer + 1] - starts[layer])
        width = starts[layer + across + 1] - starts[layer + across]
        parts[layer] = max(1, min(-(-width // PART), lengths // RUN))
    bounds = np.zeros((int(parts.max()) + 1, starts[-1]), np.int64)
    for layer in layers:
        first, stop = starts[layer + across], starts[layer + across + 1]
        cuts = np.linspace(first, stop, int(parts[layer]) + 1).astype(np.int64)
        layer_units = np.arange(starts[layer], starts[layer + 1])
        # Weights are sorted by unit and then by other end, so that one number orders them all.
        keys = units * starts[-1] + ends
        for j in range(len(bounds)):
            cut = cuts[min(j, len(cuts) - 1)]
            bounds[j, layer_units] = np.searchsorted(keys, layer_units * starts[-1] + cut)
    return bounds, parts


def workspace(network: DenseNetwork | SparseNetwork, passes: int, like: Tensor) -> Workspace:
    """Room for as many passes through a network, in the precision of `like`."""
    units = _up(network.inner + network.classes, ROWS)
    return Workspace(
        active=_aligned(passes, units, TILE, like=like),
        slope=_aligned(passes, units, TILE, like=like),
        counts=np.zeros(passes, np.int64),
        lanes=_aligned(2, TILE, like=like),
        labels=np.zeros((2, TILE), np.int64),
    )


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def _padded(layer: Tensor) -> Array:
    """A copy of a layer (out, in) with rows and columns of zeros up to what `dense` takes."""
    out, inputs = layer.shape
    padded = torch.zeros(_up(out, ROWS), _up(_up(inputs, ROWS), INPUTS), dtype=layer.dtype)
    padded[:out, :inputs] = layer
    return padded.numpy()


def _aligned(*shape: int, like: Tensor) -> Array:
    """An array that begins at a cache line, like torch's and unlike numpy's: loads across lines take twice as long."""
    return torch.zeros(shape, dtype=like.dtype).numpy()
