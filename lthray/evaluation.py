"""Loss and accuracy of a stack on whole splits, natural and attacked, and an audit of the attacks themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lthray.attacks import attack_targets, loss_gradient, perturb
from lthray.data import Split
from lthray.network import Weights, cross_entropy, forward, one_hot
from lthray.randomness import Draw, generator
from lthray.sparse import SparseEvaluation, sparse_pays
from lthray.spec import TrajectorySpec

CHUNK = {"cpu": 512, "cuda": 5_000}
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

    The attacks' random starts are drawn from (seed, round, iteration, split) alone. A CPU takes one trajectory after
    the other: a chunk fits into the cache, and numbers know no neighbours.
    """
    parts: list[tuple[Callable[..., tuple[list[Tensor], Tensor]], list[TrajectorySpec]]]
    if weights[0].device.type != "cpu":
        parts = [(partial(dense_logits, weights, specs[0]), list(specs))]
    else:
        networks = [tuple(weight[i] for weight in weights) for i in range(len(specs))]
        sparse = sparse_pays(specs[0], round_)
        parts = [
            (SparseEvaluation(one, spec).logits if sparse else partial(dense_logits, one, spec), [spec])
            for one, spec in zip(networks, specs, strict=True)
        ]
    found = [
        [
            measurement
            for place, (name, split) in enumerate(splits.items())
            for measurement in _measure(logits, members, split, name, (round_, iteration, place))
        ]
        for logits, members in parts
    ]
    return [_joined(same) for same in zip(*found, strict=True)]


def _joined(parts: Sequence[Measurement]) -> Measurement:
    """One measurement of several trajectories from those of each."""
    first = parts[0]
    shares = [share for part in parts for share in part.zero_gradient_share or ()]
    return Measurement(
        first.split,
        first.attack,
        [loss for part in parts for loss in part.loss],
        [accuracy for part in parts for accuracy in part.accuracy],
        None if first.zero_gradient_share is None else shares,
    )


def dense_logits(
    weights: Weights,
    spec: TrajectorySpec,
    images: Tensor,
    labels: Tensor,
    generators: Mapping[str, Sequence[torch.Generator]],
) -> tuple[list[Tensor], Tensor]:
    """Logits of images (B, D) with labels (B,), natural and under each of the eval attacks.

    Args:
        weights: (S, out, in) a layer, or (out, in) of one trajectory.
        spec: The setting, shared by the stack.
        images: Pixels in [0, 1].
        labels: The true ones.
        generators: One a trajectory for each of the eval attacks, for its random starts.

    Returns:
        Logits (S, B, C), natural and for each attack, and how many images of each trajectory (S,) have a gradient of
        zeros; without S for one trajectory.
    """
    natural = forward(weights, images)
    away = attack_targets(spec, natural[-1], labels)
    gradient = loss_gradient(weights, natural, away)
    found = [natural[-1]]
    for attack in spec.eval_attacks:
        attacked = perturb(attack, spec, weights, natural, away, generators[attack], gradient)
        found.append(forward(weights, attacked)[-1])
    return found, _images_without(gradient)


def _measure(
    logits: Callable[..., tuple[list[Tensor], Tensor]],
    specs: Sequence[TrajectorySpec],
    split: Split,
    name: str,
    place: tuple[int, int, int],
) -> list[Measurement]:
    spec, device = specs[0], split.images.device
    smoothing = spec.label_smoothing if name == "validation" else 0.0
    attacks: tuple[str, ...] = ("none", *spec.eval_attacks)
    generators = {
        attack: [generator(one.seed, Draw.EVAL_ATTACK, *place, device=device) for one in specs]
        for attack in spec.eval_attacks
    }
    losses = torch.zeros(len(attacks), len(specs), dtype=torch.float64, device=device)
    correct, without = torch.zeros_like(losses), torch.zeros_like(losses[0])
    size = CHUNK[device.type]
    for images, labels in zip(torch.split(split.images, size), torch.split(split.labels, size), strict=True):
        found, unmoved = logits(images, labels, generators)
        targets = one_hot(labels, found[0], smoothing)
        without += unmoved
        for i, one in enumerate(found):
            losses[i] += cross_entropy(one, targets).sum(-1)
            correct[i] += (one.argmax(-1) == labels).sum(-1)
    n = len(split.labels)
    share = (without / n).tolist()
    return [
        Measurement(name, attack, loss, accuracy, None if attack == "none" else share)
        for attack, loss, accuracy in zip(attacks, (losses / n).tolist(), (correct / n).tolist(), strict=True)
    ]


def _images_without(gradient: Tensor) -> Tensor:
    """How many images of each trajectory have a gradient (S, B, D) of zeros."""
    return (gradient == 0).all(-1).sum(-1)
