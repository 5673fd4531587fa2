"""What is measured only at the ends of rounds, and what that costs beside training and the other evaluations.

The ends of a round are early stopping and the last iteration.
"""

from collections.abc import Iterable
from typing import NamedTuple

from lthray.methods.attacks import Attack
from lthray.spec.metrics import MOMENTS
from lthray.spec.trajectory import TrajectorySpec


class Gradients(NamedTuple):
    """Numbers of gradients of one image: with respect to the weights in training, to the pixels in an attack's step."""

    training: int
    evaluation: int
    """Those of the eval attacks, at most: a round that stops early at its very end has fewer."""
    ends: int
    """Those of the end attacks, at most, likewise."""


def end_images(spec: TrajectorySpec) -> int:
    """The number of test images that a trajectory's end attacks are measured on."""
    return min(spec.end_images, spec.data.test)


def end_attacks(spec: TrajectorySpec) -> list[Attack]:
    """The end attacks to measure: not those whose rows the eval attacks give already.

    An eval attack of the user's, or with settings of its own, has rows in `evaluations` on all images, at early
    stopping and at the end.
    """
    measured = spec.eval_attacks if end_images(spec) == spec.data.test else ()
    return [attack for attack in spec.end_attacks if attack.is_standard or attack not in measured]


def split_eval_attacks(spec: TrajectorySpec) -> tuple[tuple[Attack, ...], tuple[Attack, ...]]:
    """The eval attacks measured at every evaluation, and those measured at the ends of rounds alone.

    Early stopping depends on the train attack, which is therefore measured at every evaluation.
    """
    if spec.eval_attacks_at == "every":
        return spec.eval_attacks, ()
    trained = Attack(spec.train_attack)
    always = tuple(attack for attack in spec.eval_attacks if attack == trained)
    return always, tuple(attack for attack in spec.eval_attacks if attack != trained)


def needs_early_stopped(spec: TrajectorySpec) -> bool:
    """Whether the network at early stopping is measured once more when the round has ended."""
    return bool(end_attacks(spec) or split_eval_attacks(spec)[1])


def count_gradients(spec: TrajectorySpec, first: int = 0) -> Gradients:
    """The gradients that round `first` and all later rounds of a trajectory take."""
    later = spec.rounds + 1 - max(first, 1)
    parts = [*([(spec, 1)] if first == 0 else []), *([(spec.in_round(1), later)] if later > 0 else [])]
    rounds = sum(count for _, count in parts)
    images = spec.validation_size + spec.data.test
    always, late = split_eval_attacks(spec)

    def steps(points: int) -> int:
        return points * _steps(spec, always) + min(points, len(MOMENTS)) * _steps(spec, late)

    return Gradients(
        training=sum(count * _training_gradients(part) for part, count in parts),
        evaluation=images * sum(count * steps(len(part.evaluation_iterations())) for part, count in parts),
        ends=rounds * len(MOMENTS) * end_images(spec) * _steps(spec, end_attacks(spec)),
    )


def _training_gradients(spec: TrajectorySpec) -> int:
    """The gradients of one round's training: one for each image, one for its attacked copy, and those of the attack."""
    batch = spec.batch_size if spec.drop_last else spec.train_size / spec.epoch_batches
    attack = [] if spec.train_attack == "none" else [Attack(spec.train_attack)]
    return round(spec.iterations * batch * (1 + len(attack) + _steps(spec, attack)))


def _steps(spec: TrajectorySpec, attacks: Iterable[Attack]) -> int:
    """The steps of all restarts of some attacks on an image."""
    settings = [spec.setting(attack) for attack in attacks]
    return sum(setting.steps * setting.restarts for setting in settings)
