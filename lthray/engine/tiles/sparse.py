"""A network of its remaining weights alone: pruned weights cost nothing.

It is one graph without layers. The order of its weights is part of the results: changing it changes the last bits.
"""

from typing import NamedTuple

from lthray.engine import adam
from lthray.engine.tiles.compiling import TILE, Array, compiled
from lthray.engine.tiles.state import Workspace
from lthray.engine.tiles.vectors import add_dots, add_dots_of_two, weighted_sum


class SparseNetwork(NamedTuple):
    """The n remaining weights, once ordered by the unit they lead to and once by the unit they come from.

    Where they are many, the units of the other end are taken in parts whose activations fit into the first-level cache:
    a sum then runs over the weights of one part after the other, and so still in their order.
    """

    pixels: int
    """Units below this number are pixels."""
    inner: int
    """The first logit's number; units below it are pixels or hidden units."""
    classes: int
    """Number of logits."""
    side: int
    """Numbers in a register."""
    starts: Array
    """(layers + 1,) int64: the first unit of the pixels and of each layer."""
    rows: Array
    """(parts + 1, units) int64: unit u has the incoming weights rows[j, u] to rows[j + 1, u] from the part j."""
    row_parts: Array
    """(layers + 1,) int64: the parts of each layer's inputs, 0 for the pixels."""
    inputs: Array
    """(n,) uint16: the unit that each weight comes from."""
    weights: Array
    """(n,), in the first order."""
    columns: Array
    """(parts + 1, units) int64: unit u has, in the second order, weights columns[j, u] to columns[j + 1, u] to the
    part j."""
    column_parts: Array
    """(layers + 1,) int64: the parts of the units that each layer leads to, 0 for the logits."""
    outputs: Array
    """(n,) uint16: the unit that each weight leads to, in the second order."""
    turned: Array
    """(n,): the weights in the second order."""
    place: Array
    """(n,) int32: the place in the second order of each weight of the first."""


class SparseMoments(NamedTuple):
    """Gradient of the loss, Adam's averages of it and of its square, and ones, for each weight; (n,) each."""

    gradient: Array
    mean: Array
    square: Array
    keep: Array


@compiled
def forward(net: SparseNetwork, active: Array) -> None:
    """Computes activations and logits (units, TILE) from the pixels."""
    for layer in range(1, len(net.starts)):
        begin = net.starts[layer]
        end = net.starts[layer + 1] if begin < net.inner else net.inner + net.classes
        for j in range(net.row_parts[layer]):
            for u in range(begin, end):
                weighted_sum(active, u, net.rows[j, u], net.rows[j + 1, u], j == 0, net.weights, net.inputs, active)
        if begin < net.inner:
            for u in range(begin, end):
                for b in range(TILE):
                    active[u, b] = 0 if active[u, b] <= 0 else active[u, b]  # NaN stays


@compiled
def backward(net: SparseNetwork, active: Array, slope: Array) -> None:
    """Computes the slopes before each ReLU, zero where the ReLU gives zero, from those at the logits."""
    for layer in range(len(net.starts) - 2, 0, -1):
        begin, end = net.starts[layer], net.starts[layer + 1]
        _slopes(net, slope, layer, begin, end)
        for u in range(begin, end):
            for b in range(TILE):
                slope[u, b] = 0 if active[u, b] <= 0 else slope[u, b]


@compiled
def _slopes(net: SparseNetwork, slope: Array, layer: int, first: int, stop: int) -> None:
    """Computes the slopes at units of a layer from those of the units they lead to."""
    for j in range(net.column_parts[layer]):
        for u in range(first, stop):
            weighted_sum(slope, u, net.columns[j, u], net.columns[j + 1, u], j == 0, net.turned, net.outputs, slope)


@compiled
def pixel_slopes(net: SparseNetwork, slope: Array, first: int, stop: int) -> None:
    """Computes the slopes at the pixels from `first` to `stop` from those at the hidden units."""
    _slopes(net, slope, 0, first, stop)


@compiled
def descend(
    net: SparseNetwork,
    moments: SparseMoments,
    work: Workspace,
    tiles: int,
    passes: int,
    rates: adam.Numbers,
) -> None:
    """One step of Adam, from the activations and slopes of all passes of a batch.

    Args:
        net: The network.
        moments: Its averages.
        work: With zero slopes beyond the last image of each pass.
        tiles: Tiles of this batch.
        passes: Passes of each: 2 where one of natural images is followed by one of adversarial ones, else 1.
        rates: The step's numbers.
    """
    for at in range(0, tiles * passes, passes):
        for layer in range(1, len(net.starts)):
            begin = net.starts[layer]
            end = net.starts[layer + 1] if begin < net.inner else net.inner + net.classes
            for j in range(net.row_parts[layer]):
                for u in range(begin, end):
                    first, last = net.rows[j, u], net.rows[j + 1, u]
                    if passes == 2:
                        add_dots_of_two(
                            moments.gradient, at == 0, work.slope, at, u, net.inputs, first, last, work.active
                        )
                    else:
                        add_dots(moments.gradient, at == 0, work.slope, at, u, net.inputs, first, last, work.active)
    adam.update(net.weights, moments.gradient, moments.keep, moments.mean, moments.square, rates)
    # Only attacks need the slopes at the pixels, for which the weights of the first layer are turned.
    for k in range(0 if passes == 2 else net.rows[-1, net.starts[2] - 1], len(net.weights)):
        net.turned[net.place[k]] = net.weights[k]
