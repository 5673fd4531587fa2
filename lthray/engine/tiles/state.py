"""What the kernels read and write: networks are in `sparse` and `dense`, the rest is here.

Units are numbered: pixels, then hidden units layer by layer, then logits. In a tile images lie side by side:
activations are (units, TILE), so that one weight meets TILE numbers in a row. Lanes beyond the last image count for
nothing. A pass is a tile's way through the network and back, with natural or with adversarial images.
"""

from typing import NamedTuple

from lthray.engine.tiles.compiling import Array, Number


class Workspace(NamedTuple):
    """The arrays of a batch's passes."""

    active: Array
    """(passes, units, TILE): activations; the pixels are the images that go through the network."""
    slope: Array
    """(passes, units, TILE): gradient of each image's loss with respect to the input of each unit."""
    counts: Array
    """(passes,) int64: images in each pass."""
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
    weight: Number
    """Weight of an image in the loss that is raised, 1."""


class Loss(NamedTuple):
    """The training loss."""

    targets: Targets
    natural: Number
    """Weight of a natural image: (1 - `adversarial_weight`) / B."""
    adversarial: Number
    """Weight of an adversarial image: `adversarial_weight` / B."""
