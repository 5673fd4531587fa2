"""What is measured of a round: the columns of `rounds` that are neither fields nor versions."""

from itertools import product

from lthray.methods.attacks import ATTACKS, Attack
from lthray.spec.trajectory import TrajectorySpec

SPLITS = ("validation", "test")
"""A split's place here is part of the results: random starts are seeded by it."""
MOMENTS = ("early_stopping", "final")

ACCURACIES = tuple(
    f"{at}_{attack}_accuracy_{split}" for at, attack, split in product(MOMENTS, ("none", *ATTACKS), SPLITS)
)
ZERO_GRADIENTS = tuple(f"{at}_zero_gradient_share_{split}" for at, split in product(MOMENTS, SPLITS))
METRICS = (
    "early_stopping_iteration", *ACCURACIES, *ZERO_GRADIENTS, "weights_remaining", "weights_remaining_count",
    "train_seconds", "eval_seconds",
)  # fmt: skip
"""The numbers of a round that a search may go by."""


def measured(spec: TrajectorySpec) -> list[str]:
    """Those of `METRICS` that every round of a trajectory has: accuracies under its own eval attacks alone."""
    others = [f"_{attack}_accuracy_" for attack in ATTACKS if Attack(attack) not in spec.eval_attacks]
    return [name for name in METRICS if not any(other in name for other in others)]
