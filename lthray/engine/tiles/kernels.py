"""Training steps and evaluations of one network on tiles of images, each in one compiled call."""

from typing import Any

from numba.extending import overload

from lthray.engine import adam
from lthray.engine.tiles import dense, sparse
from lthray.engine.tiles.compiling import OPTIONS, TILE, Array, Number, compiled
from lthray.engine.tiles.state import Attack, Loss, Targets, Workspace
from lthray.engine.tiles.transposing import transpose
from lthray.engine.tiles.vectors import ascend, exp_below

CHUNK = 48
"""Pixels whose slopes are computed together; a multiple of `vectors.ROWS`."""

Network = Any
"""A `DenseNetwork` or a `SparseNetwork`: numba compiles every kernel for each of them."""


def forward(net: Network, active: Array) -> None:
    """As `dense.forward` or `sparse.forward`."""


def backward(net: Network, active: Array, slope: Array) -> None:
    """As `dense.backward` or `sparse.backward`."""


def pixel_slopes(net: Network, slope: Array, first: int, stop: int) -> None:
    """As `dense.pixel_slopes` or `sparse.pixel_slopes`."""


def descend(net: Network, moments: Any, work: Workspace, tiles: int, passes: int, rates: adam.Numbers) -> None:
    """As `dense.descend` or `sparse.descend`."""


def _of(net: Any) -> Any:
    """The module of a network's type, when numba compiles a call of the four functions above."""
    return dense if net.instance_class is dense.DenseNetwork else sparse


# numba compares the names of the arguments, and knows no annotations here.
@overload(forward, jit_options=OPTIONS)
def _forward(net, active):  # type: ignore[no-untyped-def]
    function = _of(net).forward
    return lambda net, active: function(net, active)


@overload(backward, jit_options=OPTIONS)
def _backward(net, active, slope):  # type: ignore[no-untyped-def]
    function = _of(net).backward
    return lambda net, active, slope: function(net, active, slope)


@overload(pixel_slopes, jit_options=OPTIONS)
def _pixel_slopes(net, slope, first, stop):  # type: ignore[no-untyped-def]
    function = _of(net).pixel_slopes
    return lambda net, slope, first, stop: function(net, slope, first, stop)


@overload(descend, jit_options=OPTIONS)
def _descend(net, moments, work, tiles, passes, rates):  # type: ignore[no-untyped-def]
    function = _of(net).descend
    return lambda net, moments, work, tiles, passes, rates: function(net, moments, work, tiles, passes, rates)


@compiled
def _load(images: Array, first: int, count: int, tile: Array, side: int) -> None:
    """Transposes images (B, D) from `first` on into a tile (units, TILE)."""
    transpose(tile, 0, 0, images, first, 0, count, images.shape[1], side)
    for i in range(images.shape[1]):
        for b in range(count, TILE):
            tile[i, b] = 0


@compiled
def _begin(
    net: Network, work: Workspace, active: Array, images: Array, labels: Array, first: int, attack: Attack
) -> int:
    """Loads a tile, computes its activations and the labels to move away from, and counts its images."""
    count = min(TILE, len(images) - first)
    _load(images, first, count, active, net.side)
    forward(net, active)
    for b in range(TILE):
        work.labels[0, b] = labels[first + b] if b < count else 0
        work.labels[1, b] = work.labels[0, b]
        if attack.predicted:
            best = net.inner
            for u in range(net.inner + 1, net.inner + net.classes):
                best = u if active[u, b] > active[best, b] else best
            work.labels[1, b] = best - net.inner
    return count


@compiled
def _find_slopes(
    net: Network, work: Workspace, active: Array, slope: Array, labels: Array, targets: Targets, weight: Number
) -> None:
    """Computes the slopes of `weight` times the cross-entropy: at the logits softmax minus targets, then below."""
    top, total, end = work.lanes[0], work.lanes[1], net.inner + net.classes
    for b in range(TILE):
        top[b] = active[net.inner, b]
        total[b] = 0
    for u in range(net.inner + 1, end):
        for b in range(TILE):
            top[b] = max(top[b], active[u, b])
    for u in range(net.inner, end):
        exp_below(slope, active, u, top)
        for b in range(TILE):
            total[b] += slope[u, b]
    for u in range(net.inner, end):
        for b in range(TILE):
            target = targets.true if labels[b] == u - net.inner else targets.other
            slope[u, b] = weight * (slope[u, b] / total[b] - target)
    backward(net, active, slope)


@compiled
def _restart(net: Network, natural: Array, active: Array, noise: Array, first: int, attack: Attack) -> None:
    """Computes the activations of natural images plus noise (B, D)."""
    _load(noise, first, min(TILE, len(noise) - first), active, net.side)
    for i in range(net.pixels):
        for b in range(TILE):
            active[i, b] = min(max(natural[i, b] + active[i, b], attack.black), attack.white)
    forward(net, active)


