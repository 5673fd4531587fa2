"""A trajectory's pruning: its criterion scores the weights of a round, and its structure makes masks of the scores."""

from collections.abc import Callable

import torch

from lthray import references
from lthray.engine.data import Split
from lthray.engine.randomness import Draw, generator
from lthray.engine.training import learn, mean_gradient
from lthray.errors import InputError
from lthray.methods.criteria import CRITERIA, Trained, prune_together
from lthray.methods.networks import Layers
from lthray.methods.structures import STRUCTURES, Kept
from lthray.spec.pruning import WHOLE
from lthray.spec.trajectory import TrajectorySpec

PruneLayers = Callable[[Layers, Layers], Layers]
"""Gives the new masks of all layers, from their scores and their masks."""


@torch.no_grad()
def prune_network(
    spec: TrajectorySpec, weights: Layers, masks: Layers, number: int, pruned: int, images: Split
) -> Layers:
    """The masks of a round.

    Args:
        spec: The setting.
        weights: All tensors of the network that is pruned.
        masks: The masks that it was trained under, bool.
        number: The round whose masks are made, from 1.
        pruned: The round that trained the network.
        images: Training images and labels.

    Raises:
        InputError: the criterion gave scores of other shapes than the layers'.
    """
    attack = "pgd" if spec.train_attack == "none" else spec.train_attack
    prune_layers = make_pruning(spec, number)
    trained = Trained(
        weights=weights[: len(masks)],
        gradient=lambda: mean_gradient(weights, images, spec, "none", pruned),
        adversarial_gradient=lambda: mean_gradient(weights, images, spec, attack, pruned),
        noise=lambda: _draw_noise(spec, pruned, weights[0].device),
        batch_gradient=learn(weights, images, spec, pruned),
        masks_from=lambda scores: prune_layers(scores, masks),
        iterations=spec.prune.learned.iterations,
        learning_rate=spec.prune.learned.learning_rate,
    )
    scores = references.find(CRITERIA, "criteria", spec.prune.criterion, spec.own.code)(trained)
    if [score.shape for score in scores] != [mask.shape for mask in masks]:
        raise InputError(f"prune.criterion {spec.prune.criterion}: scores need the shapes of the {len(masks)} layers")
    return prune_layers(scores, masks)


def make_pruning(spec: TrajectorySpec, number: int) -> PruneLayers:
    """Makes the pruning that leaves as many weights as round `number` has."""
    left, whole, settings = spec.weights_left(number)[number], spec.kept_whole, spec.prune.structure
    names = {place: name for place, name in enumerate(spec.layer_sizes) if name not in whole}

    def prune_layers(scores: Layers, masks: Layers) -> Layers:
        some_scores, some_masks = ([layers[place] for place in names] for layers in (scores, masks))
        if spec.prune.scope == "global":
            always = sum(mask.numel() for mask in masks) - sum(mask.numel() for mask in some_masks)
            pruned = prune_together(some_scores, some_masks, left[WHOLE] - always)
        else:
            kept = [Kept(left[name], settings.kept(number), settings.m) for name in names.values()]
            pruned = tuple(map(STRUCTURES[settings.kind], some_scores, some_masks, kept))
        new = dict(zip(names, pruned, strict=True))
        return tuple(new.get(place, mask) for place, mask in enumerate(masks))

    return prune_layers


def _draw_noise(spec: TrajectorySpec, round_: int, device: torch.device) -> Layers:
    draws = generator(spec.seed, Draw.CRITERION, round_)
    return tuple(torch.rand(size, generator=draws).to(device) for size in spec.layer_sizes.values())
