"""The training loss of a stack: its gradient with respect to the weights."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lthray.engine.adversarial import RandomStart, attack_targets, perturb
from lthray.engine.network import cross_entropy_gradient, forward, one_hot, weight_gradients
from lthray.engine.randomness import random_start
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec


def gradients(
    weights: Layers,
    images: Tensor,
    labels: Tensor,
    spec: TrajectorySpec,
    generators: Sequence[torch.Generator],
    draw: RandomStart = random_start,
) -> Layers:
    """Gradient of the training loss with respect to each layer's weights (S, out, in).

    The loss is the mean cross-entropy against smoothed labels; with a train attack it is
    (1 - w) natural + w adversarial, w being `adversarial_weight`. No gradient flows through the attack.

    Args:
        weights: (S, out, in) a layer, or (out, in) of one trajectory; so are the shapes below, with S or without.
        images: (S, B, D), pixels in [0, 1].
        labels: (S, B).
        spec: The setting, shared by the stack.
        generators: One a trajectory, for the train attack's random starts.
        draw: Draws the random starts.
    """
    natural = forward(weights, images)
    targets = one_hot(labels, natural[-1], spec.label_smoothing)
    slope = cross_entropy_gradient(natural[-1], targets) / labels.shape[-1]
    setting = spec.train_setting
    if not setting:
        return weight_gradients(weights, natural, slope)
    away = attack_targets(setting.attack_label, natural[-1], labels)
    adversarial = forward(weights, perturb(setting, weights, natural, away, generators, draw=draw))
    adversarial_slope = cross_entropy_gradient(adversarial[-1], targets) / labels.shape[-1]
    w = spec.adversarial_weight
    return weight_gradients(
        weights,
        [torch.cat(halves, dim=-2) for halves in zip(natural, adversarial, strict=True)],
        torch.cat([(1 - w) * slope, w * adversarial_slope], dim=-2),
    )
