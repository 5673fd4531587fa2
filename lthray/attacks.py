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
    adversarial = images.clone() if noise is None else (images + noise).clamp_(0, 1)
    for _ in range(steps):
        adversarial.add_(gradient_at(adversarial).sign(), alpha=step_size)
        torch.clamp(adversarial, low, high, out=adversarial)
    return adversarial


def attack_targets(spec: TrajectorySpec, logits: Tensor, labels: Tensor) -> Tensor:
    """What attacks move away from, one-hot (S, B, C): the model's own prediction on the natural image, or the label."""
    return one_hot(logits.argmax(-1) if spec.attack_label == "predicted" else labels, logits)


def loss_gradient(weights: Weights, activations: Sequence[Tensor], targets: Tensor) -> Tensor:
    """Gradient (S, B, D) of each image's cross-entropy against `targets`, by its pixels."""
    return image_gradient(weights, activations, cross_entropy_gradient(activations[-1], targets))


def random_start(spec: TrajectorySpec, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor | None:
    """What PGD adds to images (S, B, D), or (B, D) of one trajectory, before its first step; a generator each."""
    if not spec.pgd.random_start:
        return None
    noise = torch.empty(images.shape, device=images.device, dtype=images.dtype)
    for one, generator in zip(noise.view(-1, *images.shape[-2:]), generators, strict=True):
        one.uniform_(-spec.epsilon, spec.epsilon, generator=generator)
    return noise


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
        natural: What `forward` gave for the natural images, (S, B, D) or (B, D) for the same in every trajectory.
        targets: What `attack_targets` gave.
        generators: One a trajectory, for the random starts.
        gradient: What `loss_gradient` gave for the natural images, where it is known already.
    """
    images = natural[0]
    if attack == "fgsm":
        known = loss_gradient(weights, natural, targets) if gradient is None else gradient
        return fgsm(images, known, spec.epsilon)
    images = images.expand(*natural[-1].shape[:-1], images.shape[-1])
    noise = random_start(spec, images, generators)
    return pgd(
        images,
        lambda x: loss_gradient(weights, forward(weights, x), targets),
        spec.epsilon,
        spec.pgd.steps,
        spec.pgd.step_size,
        noise,
    )
