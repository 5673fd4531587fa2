"""Loss and accuracy of a stack on whole splits, natural and attacked, and an audit of the attacks themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lthray.attacks import attack_targets, loss_gradient, perturb
from lthray.data import Split
from lthray.network import Weights, cross_entropy, forward, one_hot
from lthray.randomness import Draw, generator
from lthray.spec import TrajectorySpec

CHUNK = {"cpu": 500, "cuda": 5_000}
"""Images at a time: what a cache, or a GPU, takes well. Part of the results: random starts are drawn a chunk."""


@dataclass(frozen=True)
class Measurement:
    """One split under one attack."""

    split: str
    """`validation` or `test`."""
    attack: str
    """`none`, `fgsm` or `pgd`."""
    loss: list[float]
    """Mean cross-entropy of each trajectory; smoothed labels on validation, hard ones on test."""
    accuracy: list[float]
    """Share of images whose true label has the largest logit, of each trajectory, in [0, 1]."""
    zero_gradient_share: list[float] | None
    """Share of images where the gradient that attacks follow is zero in every pixel of the natural image; None for
    `none`. Attacks can't move such an image, so its robustness means nothing (Athalye et al. 2018, section 3.1)."""


@torch.no_grad()
def evaluate(
    weights: Weights, specs: Sequence[TrajectorySpec], splits: Mapping[str, Split], round_: int, iteration: int
) -> list[Measurement]:
    """Measures every split naturally and under each of the eval attacks; changes nothing.

    The attacks' random starts are drawn from (seed, round, iteration, split) alone.
    """
    return [
        measurement
        for place, (name, split) in enumerate(splits.items())
        for measurement in _measure(weights, specs, split, name, (round_, iteration, place))
    ]


def _measure(
    weights: Weights, specs: Sequence[TrajectorySpec], split: Split, name: str, place: tuple[int, int, int]
) -> list[Measurement]:
    spec, device = specs[0], split.images.device
    smoothing = spec.label_smoothing if name == "validation" else 0.0
    attacks: tuple[str, ...] = ("none", *spec.eval_attacks)
    generators = {
        attack: [generator(one.seed, Draw.EVAL_ATTACK, *place, device=device) for one in specs] for attack in attacks
    }
    losses = torch.zeros(len(attacks), len(specs), dtype=torch.float64, device=device)
    correct, without = torch.zeros_like(losses), torch.zeros_like(losses[0])
    size = CHUNK[device.type]
    for images, labels in zip(torch.split(split.images, size), torch.split(split.labels, size), strict=True):
        natural = forward(weights, images)
        targets = one_hot(labels, natural[-1], smoothing)
        away = attack_targets(spec, natural[-1], labels)
        gradient = loss_gradient(weights, natural, away)
        without += _images_without(gradient)
        for i, attack in enumerate(attacks):
            logits = natural[-1]
            if attack != "none":
                attacked = perturb(attack, spec, weights, natural, away, generators[attack], gradient)
                logits = forward(weights, attacked)[-1]
            losses[i] += cross_entropy(logits, targets).sum(-1)
            correct[i] += (logits.argmax(-1) == labels).sum(-1)
    n = len(split.labels)
    share = (without / n).tolist()
    return [
        Measurement(name, attack, loss, accuracy, None if attack == "none" else share)
        for attack, loss, accuracy in zip(attacks, (losses / n).tolist(), (correct / n).tolist(), strict=True)
    ]


def _images_without(gradient: Tensor) -> Tensor:
    """How many images of each trajectory have a gradient (S, B, D) of zeros."""
    return (gradient == 0).all(-1).sum(-1)
