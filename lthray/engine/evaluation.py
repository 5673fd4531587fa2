"""Loss and accuracy of a stack on whole splits, natural and attacked, and an audit of the attacks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lthray.engine.adversarial import attack_targets, perturb
from lthray.engine.arrays import CHUNK
from lthray.engine.autoattack import autoattack_logits
from lthray.engine.data import Split
from lthray.engine.differentiable import ClosedForm, Differentiable
from lthray.engine.module import ModuleNetwork
from lthray.engine.network import cross_entropy, one_hot
from lthray.engine.randomness import Draw, generator
from lthray.engine.tiled import TiledEvaluation, sparse_pays
from lthray.methods.attacks import NATURAL, SUITES, Attack
from lthray.methods.networks import Layers
from lthray.spec.attack_settings import word
from lthray.spec.metrics import SPLITS
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.ways import why_not_kernels


@dataclass(frozen=True)
class Measurement:
    """One split under one attack."""

    split: str
    """`validation` or `test`."""
    attack: Attack
    """`NATURAL`, or an attack."""
    loss: list[float]
    """Mean cross-entropy of each trajectory; smoothed labels on validation, hard ones on test."""
    accuracy: list[float]
    """Share of images whose true label has the largest logit, of each trajectory, in [0, 1]."""
    zero_gradient_share: list[float] | None
    """Share of images where the gradient that attacks follow is zero in every pixel of the natural image; None for
    `NATURAL`. Attacks cannot move such an image, so its robustness means nothing (Athalye et al. 2018, section 3.1)."""


Generators = Mapping[Attack, Sequence[torch.Generator]]
Logits = Callable[[Tensor, Tensor, Generators], tuple[dict[Attack, Tensor], dict[Attack, Tensor]]]
"""As `dense_logits` without its first two arguments."""


@torch.no_grad()
def evaluate(
    weights: Layers, specs: Sequence[TrajectorySpec], splits: Mapping[str, Split], round_: int, iteration: int
) -> list[Measurement]:
    """Measures every split naturally and under each of the eval attacks; see `evaluate_under`."""
    return evaluate_under(specs[0].eval_attacks, weights, specs, splits, round_, [iteration] * len(specs))


@torch.no_grad()
def evaluate_under(
    attacks: Sequence[Attack],
    weights: Layers,
    specs: Sequence[TrajectorySpec],
    splits: Mapping[str, Split],
    round_: int,
    iterations: Sequence[int],
) -> list[Measurement]:
    """Measures every split naturally and under each of `attacks`; changes nothing.

    The attacks' random starts are drawn from (seed, round, iteration, split) alone, and from the full name of an attack
    with settings of its own. A CPU evaluates one trajectory after the other: a chunk then fits into the cache, and
    results do not depend on the rest of the stack. Modules are evaluated in this way too, in eval mode.

    Args:
        attacks: The attacks.
        weights: (S, out, in) a layer.
        specs: The trajectories as they are set in this round.
        splits: Images and labels by the split's name.
        round_: Number of the round.
        iterations: The iteration of the round that each trajectory's weights are of.
    """
    members = range(len(specs))
    parts: list[tuple[Logits, Sequence[int]]]
    if weights[0].device.type != "cpu" and not specs[0].is_module:
        parts = [(partial(dense_logits, ClosedForm(weights), specs[0]), members)]
    else:
        networks = [tuple(weight[i] for weight in weights) for i in members]
        parts = [(_logits_of_one(networks[i], specs[i], round_, attacks), [i]) for i in members]

    def draws(i: int, split: str, attack: Attack) -> torch.Generator:
        # Attacks without settings of their own share their random starts: results older than settings depend on it.
        place = (round_, iterations[i], SPLITS.index(split), *([word(attack)] if attack.settings else []))
        return generator(specs[i].seed, Draw.EVAL_ATTACK, *place, device=weights[0].device)

    def measure(logits: Logits, part: Sequence[int], name: str) -> list[Measurement]:
        generators = {attack: [draws(i, name, attack) for i in part] for attack in attacks}
        return _measure(logits, [specs[i] for i in part], splits[name], name, generators)

    measured = [
        [measurement for name in splits for measurement in measure(logits, part, name)] for logits, part in parts
    ]
    return [_join(parts_of_one) for parts_of_one in zip(*measured, strict=True)]


@torch.no_grad()
def evaluate_ticket(
    weights: Layers, spec: TrajectorySpec, split: Split, name: str, attack: Attack, round_: int
) -> tuple[Measurement, Measurement]:
    """Measures a split naturally and under one attack that need not be an eval attack.

    Args:
        weights: (out, in) a layer, of one network.
        spec: The network's setting, for settings that the attack does not have itself.
        split: Images and labels.
        name: Which split it is.
        attack: The attack; a suite too.
        round_: Round at whose end the network is. Random starts are drawn from (seed, round, split, attack) alone.
    """
    if attack.name in SUITES:
        logits: Logits = partial(autoattack_logits, weights, spec)
    else:
        logits = _logits_of_one(weights, spec, round_, [attack])

    place = (round_, SPLITS.index(name), word(attack))
    draws = generator(spec.seed, Draw.TICKET_ATTACK, *place, device=weights[0].device)
    natural, attacked = _measure(logits, [spec], split, name, {attack: [draws]})
    return natural, attacked


def _logits_of_one(weights: Layers, spec: TrajectorySpec, round_: int, attacks: Sequence[Attack]) -> Logits:
    """How one network (out, in) is evaluated: on a CPU by the kernels, under the attacks they know, else by torch."""
    if spec.is_module:
        return partial(dense_logits, ModuleNetwork(spec, weights), spec)
    torchs = partial(dense_logits, ClosedForm(weights), spec)
    if weights[0].device.type != "cpu" or why_not_kernels(spec):
        return torchs
    known = [attack for attack in attacks if not why_not_kernels(spec, attack)]
    sparse = sparse_pays(spec, round_, [attack.name for attack in known])
    tiled = TiledEvaluation(weights, spec, sparse=sparse).logits
    if len(known) == len(attacks):
        return tiled

    def both(
        images: Tensor, labels: Tensor, generators: Generators
    ) -> tuple[dict[Attack, Tensor], dict[Attack, Tensor]]:
        fast_logits, fast_unmoved = tiled(images, labels, {attack: generators[attack] for attack in known})
        others = {attack: generators[attack] for attack in attacks if attack not in known}
        logits, unmoved = torchs(images, labels, others)
        return logits | fast_logits, unmoved | fast_unmoved

    return both


def _join(parts: Sequence[Measurement]) -> Measurement:
    """One measurement of several trajectories, from a measurement of each."""
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
    network: Differentiable, spec: TrajectorySpec, images: Tensor, labels: Tensor, generators: Generators
) -> tuple[dict[Attack, Tensor], dict[Attack, Tensor]]:
    """Logits of images (B, D) with labels (B,), natural and under attacks.

    Args:
        network: The stack's networks, or one network.
        spec: The setting, shared by the stack.
        images: Pixels in [0, 1].
        labels: The true labels.
        generators: For each attack one generator a trajectory, for random starts.

    Returns:
        Logits (S, B, C), `NATURAL` and by attack; and by attack how many images of each trajectory (S,) have a gradient
        of zeros. Without S for one trajectory.
    """
    natural, gradient_of = network.logits_and_gradient(images)
    gradients: dict[str, tuple[Tensor, Tensor]] = {}
    logits, unmoved = {NATURAL: natural}, {}
    for attack, draws in generators.items():
        setting = spec.setting(attack)
        if setting.attack_label not in gradients:
            targets = attack_targets(setting.attack_label, natural, labels)
            gradients[setting.attack_label] = targets, gradient_of(targets)
        targets, gradient = gradients[setting.attack_label]
        adversarial = perturb(setting, network, images, targets, draws, partial(_known, gradient), code=spec.own.code)
        logits[attack] = network.logits(adversarial)
        unmoved[attack] = (gradient == 0).all(-1).sum(-1)
    return logits, unmoved


def _known(gradient: Tensor, _: Tensor) -> Tensor:
    return gradient


def _measure(
    logits: Logits,
    specs: Sequence[TrajectorySpec],
    split: Split,
    name: str,
    generators: Generators,
) -> list[Measurement]:
    """Measures a split naturally and under each attack of `generators`, which has a generator for each trajectory."""
    device, n = split.images.device, len(split.labels)
    smoothing = specs[0].label_smoothing if name == "validation" else 0.0
    losses, correct, unmoved = (
        {attack: torch.zeros(len(specs), dtype=torch.float64, device=device) for attack in (NATURAL, *generators)}
        for _ in range(3)
    )
    for images, labels in split.chunks(CHUNK[device.type]):
        outputs, counts = logits(images, labels, generators)
        targets = one_hot(labels, outputs[NATURAL], smoothing)
        for attack, output in outputs.items():
            losses[attack] += cross_entropy(output, targets).sum(-1)
            correct[attack] += (output.argmax(-1) == labels).sum(-1)
        for attack, count in counts.items():
            unmoved[attack] += count
    return [
        Measurement(
            split=name,
            attack=attack,
            loss=(losses[attack] / n).tolist(),
            accuracy=(correct[attack] / n).tolist(),
            zero_gradient_share=None if attack == NATURAL else (unmoved[attack] / n).tolist(),
        )
        for attack in (NATURAL, *generators)
    ]
