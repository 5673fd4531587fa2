"""What `lthray evaluate` is asked to measure."""

from dataclasses import dataclass

from lthray.methods.attacks import Attack
from lthray.spec.trajectory import TrajectorySpec


@dataclass(frozen=True)
class EvaluationRequest:
    """Which stored tickets to measure, and under what."""

    attack: Attack
    split: str
    """`validation` or `test`."""
    images: int | None
    """How many of the split's images, from the first on; None for all."""
    rounds: frozenset[int]
    """Rounds to measure; empty for all that have a ticket."""

    def image_count(self, spec: TrajectorySpec) -> int:
        """Images to measure of a trajectory's split."""
        size = spec.validation_size if self.split == "validation" else spec.data.test
        return size if self.images is None else min(self.images, size)
