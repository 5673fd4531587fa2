"""The arithmetic of a sparse network on tiles of 64 images, compiled by numba: pruned weights cost nothing.

A network is one graph without layers. Its units are numbered: pixels, then hidden units layer by layer, then logits. In
a tile images lie side by side: activations are (units, TILE), so that one weight meets 64 numbers in a row, and a
unit's sum stays in registers while its weights are read. Lanes beyond the last image hold zeros and count for nothing.
The order of a network's weights and of the loops here is part of the results: changing either changes the last bits.
"""

from typing import NamedTuple

import numpy as np

from lthray.engine import adam
from lthray.engine.numba_tiles import TILE, Array, Number, compiled, compiled_anew, weighted_sum


class Network(NamedTuple):
    """The n remaining weights, once ordered by the unit they lead to and once by the unit they come from."""

    pixels: int
    """Units below this number are pixels."""
    inner: int
    """Units below this number are pixels or hidden units, the others are logits."""
    rows: Array
    """(units + 1,) int64: unit u has the incoming weights rows[u] to rows[u + 1]."""
    inputs: Array
    """(n,) uint16: the unit that each weight comes from."""
    weights: Array
    """(n,), in the first order."""
    columns: Array
    """(units + 1,) int64: unit u has the outgoing weights columns[u] to columns[u + 1] of the second order."""
    outputs: Array
    """(n,) uint16: the unit that each weight leads to, in the second order."""
    turned: Array
    """(n,): the weights in the second order."""
    place: Array
    """(n,) int32: the place in the second order of each weight of the first."""


class Workspace(NamedTuple):
    """The arrays of a tile."""

    natural: Array
    """(pixels, TILE): the natural images."""
    active: Array
    """(units, TILE): activations; its pixels are the images that go through the network."""
    slope: Array
    """(units, TILE): gradient of each image's loss with respect to the input of each unit."""
    lanes: Array
    """(2, TILE): an image's largest logit and its sum of exponentials."""
    labels: Array
    """(2, TILE) int64: the true labels, and those that attacks move away from."""


class Targets(NamedTuple):
    """Target probability of the true class and of each other class."""

    true: Number
    other: Number


class Attack(NamedTuple):
    """An attack's numbers; FGSM is one step of length ε from the natural images."""

    steps: int
    """0 where there is no attack."""
    epsilon: Number
    step_size: Number
    black: Number
    """Smallest pixel, 0."""
    white: Number
    """Largest pixel, 1."""
    predicted: bool
    """Whether it moves away from the model's own prediction, or from the true label."""
    targets: Targets
    """Hard labels."""


class Loss(NamedTuple):
    """The training loss."""

    targets: Targets
    natural: Number
    """Weight of a natural image: (1 - `adversarial_weight`) / B."""
    adversarial: Number
    """Weight of an adversarial image: `adversarial_weight` / B."""


class Moments(NamedTuple):
    """Gradient of the loss, Adam's averages of it and of its square, and ones, for each weight; (n,) each."""

    gradient: Array
    mean: Array
    square: Array
    keep: Array


@compiled
def load(images: Array, first: int, count: int, tile: Array) -> None:
    """Transposes images (B, D) from `first` on into a tile (D, TILE)."""
    for i in range(images.shape[1]):
        for b in range(count):
            tile[i, b] = images[first + b, i]
        for b in range(count, TILE):
            tile[i, b] = 0


@compiled
def forward(net: Network, work: Workspace) -> None:
    """Computes activations and logits from the pixels."""
    for u in range(net.pixels, work.active.shape[0]):
        weighted_sum(work.active, u, net.weights, net.inputs, net.rows[u], net.rows[u + 1], work.active)
        if u < net.inner:
            for b in range(TILE):
                work.active[u, b] = 0 if work.active[u, b] <= 0 else work.active[u, b]  # NaN stays


@compiled
def backward(net: Network, work: Workspace, labels: Array, targets: Targets) -> None:
    """Computes slopes at the logits and, from them, before each ReLU, zero where the ReLU gives zero."""
    _softmax_minus_targets(net, work, labels, targets)
    for u in range(net.inner - 1, net.pixels - 1, -1):
        weighted_sum(work.slope, u, net.turned, net.outputs, net.columns[u], net.columns[u + 1], work.slope)
        for b in range(TILE):
            work.slope[u, b] = 0 if work.active[u, b] <= 0 else work.slope[u, b]


@compiled
def _softmax_minus_targets(net: Network, work: Workspace, labels: Array, targets: Targets) -> None:
    top, total, units = work.lanes[0], work.lanes[1], work.active.shape[0]
    for b in range(TILE):
        top[b] = work.active[net.inner, b]
        total[b] = 0
    for u in range(net.inner + 1, units):
        for b in range(TILE):
            top[b] = max(top[b], work.active[u, b])
    for u in range(net.inner, units):
        for b in range(TILE):
            work.slope[u, b] = np.exp(work.active[u, b] - top[b])
            total[b] += work.slope[u, b]
    for u in range(net.inner, units):
        for b in range(TILE):
            target = targets.true if labels[b] == u - net.inner else targets.other
            work.slope[u, b] = work.slope[u, b] / total[b] - target


