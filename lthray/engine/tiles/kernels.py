"""Training steps and evaluations of one network on tiles of images, each in one compiled call."""

from typing import Any

from numba.extending import overload

from lthray.engine import adam
from lthray.engine.tiles import dense, sparse
from lthray.engine.tiles.compiling import OPTIONS, TILE, Array, compiled
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


def descend(net: Network, moments: Any, work: Workspace, passes: int, attacked: int, rates: adam.Rates) -> None:
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
def _descend(net, moments, work, passes, attacked, rates):  # type: ignore[no-untyped-def]
    function = _of(net).descend
    return lambda net, moments, work, passes, attacked, rates: function(net, moments, work, passes, attacked, rates)


@compiled
def _load(images: Array, first: int, count: int, tile: Array, side: int) -> None:
    """Transposes images (B, D) from `first` on into a tile (units, TILE)."""
    transpose(tile, 0, 0, images, first, 0, count, images.shape[1], side)
    for i in range(images.shape[1]):
        for b in range(count, TILE):
            tile[i, b] = 0


@compiled
def _begin(net: Network, work: Workspace, at: int, images: Array, labels: Array, first: int, attack: Attack) -> int:
    """Loads a tile into the pass `at`, computes its activations and the labels to move away from; counts its images."""
    count = min(TILE, len(images) - first)
    active = work.active[at]
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
def _set_logit_slopes(
    net: Network, work: Workspace, active: Array, slope: Array, labels: Array, targets: Targets
) -> None:
    """Computes softmax minus targets."""
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
            slope[u, b] = slope[u, b] / total[b] - target


@compiled
def _restart(net: Network, work: Workspace, natural: int, at: int, noise: Array, first: int, attack: Attack) -> None:
    """Computes, in the pass `at`, the activations of natural images plus noise (B, D)."""
    images, active = work.active[natural], work.active[at]
    _load(noise, first, min(TILE, len(noise) - first), active, net.side)
    for i in range(net.pixels):
        for b in range(TILE):
            active[i, b] = min(max(images[i, b] + active[i, b], attack.black), attack.white)
    forward(net, active)


@compiled
def _perturb(net: Network, work: Workspace, natural: int, at: int, source: int, attack: Attack) -> None:
    """Attacks the images of the pass `natural` in the pass `at`, from those of `source` on, one of the two."""
    slope = work.slope[at]
    for _ in range(attack.steps):
        _set_logit_slopes(net, work, work.active[source], slope, work.labels[1], attack.targets)
        backward(net, work.active[source], slope)
        for first in range(0, net.pixels, CHUNK):
            stop = min(first + CHUNK, net.pixels)
            pixel_slopes(net, slope, first, stop)
            for i in range(first, stop):
                ascend(
                    work.active[at],
                    work.active[source],
                    work.active[natural],
                    slope,
                    i,
                    attack.step_size,
                    attack.epsilon,
                    attack.white,
                )
        forward(net, work.active[at])
        source = at


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
    rates: adam.Rates,
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
    at, attacked = 0, 1 if attack.steps else 0
    for first in range(0, len(images), TILE):
        count = _begin(net, work, at, images, labels, first, attack)
        _finish(net, work, at, count, loss.targets, loss.natural)
        if attacked:
            if len(noise):
                _restart(net, work, at, at + 1, noise, first, attack)
            _perturb(net, work, at, at + 1, at + 1 if len(noise) else at, attack)
            _finish(net, work, at + 1, count, loss.targets, loss.adversarial)
        at += 1 + attacked
    descend(net, moments, work, at, attacked, rates)


@compiled
def _finish(net: Network, work: Workspace, at: int, count: int, targets: Targets, weight: Any) -> None:
    """Computes the slopes of a pass, of the loss of its images; `weight` is that of an image."""
    active, slope = work.active[at], work.slope[at]
    _set_logit_slopes(net, work, active, slope, work.labels[0], targets)
    for u in range(net.inner, net.inner + net.classes):
        for b in range(TILE):
            slope[u, b] = slope[u, b] * weight if b < count else 0
    backward(net, active, slope)
    work.counts[at] = count


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
    for at in range(first, stop, TILE):
        count = _begin(net, work, 0, images, labels, at, pgd)
        _store(net, work.active[0], logits[0], at, count)
        _set_logit_slopes(net, work, work.active[0], work.slope[0], work.labels[1], pgd.targets)
        backward(net, work.active[0], work.slope[0])
        _find_moving(net, work.slope[0], moving, at, count)
        if fgsm.steps:
            _perturb(net, work, 0, 1, 0, fgsm)
            _store(net, work.active[1], logits[1], at, count)
        if pgd.steps:
            if len(noise):
                _restart(net, work, 0, 1, noise, at, pgd)
            _perturb(net, work, 0, 1, 1 if len(noise) else 0, pgd)
            _store(net, work.active[1], logits[2], at, count)


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
