"""A network of whole layers, pruned weights included as zeros.

Six units of a layer are computed together, so its units are padded to a multiple of six with units of no weight, and
its inputs to a multiple of 16. Every sum runs in the order of its inputs, as in `sparse`: both give the same
activations and the same slopes.
"""

from typing import NamedTuple

from lthray.engine import adam
from lthray.engine.tiles.compiling import TILE, Array, compiled
from lthray.engine.tiles.state import Workspace
from lthray.engine.tiles.transposing import transpose
from lthray.engine.tiles.vectors import ROWS, multiply_block, multiply_register

INPUTS = 16
"""A layer's inputs are padded to a multiple of this, so that no register of weights is half full."""
DEPTH = 256
"""Inputs whose activations fit into the first-level cache; sums over more of them are taken in parts."""


class DenseNetwork(NamedTuple):
    """Layers of weights."""

    pixels: int
    """Units below this number are pixels."""
    inner: int
    """The first logit's number; units below it are pixels, hidden units or padding."""
    classes: int
    """Number of logits."""
    starts: Array
    """(layers + 1,) int64: the first unit of the pixels and of each layer."""
    widths: Array
    """(layers + 1,) int64: units of the pixels and of each layer, without padding."""
    weights: tuple[Array, ...]
    """(units, inputs) a layer, padded."""
    wide: int
    """Columns of `multiply_block`."""
    side: int
    """Numbers in a register."""


class DenseMoments(NamedTuple):
    """Adam's averages and the masks of each layer, padded; and room for a step."""

    mean: tuple[Array, ...]
    """Of the gradient."""
    square: tuple[Array, ...]
    """Of its square."""
    keep: tuple[Array, ...]
    """bool: whether a weight remains."""
    block: Array
    """(ROWS * inputs,): the gradient of some units' weights, of the layer with the most inputs."""
    images: tuple[Array, ...]
    """(passes * TILE, inputs) a layer, padded: each image's inputs of the layer in a row."""


@compiled
def _multiply(
    out: Array,
    out_at: int,
    weights: Array,
    at: int,
    row: int,
    step: int,
    factors: Array,
    factor_at: int,
    rows: int,
    depth: int,
    wide: int,
) -> None:
    """Writes `rows` rows of TILE sums over `depth` products each; rows beyond them up to a multiple of ROWS too."""
    for begin in range(0, depth, DEPTH):
        count = min(DEPTH, depth - begin)
        for first in range(0, rows, ROWS):
            for column in range(0, TILE, wide):
                multiply_block(
                    out,
                    out_at + first * TILE + column,
                    TILE,
                    weights,
                    at + first * row + begin * step,
                    row,
                    step,
                    factors,
                    factor_at + begin * TILE + column,
                    TILE,
                    count,
                    begin == 0,
                )


@compiled
def forward(net: DenseNetwork, active: Array) -> None:
    """Computes activations and logits (units, TILE) from the pixels."""
    for layer in range(len(net.weights)):
        weights, begin, width = net.weights[layer], net.starts[layer + 1], net.widths[layer + 1]
        at = net.starts[layer] * TILE
        _multiply(active, begin * TILE, weights, 0, weights.shape[1], 1, active, at, width, net.widths[layer], net.wide)
        if begin < net.inner:
            for u in range(begin, begin + width):
                for b in range(TILE):
                    active[u, b] = 0 if active[u, b] <= 0 else active[u, b]  # NaN stays


@compiled
def backward(net: DenseNetwork, active: Array, slope: Array) -> None:
    """Computes the slopes before each ReLU, zero where the ReLU gives zero, from those at the logits."""
    for layer in range(len(net.weights) - 1, 0, -1):
        _slopes(net, slope, layer, 0, net.widths[layer])
        for u in range(net.starts[layer], net.starts[layer] + net.widths[layer]):
            for b in range(TILE):
                slope[u, b] = 0 if active[u, b] <= 0 else slope[u, b]


@compiled
def _slopes(net: DenseNetwork, slope: Array, layer: int, first: int, stop: int) -> None:
    """Computes the slopes at a layer's inputs from `first` to `stop` from those at its units."""
    weights, into, source = net.weights[layer], net.starts[layer] + first, net.starts[layer + 1]
    _multiply(
        slope,
        into * TILE,
        weights,
        first,
        1,
        weights.shape[1],
        slope,
        source * TILE,
        stop - first,
        net.widths[layer + 1],
        net.wide,
    )


@compiled
def pixel_slopes(net: DenseNetwork, slope: Array, first: int, stop: int) -> None:
    """Computes the slopes at the pixels from `first` to `stop` from those at the hidden units."""
    _slopes(net, slope, 0, first, stop)


@compiled
def descend(
    net: DenseNetwork, moments: DenseMoments, work: Workspace, tiles: int, passes: int, rates: adam.Numbers
) -> None:
    """One step of Adam, from the activations and slopes of all passes of a batch; as in `sparse`."""
    for layer in range(len(net.weights)):
        for p in range(tiles * passes):
            transpose(
                moments.images[layer], p * TILE, 0, work.active[p], net.starts[layer], 0, net.widths[layer],
                work.counts[p], net.side,
            )  # fmt: skip
        _descend_layer(
            net.weights[layer],
            moments.keep[layer],
            moments.mean[layer],
            moments.square[layer],
            moments.images[layer],
            work.slope,
            work.counts[: tiles * passes],
            net.starts[layer + 1],
            moments.block,
            net.wide,
            net.side,
            rates,
        )


@compiled
def _descend_layer(
    weights: Array,
    keep: Array,
    mean: Array,
    square: Array,
    images: Array,
    slope: Array,
    counts: Array,
    start: int,
    block: Array,
    wide: int,
    side: int,
    rates: adam.Numbers,
) -> None:
    """One step of Adam for a layer: the gradient of ROWS units is used while it is in the cache.

    Arrays alone are passed, because numba counts the references to each array that is taken from a tuple.
    """
    units, inputs = weights.shape
    for row in range(0, units, ROWS):
        for p in range(len(counts)):
            slopes, rows = (p * slope.shape[1] + start + row) * TILE, p * TILE * inputs
            whole = inputs // wide * wide
            for c in range(0, whole, wide):
                multiply_block(block, c, inputs, slope, slopes, TILE, 1, images, rows + c, inputs, counts[p], p == 0)
            for c in range(whole, inputs, side):
                multiply_register(block, c, inputs, slope, slopes, TILE, 1, images, rows + c, inputs, counts[p], p == 0)
        end = row + ROWS
        adam.update(
            weights[row:end].ravel(),
            block[: ROWS * inputs],
            keep[row:end].ravel(),
            mean[row:end].ravel(),
            square[row:end].ravel(),
            rates,
        )
