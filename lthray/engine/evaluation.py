"""Loss and accuracy of a stack on whole splits, natural and attacked, and an audit of the attacks themselves."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lthray.engine.adversarial import attack_targets, loss_gradient, perturb
from lthray.engine.autoattack import autoattack_logits
from lthray.engine.data import Split
from lthray.engine.network import Weights, cross_entropy, forward, one_hot
from lthray.engine.randomness import Draw, generator
from lthray.engine.sparse import SparseEvaluation, sparse_pays
from lthray.spec.attack_settings import AUTOATTACK, word
from lthray.spec.trajectory import TrajectorySpec

CHUNK = {"cpu": 512, "cuda": 5_000}
"""Images at a time: what a cache, or a GPU, takes well. Part of the results: random starts are drawn a chunk."""


@dataclass(frozen=True)
class Measurement:
    """One split under one attack."""

    split: str
    """`validation` or `test`."""
    attack: str
    """`none`, or an attack's full name."""
    loss: list[float]
    """Mean cross-entropy of each trajectory; smoothed labels on validation, hard ones on test."""
    accuracy: list[float]
    """Share of images whose true label has the largest logit, of each trajectory, in [0, 1]."""
    zero_gradient_share: list[float] | None
    """Share of images where the gradient that attacks follow is zero in every pixel of the natural image; None for
    `none`. Attacks can't move such an image, so its robustness means nothing (Athalye et al. 2018, section 3.1)."""


SPLITS = ("validation", "test")
"""A split's place here is part of the results: random starts are drawn by it."""

Generators = Mapping[str, Sequence[torch.Generator]]
Logits = Callable[[Tensor, Tensor, Generators], tuple[list[Tensor], list[Tensor]]]
"""As `dense_logits` without its first two arguments."""


@torch.no_grad()
def evaluate(
    weights: Weights, specs: Sequence[TrajectorySpec], splits: Mapping[str, Split], round_: int, iteration: int
) -> list[Measurement]:
    """Measures every split naturally and under each of the eval attacks; changes nothing.

    The attacks' random starts are drawn from (seed, round, iteration, split) alone, and from the full name of an attack
    with settings of its own. A CPU takes one trajectory after the other: a chunk fits into the cache, and numbers know
    no neighbours.
    """
    attacks = specs[0].eval_attacks
    parts: list[tuple[Logits, list[TrajectorySpec]]]
    if weights[0].device.type != "cpu":
        parts = [(partial(dense_logits, weights, specs[0]), list(specs))]
    else:
        networks = [tuple(weight[i] for weight in weights) for i in range(len(specs))]
        parts = [(_cpu_logits(one, spec, round_, attacks), [spec]) for one, spec in zip(networks, specs, strict=True)]

    def draws(spec: TrajectorySpec, split: str, attack: str) -> torch.Generator:
        place = (round_, iteration, SPLITS.index(split), *([word(attack)] if "(" in attack else []))
        return generator(spec.seed, Draw.EVAL_ATTACK, *place, device=weights[0].device)

    found = [
        [
            measurement
            for name, split in splits.items()
            for measurement in _measure(logits, members, split, name, attacks, draws)
        ]
        for logits, members in parts
    ]
    return [_joined(same) for same in zip(*found, strict=True)]


@torch.no_grad()
def evaluate_ticket(
    weights: Weights, spec: TrajectorySpec, split: Split, name: str, attack: str, round_: int
) -> tuple[Measurement, Measurement]:
    """Measures a split naturally and under one attack that need not be an eval attack.

    Args:
        weights: (out, in) a layer, of one network.
        spec: The network's setting, for what the attack does not say itself.
        split: Images and labels.
        name: Which split it is.
        attack: Full name of the attack; `autoattack` too.
        round_: Round that the network is of. Random starts are drawn from (seed, round, split, attack) alone.
    """
    if attack.startswith(AUTOATTACK):
        logits: Logits = partial(autoattack_logits, weights, spec)
    elif weights[0].device.type != "cpu":
        logits = partial(dense_logits, weights, spec)
    else:
        logits = _cpu_logits(weights, spec, round_, [attack])

    def draws(spec: TrajectorySpec, split: str, attack: str) -> torch.Generator:
        place = (round_, SPLITS.index(split), word(attack))
        return generator(spec.seed, Draw.TICKET_ATTACK, *place, device=weights[0].device)

    natural, attacked = _measure(logits, [spec], split, name, [attack], draws)
    return natural, attacked


