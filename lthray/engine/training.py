"""One round's training of a stack of trajectories."""

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache, partial

import torch
from torch import Tensor

from lthray.engine import adam, captured, optimizers
from lthray.engine.adam import Averages
from lthray.engine.augment import crop_flip
from lthray.engine.captured import CapturedTraining
from lthray.engine.data import Split
from lthray.engine.loss import free_gradients, gradients
from lthray.engine.module import ModuleNetwork
from lthray.engine.module_training import ModuleTraining, module_gradients
from lthray.engine.randomness import Draw, generator, seed_of
from lthray.engine.schedules import learning_rates, rate_at
from lthray.engine.stack import StackTraining
from lthray.engine.state import TrainingState
from lthray.engine.tiled import TiledTraining, sparse_pays
from lthray.methods.networks import Layers
from lthray.spec.training_fields import ObjectiveSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.ways import why_not_kernels

SCORED = 512
"""Images per pass of a criterion's gradient. Part of the results: random starts are drawn chunk by chunk."""


def batches(specs: Sequence[TrajectorySpec], round_: int, device: torch.device, first: int = 0) -> Iterator[Tensor]:
    """Indices (S, B) of the training images of each iteration of a round from `first` on, without end.

    Every epoch is a new permutation; its remainder is dropped or is a smaller batch, as `drop_last` says. Free
    adversarial training has each batch several times in a row.
    """
    spec = specs[0]
    first, replayed = divmod(first, spec.replays)
    generators = [generator(spec.seed, Draw.BATCHES, round_) for spec in specs]
    epochs_done, batches_done = divmod(first, spec.epoch_batches)
    for epoch in itertools.count():
        order = torch.stack([torch.randperm(spec.train_size, generator=source) for source in generators])
        if epoch < epochs_done:  # its permutations are still drawn, to advance the generators
            continue
        order = order.to(device)
        for batch in range(batches_done if epoch == epochs_done else 0, spec.epoch_batches):
            indices = order[:, batch * spec.batch_size : (batch + 1) * spec.batch_size]
            yield from itertools.repeat(indices, spec.replays - replayed)
            replayed = 0


def mean_gradient(weights: Layers, data: Split, spec: TrajectorySpec, attack: str, round_: int) -> Layers:
    """Gradient of the natural or the adversarial training loss, the mean over all training images.

    Args:
        weights: (out, in) a layer, with respect to which the gradient is; of a module, in eval mode, all its tensors.
        data: Training images and labels.
        spec: The setting.
        attack: `none` for the natural loss, else the attack of the adversarial loss.
        round_: Number of the round that ended with these weights, for the random starts.
    """
    plain = {"train_attack": attack, "adversarial_weight": 1.0, "objective": ObjectiveSpec()}
    part = spec.model_copy(update=plain)
    generators = [generator(spec.seed, Draw.CRITERION_ATTACK, round_, device=data.images.device)]
    total = tuple(torch.zeros_like(weights[place]) for place in range(len(spec.layer_sizes)))
    compute = module_gradients(ModuleNetwork(spec, weights)) if spec.is_module else partial(gradients, weights)
    for images, labels in data.chunks(SCORED):
        share = len(labels) / len(data.labels)
        for sum_, chunk in zip(total, compute(images, labels, part, generators), strict=False):
            sum_.add_(chunk, alpha=share)
    return total


def learn(weights: Layers, data: Split, spec: TrajectorySpec, round_: int) -> Callable[[Layers, int], Layers]:
    """Makes the function `Trained.batch_gradient` of a criterion that learns.

    A module is in train mode, and its running statistics follow the batches, on a copy. The train attack is as it is at
    the end of a round; with `free`, it takes the place of the perturbations that are carried on.

    Args:
        weights: All tensors of the network at the end of the round.
        data: Training images and labels.
        spec: The setting; the loss is that of round 0, as for early stopping.
        round_: Round whose batches are used.
    """
    device = data.images.device

    @cache
    def build() -> ModuleNetwork:
        return ModuleNetwork(spec, tuple(tensor.clone() for tensor in weights))

    def compute(layers: Layers, iteration: int) -> Layers:
        batch = next(batches([spec], round_, device, iteration))
        (images,), (labels,) = _load(data, batch, [spec], round_, iteration)
        generators = [generator(spec.seed, Draw.LEARNED_ATTACK, round_, iteration, device=device)]
        if not spec.is_module:
            return gradients(layers, images, labels, spec, generators)
        network = build()
        for parameter, layer in zip(network.parameters, layers, strict=False):
            parameter.data.copy_(layer)
        torch.manual_seed(seed_of(spec.seed, Draw.MODULE, round_, iteration))
        network.module.train()
        return module_gradients(network)(images, labels, spec, generators)[: len(layers)]

    return compute


