"""The training loss as a trajectory's fields say it: which function it is, and what its attack moves away from."""

from collections.abc import Callable

import torch
from torch import Tensor

from lthray import references
from lthray.engine.adversarial import attack_targets
from lthray.methods.attacks import Setting
from lthray.methods.objectives import OBJECTIVES, Objective, Outputs
from lthray.spec.trajectory import TrajectorySpec


def objective_of(spec: TrajectorySpec) -> Objective:
    """The training loss of a trajectory; a user's own may be a bare function of `Outputs`."""
    registry: dict[str, Objective | Callable[[Outputs], Tensor]] = {**OBJECTIVES}
    known = references.find(registry, "objectives", spec.objective.name, spec.own.code)
    return known if isinstance(known, Objective) else Objective(known)


def is_natural_needed(spec: TrajectorySpec) -> bool:
    """Whether the training loss depends on the logits of the natural images."""
    if spec.train_attack == "none":
        return True
    if spec.objective.name == "mixed":
        return spec.adversarial_weight < 1
    return objective_of(spec).natural


def targets_of_attack(spec: TrajectorySpec, setting: Setting, logits: Tensor, labels: Tensor) -> Tensor:
    """What the train attack moves away from, (S, B, C): a label, one-hot, or the natural softmax (TRADES).

    Args:
        spec: The setting.
        setting: The train attack.
        logits: Logits of the natural images (S, B, C).
        labels: Their labels.
    """
    if objective_of(spec).climbs == "distribution":
        return torch.softmax(logits, dim=-1)
    return attack_targets(setting.attack_label, logits, labels)
