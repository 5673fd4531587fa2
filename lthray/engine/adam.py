"""Adam (Kingma and Ba 2015, algorithm 1): its numbers, its averages, and its step."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from lthray.engine.tiles.compiling import Array, Number, compiled
from lthray.methods.networks import Layers

BETAS, EPSILON = (0.9, 0.999), 1e-7


@dataclass(frozen=True)
class Averages:
    """Adam's moving averages, zero where a weight is pruned; (S, out, in) a layer."""

    mean: Layers
    """Of the gradient."""
    square: Layers
    """Of its square."""


def zeros(weights: Layers) -> Averages:
    """The averages before the first step."""
    return Averages(*(tuple(torch.zeros_like(weight) for weight in weights) for _ in range(2)))


class Rates(NamedTuple):
    """Adam's numbers in one step, with its bias corrections; in the precision of the weights, see `Number`."""

    step: Number
    """Learning rate over 1 - beta_1^t."""
    root: Number
    """1 over the square root of 1 - beta_2^t."""
    epsilon: Number
    old_mean: Number
    new_mean: Number
    old_square: Number
    new_square: Number


def rates(learning_rate: float, step: int, number: type[Number]) -> Rates:
    """The numbers of step `step`, which counts from 1, in the precision `number`."""
    return Rates(
        step=number(learning_rate / (1 - BETAS[0] ** step)),
        root=number(1 / (1 - BETAS[1] ** step) ** 0.5),
        epsilon=number(EPSILON),
        old_mean=number(BETAS[0]),
        new_mean=number(1 - BETAS[0]),
        old_square=number(BETAS[1]),
        new_square=number(1 - BETAS[1]),
    )


@compiled
def update(weights: Array, gradient: Array, keep: Array, mean: Array, square: Array, rates: Rates) -> None:
    """One step in a single pass; weights (n,) whose `keep` is 0 stay as they are, and so do their averages."""
    for k in range(len(weights)):
        slope = gradient[k] * keep[k]
        mean[k] = rates.old_mean * mean[k] + rates.new_mean * slope
        square[k] = rates.old_square * square[k] + rates.new_square * slope * slope
        weights[k] -= rates.step * mean[k] / (np.sqrt(square[k]) * rates.root + rates.epsilon)


def torch_adam(weights: Layers, averages: Averages, learning_rate: float, steps: int) -> torch.optim.Adam:
    """Makes torch's fused Adam in its state after `steps` steps; it updates these weights and averages in place.

    Its step is counted on the device that trains, so that a CUDA graph can hold it ("capturable").
    """
    optimizer = torch.optim.Adam(weights, lr=learning_rate, betas=BETAS, eps=EPSILON, fused=True, capturable=True)
    for weight, mean, square in zip(weights, averages.mean, averages.square, strict=True):
        count = torch.tensor(float(steps), dtype=torch.float32, device=weight.device)
        optimizer.state[weight] = {"step": count, "exp_avg": mean, "exp_avg_sq": square}
    return optimizer
