"""The training loss of a stack: its gradient with respect to the weights."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from lthray.engine.adversarial import RandomStart, perturb
from lthray.engine.differentiable import ClosedForm, loss_gradient
from lthray.engine.free import move, perturb_freely
from lthray.engine.network import cross_entropy_gradient, forward, image_gradient, one_hot, weight_gradients
from lthray.engine.objective import objective_of, targets_of_attack
from lthray.engine.randomness import random_start
from lthray.methods.networks import Layers
from lthray.methods.objectives import Outputs
from lthray.spec.trajectory import TrajectorySpec


def gradients(
    weights: Layers,
    images: Tensor,
    labels: Tensor,
    spec: TrajectorySpec,
    generators: Sequence[torch.Generator],
    draw: RandomStart = random_start,
    iteration: int | None = None,
) -> Layers:
    """Gradient of the training loss with respect to each layer's weights (S, out, in).

    The loss is that of `objective`; in `mixed` and without a train attack it is in closed form, else autograd gives its
    gradient with respect to the logits. No gradient flows through the attack.

    Args:
        weights: (S, out, in) a layer, or (out, in) of one trajectory; so are the shapes below, with S or without.
        images: (S, B, D), pixels in [0, 1].
        labels: (S, B).
        spec: The setting, shared by the stack.
        generators: One a trajectory, for the train attack's random starts.
        draw: Draws the random starts.
        iteration: The iteration of the round, where the attack warms up; by default it is as it is in the end.
    """
    natural = forward(weights, images)
    targets = one_hot(labels, natural[-1], spec.label_smoothing)
    setting = spec.train_setting if iteration is None else spec.train_setting_at(iteration)
    if not setting:
        return weight_gradients(weights, natural, cross_entropy_gradient(natural[-1], targets) / labels.shape[-1])
    away = targets_of_attack(spec, setting, natural[-1], labels)
    known = partial(loss_gradient, weights, natural)
    attacked = perturb(setting, ClosedForm(weights), images, away, generators, known, draw, spec.own.code)
    adversarial = forward(weights, attacked)
    slopes = _logit_gradients(spec, natural[-1], adversarial[-1], targets, labels)
    return weight_gradients(
        weights,
        [torch.cat(halves, dim=-2) for halves in zip(natural, adversarial, strict=True)],
        torch.cat(slopes, dim=-2),
    )


def free_gradients(
    weights: Layers, images: Tensor, labels: Tensor, spec: TrajectorySpec, perturbation: Tensor, iteration: int
) -> Layers:
    """As `gradients`, in free adversarial training: the loss is that of the perturbed images.

    Args:
        weights: See `gradients`; so are the images and labels.
        images: (S, B, D).
        labels: (S, B).
        spec: The setting.
        perturbation: (S, B, D), or with more images, of which B are used; it is moved along the same gradient.
        iteration: The iteration of the round.
    """
    perturbation = perturbation[..., : images.shape[-2], :]
    activations = forward(weights, perturb_freely(images, perturbation))
    targets = one_hot(labels, activations[-1], spec.label_smoothing)
    slope = cross_entropy_gradient(activations[-1], targets) / labels.shape[-1]
    move(perturbation, images, image_gradient(weights, activations, slope), spec, iteration)
    return weight_gradients(weights, activations, slope)


def _logit_gradients(
    spec: TrajectorySpec, natural: Tensor, adversarial: Tensor, targets: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of the training loss with respect to the natural and the adversarial logits (S, B, C)."""
    if spec.objective.name == "mixed":
        slope, adversarial_slope = (
            cross_entropy_gradient(logits, targets) / labels.shape[-1] for logits in (natural, adversarial)
        )
        w = spec.adversarial_weight
        return (1 - w) * slope, w * adversarial_slope
    with torch.enable_grad():
        logits = natural.detach().requires_grad_(), adversarial.detach().requires_grad_()
        outputs = Outputs(*logits, targets, labels, spec.adversarial_weight, spec.objective.beta)
        loss = objective_of(spec).loss(outputs)
        first, second = torch.autograd.grad(loss, logits, allow_unused=True, materialize_grads=True)
    return first, second
