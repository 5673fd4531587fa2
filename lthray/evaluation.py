"""Loss and accuracy of a stack on whole splits, natural and attacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lthray.attacks import perturb
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


@torch.no_grad()
def evaluate(
    weights: Weights, specs: Sequence[TrajectorySpec], splits: Mapping[str, Split], round_: int, iteration: int
) -> list[Measurement]:
    """Measures every split naturally and under each of the eval attacks; changes nothing.

    The attacks' random starts are drawn from (seed, round, iteration, split) alone.
    """
    found = []
    for place, (name, split) in enumerate(splits.items()):
        totals = _totals(weights, specs, split, name, (round_, iteration, place))
        for attack, (loss, correct) in totals.items():
            n = len(split.labels)
            found.append(Measurement(name, attack, (loss / n).tolist(), (correct.double() / n).tolist()))
    return found


def _totals(
    weights: Weights, specs: Sequence[TrajectorySpec], split: Split, name: str, place: tuple[int, int, int]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Summed loss (float64) and number of correct images of each trajectory, under `none` and each eval attack."""
    spec, device = specs[0], split.images.device
    smoothing = spec.label_smoothing if name == "validation" else 0.0
    attacks: tuple[str, ...] = ("none", *spec.eval_attacks)
    generators = {
        attack: [generator(one.seed, Draw.EVAL_ATTACK, *place, device=device) for one in specs] for attack in attacks
    }
    losses = {attack: torch.zeros(len(specs), dtype=torch.float64, device=device) for attack in attacks}
    correct = {attack: torch.zeros(len(specs), dtype=torch.int64, device=device) for attack in attacks}
    size = CHUNK[device.type]
    for images, labels in zip(torch.split(split.images, size), torch.split(split.labels, size), strict=True):
        natural = forward(weights, images)
        targets = one_hot(labels, natural[-1], smoothing)
        for attack in attacks:
            logits = natural[-1]
            if attack != "none":
                logits = forward(weights, perturb(attack, spec, weights, natural, labels, generators[attack]))[-1]
            losses[attack] += cross_entropy(logits, targets).sum(-1)
            correct[attack] += (logits.argmax(-1) == labels).sum(-1)
    return {attack: (losses[attack], correct[attack]) for attack in attacks}
