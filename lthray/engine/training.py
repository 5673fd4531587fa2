"""One round's training of a stack of trajectories."""

import itertools
from collections.abc import Collection, Iterator, Sequence

import torch
from torch import Tensor

from lthray.engine import adam
from lthray.engine.adam import Averages
from lthray.engine.adversarial import attack_targets, perturb
from lthray.engine.data import Split
from lthray.engine.network import cross_entropy_gradient, forward, one_hot, weight_gradients
from lthray.engine.randomness import Draw, generator
from lthray.engine.sparse import SparseTraining, sparse_pays
from lthray.engine.state import TrainingState
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec

SCORED = 512
"""Images per pass of a criterion's gradient. Part of the results: random starts are drawn chunk by chunk."""


def batches(specs: Sequence[TrajectorySpec], round_: int, device: torch.device, first: int = 0) -> Iterator[Tensor]:
    """Indices (S, B) of the training images of each iteration of a round from `first` on, without end.

    Every epoch is a new permutation; its remainder is dropped or is a smaller batch, as `drop_last` says.
    """
    spec = specs[0]
    generators = [generator(spec.seed, Draw.BATCHES, round_) for spec in specs]
    epochs_done, batches_done = divmod(first, spec.epoch_batches)
    for epoch in itertools.count():
        order = torch.stack([torch.randperm(spec.train_size, generator=source) for source in generators])
        if epoch < epochs_done:  # its permutations are still drawn, to advance the generators
            continue
        order = order.to(device)
        for batch in range(batches_done if epoch == epochs_done else 0, spec.epoch_batches):
            yield order[:, batch * spec.batch_size : (batch + 1) * spec.batch_size]


def gradients(
    weights: Layers, images: Tensor, labels: Tensor, spec: TrajectorySpec, generators: Sequence[torch.Generator]
) -> Layers:
    """Gradient of the training loss with respect to each layer's weights (S, out, in).

    The loss is the mean cross-entropy against smoothed labels; with a train attack it is
    (1 - w) natural + w adversarial, w being `adversarial_weight`. No gradient flows through the attack.
    """
    natural = forward(weights, images)
    targets = one_hot(labels, natural[-1], spec.label_smoothing)
    slope = cross_entropy_gradient(natural[-1], targets) / labels.shape[-1]
    setting = spec.train_setting
    if not setting:
        return weight_gradients(weights, natural, slope)
    away = attack_targets(setting.attack_label, natural[-1], labels)
    adversarial = forward(weights, perturb(setting, weights, natural, away, generators))
    adversarial_slope = cross_entropy_gradient(adversarial[-1], targets) / labels.shape[-1]
    w = spec.adversarial_weight
    return weight_gradients(
        weights,
        [torch.cat(halves, dim=-2) for halves in zip(natural, adversarial, strict=True)],
        torch.cat([(1 - w) * slope, w * adversarial_slope], dim=-2),
    )


def mean_gradient(weights: Layers, data: Split, spec: TrajectorySpec, attack: str, round_: int) -> Layers:
    """Gradient of a part of the training loss over all training images, with respect to a trajectory's weights.

    Args:
        weights: (out, in) a layer.
        data: Training images and labels.
        spec: The setting.
        attack: `none` for the natural loss, else the attack of the adversarial loss.
        round_: Round at whose end the weights are, for the random starts.
    """
    part = spec.model_copy(update={"train_attack": attack, "adversarial_weight": 1.0})
    generators = [generator(spec.seed, Draw.CRITERION_ATTACK, round_, device=data.images.device)]
    total = tuple(torch.zeros_like(weight) for weight in weights)
    for images, labels in data.chunks(SCORED):
        share = len(labels) / len(data.labels)
        for sum_, chunk in zip(total, gradients(weights, images, labels, part, generators), strict=True):
            sum_.add_(chunk, alpha=share)
    return total


class StackTraining:
    """Trains a stack as one batched network, as suits a GPU."""

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec]) -> None:
        self.spec = specs[0]
        self.weights, self.averages = _copy(start)
        self.keep = [mask.to(weight.dtype) for mask, weight in zip(masks, self.weights, strict=True)]
        self.adam = adam.torch_adam(self.weights, self.averages, self.spec.learning_rate, start.iteration)

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        slopes = gradients(self.weights, images, labels, self.spec, generators)
        for weight, slope, mask in zip(self.weights, slopes, self.keep, strict=True):
            weight.grad = slope.mul_(mask)
        self.adam.step()

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        return self.weights, self.averages


class DenseTraining:
    """Trains a stack one trajectory after the other, as suits a CPU while most weights remain.

    A trajectory's step fits into the cache, and its results do not depend on the others of the stack.
    """

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec]) -> None:
        self.spec, self.steps, self.number = specs[0], start.iteration, start.weights[0].numpy().dtype.type
        self.weights, self.averages = _copy(start)
        keep = [mask.to(weight.dtype) for mask, weight in zip(masks, self.weights, strict=True)]
        layers = list(zip(self.weights, keep, self.averages.mean, self.averages.square, strict=True))
        self.networks = [tuple(weight[i] for weight in self.weights) for i in range(len(specs))]
        self.views = [[[tensor[i].view(-1).numpy() for tensor in layer] for layer in layers] for i in range(len(specs))]

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        rates = adam.rates(self.spec.learning_rate, self.steps, self.number)
        for i, network in enumerate(self.networks):
            slopes = gradients(network, images[i], labels[i], self.spec, generators[i : i + 1])
            for slope, (weight, keep, mean, square) in zip(slopes, self.views[i], strict=True):
                adam.update(weight, slope.reshape(-1).numpy(), keep, mean, square, rates)

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        return self.weights, self.averages


def _copy(state: TrainingState) -> tuple[Layers, Averages]:
    """The weights and averages of a state, for a training to change."""

    def clone(layers: Layers) -> Layers:
        return tuple(layer.clone() for layer in layers)

    return clone(state.weights), Averages(clone(state.averages.mean), clone(state.averages.square))


@torch.no_grad()
def train(
    start: TrainingState,
    masks: Layers,
    specs: Sequence[TrajectorySpec],
    data: Split,
    round_: int,
    stops: Collection[int] = (),
) -> Iterator[TrainingState]:
    """Trains a stack for one round, or for what is left of it.

    Args:
        start: From `begin_round` or `resume_round`; its tensors are not changed.
        masks: bool, (S, out, in) a layer.
        specs: The trajectories, alike in all but seed, strategy and `rewind_to`.
        data: Training images and labels.
        round_: Number of the round, for its random numbers.
        stops: Iterations to stop at, in addition to those of the evaluations.

    Yields:
        The state at each of `stops` and of `spec.evaluation_iterations()`, the last one included, but not the
        state that is resumed. The tensors are the training's own: read them before going on.
    """
    spec, device = specs[0], data.images.device
    way: type[StackTraining | DenseTraining | SparseTraining] = DenseTraining
    if device.type != "cpu":
        way = StackTraining
    elif sparse_pays(spec, round_, training=True):
        way = SparseTraining
    training = way(start, masks, specs)
    stops = {*stops, *spec.evaluation_iterations()} - ({start.iteration} if start.iteration else set())
    for iteration, batch in enumerate(batches(specs, round_, device, start.iteration), start.iteration):
        if iteration in stops:
            yield TrainingState(iteration, *training.current(), start.generators)
        if iteration == spec.iterations:
            return
        training.step(*data.batch(batch), start.generators)
