"""Adversarial images for a stack of networks: the attacks, with the networks' gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lthray.engine.network import cross_entropy_gradient, forward, image_gradient, one_hot
from lthray.engine.randomness import random_start
from lthray.methods.attacks import ATTACKS, Attacked, Setting, stronger
from lthray.methods.networks import Layers

RandomStart = Callable[[Setting, Tensor, Sequence[torch.Generator]], Tensor | None]
"""As `random_start`: what an attack adds to the images before its first step."""


def attack_targets(attack_label: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The labels that attacks move away from, one-hot (S, B, C): those predicted for the natural images or the true."""
    return one_hot(logits.argmax(-1) if attack_label == "predicted" else labels, logits)


def loss_gradient(weights: Layers, activations: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Gradient (S, B, D) of each image's cross-entropy against `targets`, with respect to its pixels."""
    return image_gradient(weights, activations, cross_entropy_gradient(activations[-1], targets))


def perturb(
    setting: Setting,
    weights: Layers,
    natural: Sequence[Tensor],
    targets: Tensor,
    generators: Sequence[torch.Generator],
    gradient: Tensor | None = None,
    draw: RandomStart = random_start,
) -> Tensor:
    """Adversarial images (S, B, D) of one attack; for each image, the most damaging restart counts.

    Args:
        setting: The attack, shared by the stack.
        weights: The networks.
        natural: What `forward` returned for the natural images (S, B, D), or (B, D) where all trajectories share them.
        targets: What `attack_targets` returned.
        generators: One a trajectory, for the random starts; each restart continues their streams.
        gradient: What `loss_gradient` returned for the natural images, if it is known already.
        draw: Draws the random starts.
    """
    images = natural[0].expand(*natural[-1].shape[:-1], natural[0].shape[-1])
    attacked = Attacked(
        setting=setting,
        images=images,
        gradient=lambda: loss_gradient(weights, natural, targets) if gradient is None else gradient,
        gradient_at=lambda x: loss_gradient(weights, forward(weights, x), targets),
        noise=lambda: draw(setting, images, generators),
    )
    run = ATTACKS[setting.attack].run
    best = run(attacked)
    if setting.restarts == 1:
        return best
    best_logits = forward(weights, best)[-1]
    for _ in range(setting.restarts - 1):
        candidate = run(attacked)
        logits = forward(weights, candidate)[-1]
        better = stronger(logits, best_logits, targets).unsqueeze(-1)
        best, best_logits = candidate.where(better, best), logits.where(better, best_logits)
    return best
