"""Adversarial images for a network or a stack of networks: the attacks, with the networks' gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lthray import references
from lthray.engine.differentiable import Differentiable, Gradient
from lthray.engine.network import one_hot
from lthray.engine.randomness import random_start
from lthray.methods.attacks import ATTACKS, Attacked, Method, Setting, stronger

RandomStart = Callable[[Setting, Tensor, Sequence[torch.Generator]], Tensor | None]
"""As `random_start`: what an attack adds to the images before its first step."""


def attack_targets(attack_label: str, logits: Tensor, labels: Tensor) -> Tensor:
    """The labels that attacks move away from, one-hot (S, B, C): those predicted for the natural images or the true."""
    return one_hot(logits.argmax(-1) if attack_label == "predicted" else labels.expand(logits.shape[:-1]), logits)


def find_attack(name: str, code: str) -> Callable[[Attacked], Tensor]:
    """What makes the adversarial images of an attack; a user's own may be a bare function of `Attacked`."""
    attack: Method | Callable[[Attacked], Tensor] = references.find(ATTACKS, "attacks", name, code)
    return attack.run if isinstance(attack, Method) else attack


def perturb(
    setting: Setting,
    network: Differentiable,
    images: Tensor,
    targets: Tensor,
    generators: Sequence[torch.Generator],
    gradient: Gradient | None = None,
    draw: RandomStart = random_start,
    code: str = "",
) -> Tensor:
    """Adversarial images (S, B, D) of one attack; for each image, the most damaging restart counts.

    Args:
        setting: The attack, shared by the stack.
        network: The networks, or one network; the shapes are then without S.
        images: Natural images (S, B, D), or (B, D) where all networks share them.
        targets: What `attack_targets` returned.
        generators: One a trajectory, for the random starts; each restart continues their streams.
        gradient: Gives the gradient at the natural images, where they have been through the network already.
        draw: Draws the random starts.
        code: The code package of an attack of the user's; see `references.load`.
    """

    def gradient_at(points: Tensor) -> Tensor:
        return network.logits_and_gradient(points)[1](targets)

    natural = images.expand(*targets.shape[:-1], images.shape[-1])
    attacked = Attacked(
        setting=setting,
        images=natural,
        gradient=lambda: gradient_at(images) if gradient is None else gradient(targets),
        gradient_at=gradient_at,
        noise=lambda: draw(setting, natural, generators),
    )
    run = find_attack(setting.attack, code)
    best = run(attacked)
    if setting.restarts == 1:
        return best
    best_logits = network.logits(best)
    for _ in range(setting.restarts - 1):
        candidate = run(attacked)
        logits = network.logits(candidate)
        better = stronger(logits, best_logits, targets).unsqueeze(-1)
        best, best_logits = candidate.where(better, best), logits.where(better, best_logits)
    return best
