"""Facts about data sets, known without reading them."""

from dataclasses import dataclass

CLASSES = 10


@dataclass(frozen=True)
class DatasetFacts:
    """Sizes of a data set."""

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
