"""Free adversarial training: one gradient moves the weights and the perturbation of the images (Shafahi et al. 2019).

The perturbation is carried on from batch to batch, and each batch is trained on several times.
"""

from torch import Tensor

from lthray.spec.trajectory import TrajectorySpec


def perturb_freely(images: Tensor, perturbation: Tensor) -> Tensor:
    """Images (..., B, D) plus a perturbation of their shape, clipped to [0, 1]."""
    return (images + perturbation).clamp(0, 1)


def move(perturbation: Tensor, images: Tensor, gradient: Tensor, spec: TrajectorySpec, iteration: int) -> None:
    """Moves a perturbation by ε along the sign of a gradient, and back into the ball of radius ε (algorithm 1, line 9).

    Where clipping changed a pixel, its gradient is taken as zero, as in the authors' code. A pixel at exactly 0 or 1
    was not clipped: versions of torch differ in the gradient of `clamp` there, so it is not taken from torch.

    Args:
        perturbation: (..., B, D); it is changed.
        images: The natural images.
        gradient: Gradient of the training loss with respect to the perturbed images.
        spec: The setting, with a train attack; its radius may still grow.
        iteration: The iteration of the round.
    """
    setting = spec.train_setting_at(iteration)
    assert setting is not None
    total = images + perturbation
    climb = gradient.sign() * ((total >= 0) & (total <= 1))
    perturbation.add_(climb, alpha=setting.epsilon).clamp_(-setting.epsilon, setting.epsilon)
