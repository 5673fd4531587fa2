"""What the kernels of a sparse network are given: the network itself, a tile's arrays, and the numbers of a step."""

from typing import NamedTuple

from lthray.engine.numba_tiles import Array, Number


class Network(NamedTuple):
    """The n weights that remain, ordered by the unit they lead to and by the unit they come from."""

    pixels: int
    """Units below are pixels."""
    inner: int
    """Units below are pixels or hidden; those from here on are logits."""
    rows: Array
    """(units + 1,) int64: unit u has the incoming weights rows[u] to rows[u + 1]."""
    inputs: Array
    """(n,) uint16: the unit that each weight comes from."""
    weights: Array
    """(n,), unit by unit."""
    columns: Array
    """(units + 1,) int64: unit u has the outgoing weights columns[u] to columns[u + 1] of the second order."""
    outputs: Array
    """(n,) uint16: the unit that each weight leads to, in the second order."""
    turned: Array
    """(n,): the weights in the second order."""
    place: Array
    """(n,) int32: where each weight of the first order stands in the second."""


class Workspace(NamedTuple):
    """A tile's arrays."""

    natural: Array
    """(pixels, TILE): the images as they are."""
    active: Array
    """(units, TILE): activations; its pixels are the images that go through the network."""
    slope: Array
    """(units, TILE): gradient of each image's loss by what goes into each unit."""
    lanes: Array
    """(2, TILE): an image's largest logit and its sum of exponentials."""
    labels: Array
    """(2, TILE) int64: the true ones, and those that attacks move away from."""


class Targets(NamedTuple):
    """What the classes' probabilities should be."""

    true: Number
    other: Number


class Attack(NamedTuple):
    """FGSM is one step of length ε from the natural images."""

    steps: int
    """0 where there is no attack."""
    epsilon: Number
    step_size: Number
    black: Number
    """Smallest pixel, 0."""
    white: Number
    """Largest pixel, 1."""
    predicted: bool
    """Away from the model's own prediction, not from the label."""
    targets: Targets
    """Hard labels."""


class Loss(NamedTuple):
    """The training loss."""

    targets: Targets
    natural: Number
    """Weight of a natural image; of all B together, 1 - `adversarial_weight`."""
    adversarial: Number
    """Weight of an adversarial one."""


class Moments(NamedTuple):
    """Gradient of the loss by each weight, Adam's averages of it and of its square, and ones; (n,) each."""

    gradient: Array
    mean: Array
    square: Array
    keep: Array


class Rates(NamedTuple):
    """Adam's numbers (Kingma and Ba 2015, algorithm 1), bias corrections among them."""

    step: Number
    """Learning rate over 1 - beta_1^t."""
    root: Number
    """1 over the square root of 1 - beta_2^t."""
    epsilon: Number
    old_mean: Number
    new_mean: Number
    old_square: Number
    new_square: Number