def _cpu_logits(weights: Weights, spec: TrajectorySpec, round_: int, attacks: Sequence[str]) -> Logits:
    """How a CPU measures one network: sparse what pays, and dense the rest."""
    dense = partial(dense_logits, weights, spec)
    if not sparse_pays(spec, round_):
        return dense
    sparse = SparseEvaluation(weights, spec).logits
    fast = [attack for attack in attacks if sparse_pays(spec, round_, attack)]
    if len(fast) == len(attacks):
        return sparse

    def both(images: Tensor, labels: Tensor, generators: Generators) -> tuple[list[Tensor], list[Tensor]]:
        (natural, *some), without = sparse(images, labels, {attack: generators[attack] for attack in fast})
        rest = {attack: generators[attack] for attack in attacks if attack not in fast}
        (_, *others), without_too = dense(images, labels, rest)
        logits = dict(zip([*fast, *rest], [*some, *others], strict=True))
        unmoved = dict(zip([*fast, *rest], [*without, *without_too], strict=True))
        return [natural, *(logits[attack] for attack in attacks)], [unmoved[attack] for attack in attacks]

    return both


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
    weights: Weights, spec: TrajectorySpec, images: Tensor, labels: Tensor, generators: Generators
) -> tuple[list[Tensor], list[Tensor]]:
    """Logits of images (B, D) with labels (B,), natural and under attacks.

    Args:
        weights: (S, out, in) a layer, or (out, in) of one trajectory.
        spec: The setting, shared by the stack.
        images: Pixels in [0, 1].
        labels: The true ones.
        generators: The attacks by their full names, with one generator a trajectory each, for random starts.

    Returns:
        Logits (S, B, C), natural and for each attack; and for each attack how many images of each trajectory (S,) have
        a gradient of zeros; without S for one trajectory.
    """
    natural = forward(weights, images)
    known: dict[str, tuple[Tensor, Tensor]] = {}
    found, without = [natural[-1]], []
    for attack, draws in generators.items():
        label = spec.setting(attack).attack_label
        if label not in known:
            away = attack_targets(label, natural[-1], labels)
            known[label] = away, loss_gradient(weights, natural, away)
        away, gradient = known[label]
        found.append(forward(weights, perturb(attack, spec, weights, natural, away, draws, gradient))[-1])
        without.append(_images_without(gradient))
    return found, without


def _measure(
    logits: Logits,
    specs: Sequence[TrajectorySpec],
    split: Split,
    name: str,
    attacks: Sequence[str],
    draws: Callable[[TrajectorySpec, str, str], torch.Generator],
) -> list[Measurement]:
    device = split.images.device
    smoothing = specs[0].label_smoothing if name == "validation" else 0.0
    generators = {attack: [draws(spec, name, attack) for spec in specs] for attack in attacks}
    losses = torch.zeros(1 + len(attacks), len(specs), dtype=torch.float64, device=device)
    correct, without = torch.zeros_like(losses), torch.zeros_like(losses[1:])
    size = CHUNK[device.type]
    for images, labels in zip(torch.split(split.images, size), torch.split(split.labels, size), strict=True):
        found, unmoved = logits(images, labels, generators)
        targets = one_hot(labels, found[0], smoothing)
        for i, one in enumerate(found):
            losses[i] += cross_entropy(one, targets).sum(-1)
            correct[i] += (one.argmax(-1) == labels).sum(-1)
        for i, count in enumerate(unmoved):
            without[i] += count
    n = len(split.labels)
    shares = [None, *(without / n).tolist()]
    return [
        Measurement(name, attack, loss, accuracy, share)
        for attack, loss, accuracy, share in zip(
            ("none", *attacks), (losses / n).tolist(), (correct / n).tolist(), shares, strict=True
        )
    ]


def _images_without(gradient: Tensor) -> Tensor:
    """How many images of each trajectory have a gradient (S, B, D) of zeros."""
    return (gradient == 0).all(-1).sum(-1)