@compiled
def _perturb(
    net: Network, work: Workspace, natural: Array, source: Array, active: Array, slope: Array, attack: Attack
) -> None:
    """Attacks natural images from those of `source` on, natural or started ones, and computes their activations.

    `source` is `natural` or `active`; all are (units, TILE).
    """
    for step in range(attack.steps):
        current = active if step else source
        _find_slopes(net, work, current, slope, work.labels[1], attack.targets, attack.weight)
        for first in range(0, net.pixels, CHUNK):
            stop = min(first + CHUNK, net.pixels)
            pixel_slopes(net, slope, first, stop)
            for i in range(first, stop):
                ascend(active, current, natural, slope, i, attack.step_size, attack.epsilon, attack.white)
        forward(net, active)


@compiled
def train_step(
    net: Network,
    moments: Any,
    work: Workspace,
    images: Array,
    labels: Array,
    noise: Array,
    attack: Attack,
    loss: Loss,
    rates: adam.Rates | adam.Decayed,
) -> None:
    """One optimizer step on images (B, D) and labels (B,); no gradient flows through the attack.

    Args:
        net: The network.
        moments: `DenseMoments` or `SparseMoments`.
        work: With two passes for every tile of the batch, or one where there is no attack.
        images: Pixels in [0, 1].
        labels: The true labels.
        noise: The random start (B, D), or (0, D) for none.
        attack: With no steps where there is none.
        loss: The training loss.
        rates: Adam's numbers in this step.
    """
    passes = 2 if attack.steps else 1
    for first in range(0, len(images), TILE):
        at = first // TILE * passes
        natural, slope = work.active[at], work.slope[at]
        work.counts[at] = _begin(net, work, natural, images, labels, first, attack)
        _find_slopes(net, work, natural, slope, work.labels[0], loss.targets, loss.natural)
        _clear_rest(net, slope, work.counts[at])
        if attack.steps:
            active, slope = work.active[at + 1], work.slope[at + 1]
            if len(noise):
                _restart(net, natural, active, noise, first, attack)
            _perturb(net, work, natural, active if len(noise) else natural, active, slope, attack)
            work.counts[at + 1] = work.counts[at]
            _find_slopes(net, work, active, slope, work.labels[0], loss.targets, loss.adversarial)
            _clear_rest(net, slope, work.counts[at])
    descend(net, moments, work, (len(images) + TILE - 1) // TILE, passes, rates)


@compiled
def _clear_rest(net: Network, slope: Array, count: int) -> None:
    """Sets the slopes beyond a tile's last image to zero: the sums over a tile's images run over all of them."""
    for u in range(net.pixels, net.inner + net.classes):
        for b in range(count, TILE):
            slope[u, b] = 0


@compiled
def measure(
    net: Network,
    work: Workspace,
    images: Array,
    labels: Array,
    noise: Array,
    fgsm: Attack,
    pgd: Attack,
    first: int,
    stop: int,
    logits: Array,
    moving: Array,
) -> None:
    """Logits of the images from `first` to `stop`, natural and under each attack that has steps.

    Writes `logits` (3, B, C), natural, FGSM and PGD, and `moving` (B,) bool: whether the natural image's gradient
    is nonzero at any pixel.
    """
    natural, active, slope = work.active[0], work.active[1], work.slope[0]
    for at in range(first, stop, TILE):
        count = _begin(net, work, natural, images, labels, at, pgd)
        _store(net, natural, logits[0], at, count)
        _find_slopes(net, work, natural, slope, work.labels[1], pgd.targets, pgd.weight)
        _find_moving(net, slope, moving, at, count)
        if fgsm.steps:
            _perturb(net, work, natural, natural, active, slope, fgsm)
            _store(net, active, logits[1], at, count)
        if pgd.steps:
            if len(noise):
                _restart(net, natural, active, noise, at, pgd)
            _perturb(net, work, natural, active if len(noise) else natural, active, slope, pgd)
            _store(net, active, logits[2], at, count)


@compiled
def _store(net: Network, active: Array, logits: Array, first: int, count: int) -> None:
    for b in range(count):
        for c in range(logits.shape[1]):
            logits[first + b, c] = active[net.inner + c, b]


@compiled
def _find_moving(net: Network, slope: Array, moving: Array, first: int, count: int) -> None:
    still = count
    for b in range(count):
        moving[first + b] = False
    for begin in range(0, net.pixels, CHUNK):
        end = min(begin + CHUNK, net.pixels)
        pixel_slopes(net, slope, begin, end)
        for i in range(begin, end):
            for b in range(count):
                if not moving[first + b] and slope[i, b] != 0:
                    moving[first + b] = True
                    still -= 1
        if still == 0:
            return
