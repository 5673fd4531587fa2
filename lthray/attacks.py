"""FGSM and PGD in the maximum norm, as pure functions of images and their gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lthray.network import Weights, cross_entropy_gradient, forward, image_gradient, one_hot
from lthray.spec import TrajectorySpec


def fgsm(images: Tensor, gradient: Tensor, epsilon: float) -> Tensor:
    """One step of ε along the sign of the gradient (Goodfellow et al. 2015, section 4), clipped to [0, 1].

    Where the gradient is zero, the pixel stays as it is: sign(0) = 0.
    """
    return (images + epsilon * gradient.sign()).clamp_(0, 1)


def pgd(
    images: Tensor,
    gradient_at: Callable[[Tensor], Tensor],
    epsilon: float,
    steps: int,
    step_size: float,
    noise: Tensor | None,
) -> Tensor:
    """Signed gradient steps, each projected to the ε-ball around the images and to [0, 1] (Madry et al. 2018, 2.1).

    Args:
        images: Pixels in [0, 1].
        gradient_at: Gradient of the loss at given images, of their shape.
        epsilon: Radius of the ball in the maximum norm.
        steps: Number of steps.
        step_size: Length of a step in every pixel.
        noise: Uniform in [-ε, ε], of the images' shape: the start is images + noise; None starts at the images.
    """
    low, high = (images - epsilon).clamp_(min=0), (images + epsilon).clamp_(max=1)
    adversarial = images if noise is None else torch.clamp(images + noise, 0, 1)
    for _ in range(steps):
        adversarial = torch.clamp(adversarial + step_size * gradient_at(adversarial).sign(), low, high)
    return adversarial


def attack_targets(spec: TrajectorySpec, logits: Tensor, labels: Tensor) -> Tensor:
    """What attacks move away from, one-hot (S, B, C): the model's own prediction on the natural image, or the label."""
    return one_hot(logits.argmax(-1) if spec.attack_label == "predicted" else labels, logits)


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
    """Adversarial images (S, B, D) of one attack on a stack of networks.

    Args:
        attack: `fgsm` or `pgd`.
        spec: Setting of the attack, shared by the stack.
        weights: The networks.
        natural: What `forward` gave for the natural images, (S, B, D) or (B, D).
        targets: What `attack_targets` gave.
        generators: One a trajectory, for the random starts.
        gradient: What `loss_gradient` gave for the natural images, where it is known already.
    """
    images, logits = natural[0], natural[-1]
    if attack == "fgsm":
        known = loss_gradient(weights, natural, targets) if gradient is None else gradient
        return fgsm(images, known, spec.epsilon)
    noise = None
    if spec.pgd.random_start:
        noise = torch.empty(*logits.shape[:-1], images.shape[-1], device=images.device, dtype=images.dtype)
        for one, generator in zip(noise, generators, strict=True):
            one.uniform_(-spec.epsilon, spec.epsilon, generator=generator)
    return pgd(
        images,
        lambda x: loss_gradient(weights, forward(weights, x), targets),
        spec.epsilon,
        spec.pgd.steps,
        spec.pgd.step_size,
        noise,
    )
