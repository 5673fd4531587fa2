"""torch's optimizers as a trajectory's fields say them, with a state that checkpoints hold."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lthray.engine import adam
from lthray.engine.adam import Averages
from lthray.spec.trajectory import TrajectorySpec


def make(spec: TrajectorySpec, parameters: Sequence[Tensor], averages: Averages, steps: int) -> torch.optim.Optimizer:
    """Makes an optimizer in its state after `steps` steps; it updates the parameters and averages in place.

    Args:
        spec: The setting.
        parameters: The tensors to update.
        averages: A tensor for each parameter: Adam's averages; of sgd, `mean` is torch's momentum buffer.
        steps: Optimizer steps done in the round.
    """
    fields, decay = spec.optimizer, spec.optimizer.weight_decay
    if fields.name == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(
            parameters,
            lr=spec.learning_rate,
            momentum=fields.momentum,
            weight_decay=decay,
            nesterov=fields.nesterov,
            fused=True,
        )
    else:
        kind = torch.optim.AdamW if fields.name == "adamw" else torch.optim.Adam
        # Its step is counted on the device that trains, so that a CUDA graph can hold it ("capturable").
        optimizer = kind(
            parameters,
            lr=spec.learning_rate,
            betas=adam.BETAS,
            eps=adam.EPSILON,
            weight_decay=decay,
            fused=True,
            capturable=True,
        )
    for parameter, mean, square in zip(parameters, averages.mean, averages.square, strict=True):
        # torch's first step with momentum copies the gradient into a new buffer, which is what zeros lead to as well.
        state: dict[str, Any] = {"momentum_buffer": mean if fields.momentum else None}
        if fields.name != "sgd":
            count = torch.tensor(float(steps), dtype=torch.float32, device=parameter.device)
            state = {"step": count, "exp_avg": mean, "exp_avg_sq": square}
        optimizer.state[parameter] = state
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def update(optimizer: torch.optim.Optimizer, slopes: Sequence[Tensor], keep: Sequence[Tensor], rate: float) -> None:
    """A step along gradients, which it changes; weights whose `keep` is 0 stay as they are."""
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    for parameter, slope, mask in zip(parameters, slopes, keep, strict=True):
        parameter.grad = slope.mul_(mask)
    set_rate(optimizer, rate)
    optimizer.step()


def clip(slopes: Sequence[Tensor], most: float) -> None:
    """Scales each trajectory's gradients (S, ...) down to the norm `most`, in place, as torch's `clip_grad_norm_`."""
    squares = [slope.flatten(1).square().sum(1) for slope in slopes]
    norm = torch.stack(squares).sum(0).sqrt()
    scale = (most / (norm + 1e-6)).clamp(max=1)
    for slope in slopes:
        slope.mul_(scale.view(-1, *[1] * (slope.dim() - 1)))