def _load(
    data: Split, batch: Tensor, specs: Sequence[TrajectorySpec], round_: int, iteration: int
) -> tuple[Tensor, Tensor]:
    """The images (S, B, D) and labels (S, B) of a batch's indices, changed as `augment` says."""
    images, labels = data.batch(batch)
    if specs[0].augment == "crop-flip":
        # A batch that is trained on several times in a row is augmented once.
        draws = [generator(each.seed, Draw.AUGMENT, round_, iteration // each.replays) for each in specs]
        images = crop_flip(images, specs[0].data.shape, draws)
    return images, labels


class DenseTraining:
    """Trains a stack by torch's products, one trajectory after the other, where a CPU's kernels can't.

    A trajectory's step fits into the cache, and its results do not depend on the others of the stack.
    """

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec]) -> None:
        self.spec, self.steps, self.number = specs[0], start.iteration, start.weights[0].numpy().dtype.type
        self.weights, self.averages = start.copy_tensors()
        self.perturbations = start.perturbations
        self.learning_rates = learning_rates(self.spec)
        self.keep = [mask.to(weight.dtype) for mask, weight in zip(masks, self.weights, strict=True)]
        layers = list(zip(self.weights, self.keep, self.averages.mean, self.averages.square, strict=True))
        members = range(len(specs))
        self.networks = [tuple(weight[i] for weight in self.weights) for i in members]
        self.views = [[[tensor[i].view(-1).numpy() for tensor in layer] for layer in layers] for i in members]
        # Nesterov momentum alone is torch's own: `adam.rates` has no numbers for it.
        self.optimizers = [
            optimizers.make(self.spec, self.networks[i], self.averages.of(i), self.steps)
            for i in members
            if self.spec.optimizer.nesterov
        ]

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        rate = rate_at(self.learning_rates, self.steps - 1)
        rates = adam.rates(self.spec.optimizer, rate, self.steps, self.number)
        for i, network in enumerate(self.networks):
            slopes = self._slopes(i, network, images[i], labels[i], generators[i : i + 1])
            if self.spec.optimizer.clip_norm:
                masked = [slope.mul_(keep[i])[None] for slope, keep in zip(slopes, self.keep, strict=True)]
                optimizers.clip(masked, self.spec.optimizer.clip_norm)
            if self.optimizers:
                optimizers.update(self.optimizers[i], slopes, [keep[i] for keep in self.keep], rate)
                continue
            for slope, (weight, keep, mean, square) in zip(slopes, self.views[i], strict=True):
                adam.update(weight, slope.reshape(-1).numpy(), keep, mean, square, rates)

    def _slopes(
        self, i: int, network: Layers, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]
    ) -> Layers:
        """The gradient of one trajectory's loss."""
        iteration = self.steps - 1
        if self.perturbations is None:
            return gradients(network, images, labels, self.spec, generators, iteration=iteration)
        return free_gradients(network, images, labels, self.spec, self.perturbations[i], iteration)

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and averages, (S, out, in) a layer."""
        return self.weights, self.averages


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
        start: From `begin_round` or `resume_round`; its weights and averages are not changed.
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
    training: StackTraining | CapturedTraining | DenseTraining | TiledTraining | ModuleTraining
    if spec.is_module:
        training = ModuleTraining(start, masks, specs, round_)
    elif captured.is_wanted(device) and captured.can_capture(spec):
        training = CapturedTraining(start, masks, specs)
    elif device.type != "cpu":
        training = StackTraining(start, masks, specs)
    elif not why_not_kernels(spec, training=True):
        training = TiledTraining(start, masks, specs, sparse=sparse_pays(spec, round_, [spec.train_attack]))
    else:
        training = DenseTraining(start, masks, specs)
    stops = {*stops, *spec.evaluation_iterations()} - ({start.iteration} if start.iteration else set())
    for iteration, batch in enumerate(batches(specs, round_, device, start.iteration), start.iteration):
        if iteration in stops:
            yield TrainingState(iteration, *training.current(), start.generators, start.perturbations)
        if iteration == spec.iterations:
            return
        images, labels = _load(data, batch, specs, round_, iteration)
        training.step(images, labels, start.generators)