@compiled
def begin(net: Network, work: Workspace, images: Array, labels: Array, first: int, attack: Attack) -> int:
    """Loads a tile, computes its natural activations and the labels to move away from, and counts its images."""
    count = min(TILE, len(images) - first)
    load(images, first, count, work.natural)
    for i in range(net.pixels):
        for b in range(TILE):
            work.active[i, b] = work.natural[i, b]
    forward(net, work)
    for b in range(TILE):
        work.labels[0, b] = labels[first + b] if b < count else 0
        work.labels[1, b] = work.labels[0, b]
        if attack.predicted:
            best = net.inner
            for u in range(net.inner + 1, work.active.shape[0]):
                best = u if work.active[u, b] > work.active[best, b] else best
            work.labels[1, b] = best - net.inner
    return count


@compiled
def restart(net: Network, work: Workspace, noise: Array, first: int, attack: Attack) -> None:
    """Computes activations of the natural images plus noise (B, D); an empty array is no noise."""
    if len(noise):
        load(noise, first, min(TILE, len(noise) - first), work.active)
    for i in range(net.pixels):
        for b in range(TILE):
            start = work.natural[i, b] + work.active[i, b] if len(noise) else work.natural[i, b]
            work.active[i, b] = min(max(start, attack.black), attack.white)
    forward(net, work)


@compiled
def perturb(net: Network, work: Workspace, attack: Attack) -> None:
    """Attacks the images in `work`, from their current values on, and computes their activations."""
    for _ in range(attack.steps):
        backward(net, work, work.labels[1], attack.targets)
        _ascend(net, work, attack)
        forward(net, work)


@compiled
def _ascend(net: Network, work: Workspace, attack: Attack) -> None:
    """One signed gradient step, projected to the ε-ball around the natural images and to [0, 1]."""
    up, down, still = attack.step_size, -attack.step_size, attack.black
    for i in range(net.pixels):
        weighted_sum(work.slope, i, net.turned, net.outputs, net.columns[i], net.columns[i + 1], work.slope)
        natural, image, slope = work.natural[i], work.active[i], work.slope[i]
        for b in range(TILE):
            low = max(natural[b] - attack.epsilon, attack.black)
            high = min(natural[b] + attack.epsilon, attack.white)
            moved = image[b] + (up if slope[b] > 0 else (down if slope[b] < 0 else still))
            image[b] = min(max(moved, low), high)


@compiled_anew
def train_step(
    net: Network,
    moments: Moments,
    work: Workspace,
    images: Array,
    labels: Array,
    noise: Array,
    attack: Attack,
    loss: Loss,
    rates: adam.Rates,
) -> None:
    """One optimizer step on images (B, D) and labels (B,); no gradient flows through the attack."""
    for first in range(0, len(images), TILE):
        count = begin(net, work, images, labels, first, attack)
        _add_gradients(net, moments, work, count, loss.targets, loss.natural)
        if attack.steps:
            if len(noise):
                restart(net, work, noise, first, attack)
            perturb(net, work, attack)
            _add_gradients(net, moments, work, count, loss.targets, loss.adversarial)
    adam.update(net.weights, moments.gradient, moments.keep, moments.mean, moments.square, rates)
    for k in range(len(net.weights)):
        net.turned[net.place[k]] = net.weights[k]
        moments.gradient[k] = 0


@compiled
def _add_gradients(
    net: Network, moments: Moments, work: Workspace, count: int, targets: Targets, weight: Number
) -> None:
    """Adds the gradient of a tile's loss with respect to each weight; `weight` is the weight of an image."""
    backward(net, work, work.labels[0], targets)
    for u in range(net.pixels, work.active.shape[0]):
        slope = work.slope[u]
        for b in range(TILE):
            slope[b] = slope[b] * weight if b < count else 0
        for k in range(net.rows[u], net.rows[u + 1]):
            inputs = work.active[net.inputs[k]]
            total = moments.gradient[k]
            for b in range(TILE):
                total += slope[b] * inputs[b]
            moments.gradient[k] = total


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
        count = begin(net, work, images, labels, at, pgd)
        _store(net, work, logits[0], at, count)
        backward(net, work, work.labels[1], pgd.targets)
        _find_moving(net, work, moving, at, count)
        if fgsm.steps:
            perturb(net, work, fgsm)
            _store(net, work, logits[1], at, count)
        if pgd.steps:
            if len(noise) or fgsm.steps:
                restart(net, work, noise, at, pgd)
            perturb(net, work, pgd)
            _store(net, work, logits[2], at, count)


@compiled
def _store(net: Network, work: Workspace, logits: Array, first: int, count: int) -> None:
    for b in range(count):
        for c in range(logits.shape[1]):
            logits[first + b, c] = work.active[net.inner + c, b]


@compiled
def _find_moving(net: Network, work: Workspace, moving: Array, first: int, count: int) -> None:
    still = count
    for b in range(count):
        moving[first + b] = False
    for i in range(net.pixels):
        weighted_sum(work.slope, i, net.turned, net.outputs, net.columns[i], net.columns[i + 1], work.slope)
        for b in range(count):
            if not moving[first + b] and work.slope[i, b] != 0:
                moving[first + b] = True
                still -= 1
        if still == 0:
            return
