"""One round's training of a stack of trajectories."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lthray.attacks import attack_targets, perturb
from lthray.data import Split
from lthray.network import Weights, cross_entropy_gradient, forward, one_hot, weight_gradients
from lthray.randomness import Draw, generator
from lthray.spec import TrajectorySpec


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
    away = attack_targets(spec, natural[-1], labels)
    adversarial = forward(weights, perturb(spec.train_attack, spec, weights, natural, away, generators))
    adversarial_slope = cross_entropy_gradient(adversarial[-1], targets) / labels.shape[-1]
    w = spec.adversarial_weight
    return weight_gradients(
        weights,
        [torch.cat(halves, dim=1) for halves in zip(natural, adversarial, strict=True)],
        torch.cat([(1 - w) * slope, w * adversarial_slope], dim=1),
    )


@torch.no_grad()
def train(
    start: Weights, masks: Weights, specs: Sequence[TrajectorySpec], data: Split, round_: int
) -> Iterator[tuple[int, Weights]]:
    """Trains a stack for one round.

    Args:
        start: Starting weights (S, out, in) a layer, pruned weights zero; not changed.
        masks: bool, of the same shapes.
        specs: The trajectories, alike in all but seed, strategy and `rewind_to`.
        data: Training images and labels.
        round_: Number of the round, for its random numbers.

    Yields:
        The iteration and the weights at each iteration of `spec.evaluation_iterations()`, the last one included.
        The weights are the training's own: read them before going on.
    """
    spec, device = specs[0], data.images.device
    weights = tuple(weight.clone() for weight in start)
    keep = [mask.to(weight.dtype) for mask, weight in zip(masks, weights, strict=True)]
    adam = torch.optim.Adam(weights, lr=spec.learning_rate, betas=(0.9, 0.999), eps=1e-7, fused=True)
    generators = [generator(one.seed, Draw.TRAIN_ATTACK, round_, device=device) for one in specs]
    stops = spec.evaluation_iterations()
    for iteration, batch in enumerate(batches(specs, round_, device)):
        if iteration in stops:
            yield iteration, weights
        if iteration == spec.iterations:
            return
        found = gradients(weights, data.images[batch], data.labels[batch], spec, generators)
        for weight, gradient, mask in zip(weights, found, keep, strict=True):
            weight.grad = gradient.mul_(mask)
        adam.step()
