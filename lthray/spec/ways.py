"""Which way a trajectory is trained on a CPU, and why: by the kernels, by torch in closed form, or as a module."""

from lthray.methods.attacks import NATURAL, Attack
from lthray.spec.trajectory import TrajectorySpec

KERNELS = ("fgsm", "pgd")
"""The attacks that the kernels know, in the order of their logits."""


def why_not_kernels(spec: TrajectorySpec, attack: Attack = NATURAL, *, training: bool = False) -> str:
    """Why the kernels can't train or evaluate a network, in words; empty where they can.

    They know dense layers, FGSM, PGD in the maximum norm, the mixed loss, and the optimizers that update a weight from
    its own gradient and averages alone.

    Args:
        spec: The setting.
        attack: The eval attack, if any.
        training: Whether to ask about training, against the train attack; the kernels know none with restarts.
    """
    if spec.is_module:
        return f"{spec.model} is a torch module"
    if any(len(size) > 2 for size in spec.layer_sizes.values()):
        return f"{spec.model} has convolutions"
    setting = spec.train_setting if training else None if attack == NATURAL else spec.setting(attack)
    if setting and setting.attack not in KERNELS:
        return f"attack {setting.attack} is none of {' and '.join(KERNELS)}"
    if setting and setting.norm != "linf":
        return f"norm is {setting.norm}"
    if not training:
        return ""
    if setting and setting.restarts > 1:
        return "pgd.restarts is more than 1"
    if setting and spec.objective.name not in ("mixed", "fast"):
        return f"objective is {spec.objective.name}"
    return _why_not_optimizer(spec)


def _why_not_optimizer(spec: TrajectorySpec) -> str:
    if spec.optimizer.nesterov:
        return "optimizer.nesterov is true"
    if spec.optimizer.clip_norm:
        return "optimizer.clip_norm is set"
    return ""


def describe_training(spec: TrajectorySpec) -> str:
    """How a trajectory is trained on a CPU, in words."""
    reason = why_not_kernels(spec, training=True)
    if spec.is_module:
        return "by autograd on the module"
    if reason:
        return f"by torch, with gradients in closed form, because {reason}"
    return "by compiled kernels, which leave pruned weights out once enough are pruned"
