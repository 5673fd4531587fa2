"""Training of a stack as one batched network."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lthray.engine import optimizers
from lthray.engine.adam import Averages
from lthray.engine.adversarial import RandomStart
from lthray.engine.loss import free_gradients, gradients
from lthray.engine.randomness import random_start
from lthray.engine.schedules import learning_rates, rate_at
from lthray.engine.state import TrainingState
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec


class StackTraining:
    """Trains a stack as one batched network, as suits a GPU."""

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec]) -> None:
        self.spec = specs[0]
        self.weights, self.averages = start.copy_tensors()
        self.perturbations = start.perturbations
        self.keep = [mask.to(weight.dtype) for mask, weight in zip(masks, self.weights, strict=True)]
        self.steps, self.learning_rates = start.iteration, learning_rates(self.spec)
        self.optimizer = optimizers.make(self.spec, self.weights, self.averages, start.iteration)

    def step(
        self,
        images: Tensor,
        labels: Tensor,
        generators: Sequence[torch.Generator],
        draw: RandomStart = random_start,
    ) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B); `draw` draws the attack's random starts."""
        if self.perturbations is None:
            self.update(gradients(self.weights, images, labels, self.spec, generators, draw, self.steps))
        else:
            self.update(free_gradients(self.weights, images, labels, self.spec, self.perturbations, self.steps))

    def update(self, slopes: Layers) -> None:
        """The optimizer's step along the gradients of the loss, which it changes; pruned weights stay zero."""
        if self.spec.optimizer.clip_norm:
            masked = [slope.mul_(mask) for slope, mask in zip(slopes, self.keep, strict=True)]
            optimizers.clip(masked, self.spec.optimizer.clip_norm)
        optimizers.update(self.optimizer, slopes, self.keep, rate_at(self.learning_rates, self.steps))
        self.steps += 1

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        return self.weights, self.averages
