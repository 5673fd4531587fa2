"""Adversarial images of a stack of networks: the attacks, given the networks' gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lthray.engine.network import Weights, cross_entropy_gradient, forward, image_gradient, one_hot
from lthray.methods.attacks import ATTACKS, Attacked, random_start, stronger
from lthray.spec.trajectory import TrajectorySpec


def attack_targets(attack_label: str, logits: Tensor, labels: Tensor) -> Tensor:
    """What attacks move away from, one-hot (S, B, C): the model's own prediction on the natural image, or the label."""
    return one_hot(logits.argmax(-1) if attack_label == "predicted" else labels, logits)


def loss_gradient(weights: Weights, activations: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Gradient (S, B, D) of each image's cross-entropy against `targets`, by its pixels."""
    return image_gradient(weights, activations, cross_entropy_gradient(activations[-1], targets))


def perturb(
    attack: str,
    spec: TrajectorySpec,
    weights: Weights,
    natural: Sequence[Tensor],
    targets: Tensor,
    generators: Sequence[torch.Generator],
    gradient: Tensor | None = None,
) -> Tensor:
    """Adversarial images (S, B, D) of one attack on a stack of networks: of its restarts, the best for each image.

    Args:
        attack: One of `ATTACKS`, alone or with settings (`attackspec.full_name`).
        spec: Where the settings come from that it does not have itself, shared by the stack.
        weights: The networks.
        natural: What `forward` gave for the natural images, (S, B, D) or (B, D) for the same in every trajectory.
        targets: What `attack_targets` gave.
        generators: One a trajectory, for the random starts; every restart draws on from them.
        gradient: What `loss_gradient` gave for the natural images, where it is known already.
    """
    setting, images = spec.setting(attack), natural[0]
    images = images.expand(*natural[-1].shape[:-1], images.shape[-1])
    attacked = Attacked(
        setting=setting,
        images=images,
        gradient=lambda: loss_gradient(weights, natural, targets) if gradient is None else gradient,
        gradient_at=lambda x: loss_gradient(weights, forward(weights, x), targets),
        noise=lambda: random_start(setting, images, generators),
    )
    best = ATTACKS[setting.attack](attacked)
    if setting.restarts == 1:
        return best
    logits = forward(weights, best)[-1]
    for _ in range(setting.restarts - 1):
        found = ATTACKS[setting.attack](attacked)
        reached = forward(weights, found)[-1]
        better = stronger(reached, logits, targets).unsqueeze(-1)
        best, logits = found.where(better, best), reached.where(better, logits)
    return best
