"""What is known of data sets without reading them."""

from dataclasses import dataclass

CLASSES = 10


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a data set without reading it."""

    inputs: int
    """Pixels of an image."""
    examples: int
    """Training and validation images together."""
    validation: int | None
    """Images of a fixed validation split, or None where `validation_size` says."""
    test: int
    """Test images."""


DATASETS = {
    "mnist": DatasetFacts(784, 60_000, None, 10_000),
    "fashion-mnist": DatasetFacts(784, 60_000, None, 10_000),
    "digits-8x8": DatasetFacts(64, 1_437, 360, 360),
}
