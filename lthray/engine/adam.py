"""Adam (Kingma and Ba 2015, algorithm 1): its numbers, its averages, and its step; AdamW and SGD in its form."""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numba.extending import overload

from lthray.engine.tiles.compiling import OPTIONS, Array, Number, compiled
from lthray.methods.networks import Layers
from lthray.spec.optimizing import OptimizerSpec

BETAS, EPSILON = (0.9, 0.999), 1e-7


@dataclass(frozen=True)
class Averages:
    """Adam's moving averages, zero where a weight is pruned; (S, out, in) a layer."""

    mean: Layers
    """Of the gradient."""
    square: Layers
    """Of its square; zeros of an optimizer that has none."""

    def of(self, i: int) -> "Averages":
        """Those of one trajectory of a stack, in the same memory."""
        return Averages(tuple(layer[i] for layer in self.mean), tuple(layer[i] for layer in self.square))


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


class Decayed(NamedTuple):
    """The numbers of a step with weight decay: those of `Rates`, and two of the decay's own."""

    step: Number
    root: Number
    epsilon: Number
    old_mean: Number
    new_mean: Number
    old_square: Number
    new_square: Number
    decay: Number
    """This, times the weight, is added to the gradient (adam, sgd)."""
    shrink: Number
    """The weight is multiplied by this: 1 - learning rate times decay (adamw; Loshchilov and Hutter 2019)."""


Numbers: TypeAlias = Rates | Decayed


def rates(optimizer: OptimizerSpec, learning_rate: float, step: int, number: type[Number]) -> Numbers:
    """The numbers of step `step`, which counts from 1, in the precision `number`.

    SGD is the same step with other numbers: `mean` is torch's momentum buffer, and nothing is divided by.
    """
    if optimizer.name == "sgd":
        numbers = Rates(*map(number, (learning_rate, 0, 1, optimizer.momentum, 1, 0, 0)))
    else:
        numbers = Rates(
            step=number(learning_rate / (1 - BETAS[0] ** step)),
            root=number(1 / (1 - BETAS[1] ** step) ** 0.5),
            epsilon=number(EPSILON),
            old_mean=number(BETAS[0]),
            new_mean=number(1 - BETAS[0]),
            old_square=number(BETAS[1]),
            new_square=number(1 - BETAS[1]),
        )
    decay = optimizer.weight_decay
    if not decay:
        return numbers
    coupled = optimizer.name != "adamw"
    return Decayed(*numbers, number(decay if coupled else 0), number(1 if coupled else 1 - learning_rate * decay))


def _pull(rates: Numbers, slope: Number, weight: Number) -> Number:
    """The gradient of a weight with its decay."""
    return slope


def _shrink(rates: Numbers, weight: Number) -> Number:
    """A weight before the step."""
    return weight


# numba compiles a step with decay and a step without as two functions; it compares the names of the arguments.
@overload(_pull, jit_options=OPTIONS)
def _pull_of(rates, slope, weight):  # type: ignore[no-untyped-def]
    if rates.instance_class is Decayed:
        return lambda rates, slope, weight: slope + rates.decay * weight
    return lambda rates, slope, weight: slope


@overload(_shrink, jit_options=OPTIONS)
def _shrink_of(rates, weight):  # type: ignore[no-untyped-def]
    if rates.instance_class is Decayed:
        return lambda rates, weight: weight * rates.shrink
    return lambda rates, weight: weight


@compiled
def update(weights: Array, gradient: Array, keep: Array, mean: Array, square: Array, rates: Numbers) -> None:
    """One step in a single pass; weights (n,) whose `keep` is 0 stay as they are, and so do their averages."""
    for k in range(len(weights)):
        slope = _pull(rates, gradient[k] * keep[k], weights[k])
        mean[k] = rates.old_mean * mean[k] + rates.new_mean * slope
        square[k] = rates.old_square * square[k] + rates.new_square * slope * slope
        step = rates.step * mean[k] / (np.sqrt(square[k]) * rates.root + rates.epsilon)
        weights[k] = _shrink(rates, weights[k]) - step
