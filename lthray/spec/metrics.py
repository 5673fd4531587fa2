"""The measures of a round: their columns in `rounds`."""

from itertools import product

from lthray.methods.attacks import ATTACKS, Attack
from lthray.spec.trajectory import TrajectorySpec

SPLITS = ("validation", "test")
"""A split's position here is part of the results: it seeds random starts."""
MOMENTS = ("early_stopping", "final")

ACCURACIES = tuple(
    f"{moment}_{attack}_accuracy_{split}" for moment, attack, split in product(MOMENTS, ("none", *ATTACKS), SPLITS)
)
ZERO_GRADIENTS = tuple(f"{moment}_zero_gradient_share_{split}" for moment, split in product(MOMENTS, SPLITS))
METRICS = (
    "early_stopping_iteration", *ACCURACIES, *ZERO_GRADIENTS, "weights_remaining", "weights_remaining_count",
    "train_seconds", "eval_seconds",
)  # fmt: skip
"""The measures that a search may optimize."""


def measured(spec: TrajectorySpec) -> list[str]:
    """The `METRICS` that every round of a trajectory has: accuracies only under its own eval attacks."""
    unmeasured = [f"_{attack}_accuracy_" for attack in ATTACKS if Attack(attack) not in spec.eval_attacks]
    return [name for name in METRICS if not any(part in name for part in unmeasured)]
