"""One round's training of a stack of trajectories."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from lthray.engine import kernels
from lthray.engine.adversarial import attack_targets, perturb
from lthray.engine.data import Split
from lthray.engine.network import Weights, cross_entropy_gradient, forward, one_hot, weight_gradients
from lthray.engine.randomness import Draw, generator
from lthray.engine.sparse import ADAM_EPSILON, BETAS, SparseTraining, adam_rates, sparse_pays
from lthray.spec.trajectory import TrajectorySpec

SCORED = 512
"""Images at a time where a criterion asks for a gradient. Part of the results: random starts are drawn a chunk."""


def batches(specs: Sequence[TrajectorySpec], round_: int, device: torch.device) -> Iterator[Tensor]:
    """Indices (S, B) of the training images of each iteration of a round, without end.

    Every epoch is a new permutation; what is left of it over is dropped or is a smaller batch, as `drop_last` says.
    """
    spec = specs[0]
    generators = [generator(one.seed, Draw.BATCHES, round_) for one in specs]
    while True:
        epoch = torch.stack([torch.randperm(spec.train_size, generator=one) for one in generators]).to(device)
        for batch in range(spec.epoch_batches):
            yield epoch[:, batch * spec.batch_size : (batch + 1) * spec.batch_size]


def gradients(
    weights: Weights, images: Tensor, labels: Tensor, spec: TrajectorySpec, generators: Sequence[torch.Generator]
) -> Weights:
    """Gradient of the training loss by each layer's weights (S, out, in).

    The loss is the mean cross-entropy against smoothed labels; with a train attack it is
    (1 - w) natural + w adversarial, w being `adversarial_weight`. No gradient flows through the attack.
    """
    natural = forward(weights, images)
    targets = one_hot(labels, natural[-1], spec.label_smoothing)
    slope = cross_entropy_gradient(natural[-1], targets) / labels.shape[-1]
    if spec.train_attack == "none":
        return weight_gradients(weights, natural, slope)
    away = attack_targets(spec.attack_label, natural[-1], labels)
    adversarial = forward(weights, perturb(spec.train_attack, spec, weights, natural, away, generators))
    adversarial_slope = cross_entropy_gradient(adversarial[-1], targets) / labels.shape[-1]
    w = spec.adversarial_weight
    return weight_gradients(
        weights,
        [torch.cat(halves, dim=-2) for halves in zip(natural, adversarial, strict=True)],
        torch.cat([(1 - w) * slope, w * adversarial_slope], dim=-2),
    )


def mean_gradient(weights: Weights, data: Split, spec: TrajectorySpec, attack: str, round_: int) -> Weights:
    """Gradient of one part of the training loss, the mean over all training images, by one trajectory's weights.

    Args:
        weights: (out, in) a layer.
        data: Training images and labels.
        spec: The setting.
        attack: `none` for the natural loss, else that of the adversarial loss.
        round_: Round at whose end the weights are, for the random starts.
    """
    part = spec.model_copy(update={"train_attack": attack, "adversarial_weight": 1.0})
    generators = [generator(spec.seed, Draw.CRITERION_ATTACK, round_, device=data.images.device)]
    total = tuple(torch.zeros_like(weight) for weight in weights)
    for images, labels in zip(torch.split(data.images, SCORED), torch.split(data.labels, SCORED), strict=True):
        share = len(labels) / len(data.labels)
        for sum_, one in zip(total, gradients(weights, images, labels, part, generators), strict=True):
            sum_.add_(one, alpha=share)
    return total


class StackTraining:
    """A stack in training as one batched network: the way of a GPU."""

    def __init__(self, start: Weights, masks: Weights, specs: Sequence[TrajectorySpec]) -> None:
        self.spec = specs[0]
        self.weights = tuple(weight.clone() for weight in start)
        self.keep = [mask.to(weight.dtype) for mask, weight in zip(masks, start, strict=True)]
        self.adam = torch.optim.Adam(
            self.weights, lr=self.spec.learning_rate, betas=BETAS, eps=ADAM_EPSILON, fused=True
        )

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        found = gradients(self.weights, images, labels, self.spec, generators)
        for weight, gradient, mask in zip(self.weights, found, self.keep, strict=True):
            weight.grad = gradient.mul_(mask)
        self.adam.step()

    def current(self) -> Weights:
        """The weights as they are, (S, out, in) a layer."""
        return self.weights


class DenseTraining:
    """A stack in training, one trajectory after the other: the way of a CPU while most weights remain.

    A trajectory's step fits into the cache, and its numbers know no neighbours.
    """

    def __init__(self, start: Weights, masks: Weights, specs: Sequence[TrajectorySpec]) -> None:
        self.spec, self.steps, self.number = specs[0], 0, start[0].numpy().dtype.type
        self.weights = tuple(weight.clone() for weight in start)
        self.networks = [tuple(weight[i] for weight in self.weights) for i in range(len(specs))]
        self.keep = [[mask[i].flatten().to(start[0].dtype).numpy() for mask in masks] for i in range(len(specs))]
        self.moments = [[(np.zeros_like(one), np.zeros_like(one)) for one in network] for network in self.keep]

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        rates = adam_rates(self.spec, self.steps, self.number)
        for i, network in enumerate(self.networks):
            found = gradients(network, images[i], labels[i], self.spec, generators[i : i + 1])
            for layer, gradient, keep, moments in zip(network, found, self.keep[i], self.moments[i], strict=True):
                kernels.adam(layer.view(-1).numpy(), gradient.reshape(-1).numpy(), keep, *moments, rates)

    def current(self) -> Weights:
        """The weights as they are, (S, out, in) a layer."""
        return self.weights


@torch.no_grad()
def train(
    start: Weights,
    masks: Weights,
    specs: Sequence[TrajectorySpec],
    data: Split,
    round_: int,
    stops: Collection[int] = (),
) -> Iterator[tuple[int, Weights]]:
    """Trains a stack for one round.

    Args:
        start: Starting weights (S, out, in) a layer, pruned weights zero; not changed.
        masks: bool, of the same shapes.
        specs: The trajectories, alike in all but seed, strategy and `rewind_to`.
        data: Training images and labels.
        round_: Number of the round, for its random numbers.
        stops: Iterations to stop at beside those of the evaluations.

    Yields:
        The iteration and the weights at each of `stops` and of `spec.evaluation_iterations()`, the last one included.
        The weights are the training's own: read them before going on.
    """
    spec, device = specs[0], data.images.device
    networks: StackTraining | DenseTraining | SparseTraining
    if device.type != "cpu":
        networks = StackTraining(start, masks, specs)
    elif sparse_pays(spec, round_, training=True):
        networks = SparseTraining(start, masks, specs)
    else:
        networks = DenseTraining(start, masks, specs)
    generators = [generator(one.seed, Draw.TRAIN_ATTACK, round_, device=device) for one in specs]
    stops = {*stops, *spec.evaluation_iterations()}
    for iteration, batch in enumerate(batches(specs, round_, device)):
        if iteration in stops:
            yield iteration, networks.current()
        if iteration == spec.iterations:
            return
        images = data.images.index_select(0, batch.flatten()).view(*batch.shape, -1)
        networks.step(images, data.labels[batch], generators)
