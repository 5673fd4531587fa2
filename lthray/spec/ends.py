"""What is measured at the ends of rounds, and what that costs beside training and the other evaluations."""

from collections.abc import Iterable
from typing import NamedTuple

from lthray.methods.attacks import Attack
from lthray.methods.datasets import DATASETS
from lthray.spec.metrics import MOMENTS
from lthray.spec.trajectory import TrajectorySpec


class Gradients(NamedTuple):
    """Gradients, each of a single image: by the weights in training, by the pixels in a step of an attack."""

    training: int
    evaluation: int
    """Of the eval attacks."""
    ends: int
    """Of the end attacks, where no round stops early at its end."""


def end_images(spec: TrajectorySpec) -> int:
    """The number of test images that a trajectory's end attacks are measured on."""
    return min(spec.end_images, DATASETS[spec.dataset].test)


def end_attacks(spec: TrajectorySpec) -> list[Attack]:
    """The end attacks to measure: not those whose rows the eval attacks give already.

    An eval attack with settings of its own has rows in `evaluations` on all images, at early stopping and at the end.
    """
    measured = spec.eval_attacks if end_images(spec) == DATASETS[spec.dataset].test else ()
    return [attack for attack in spec.end_attacks if not (attack.settings and attack in measured)]


def count_gradients(spec: TrajectorySpec, first: int = 0) -> Gradients:
    """The gradients that round `first` and all later rounds of a trajectory take."""
    later = spec.rounds + 1 - max(first, 1)
    parts = [*([(spec, 1)] if first == 0 else []), *([(spec.in_round(1), later)] if later > 0 else [])]
    rounds = sum(count for _, count in parts)
    images = spec.validation_size + DATASETS[spec.dataset].test
    return Gradients(
        training=sum(count * _training_gradients(part) for part, count in parts),
        evaluation=images
        * _steps(spec, spec.eval_attacks)
        * sum(count * len(part.evaluation_iterations()) for part, count in parts),
        ends=rounds * len(MOMENTS) * end_images(spec) * _steps(spec, end_attacks(spec)),
    )


def _training_gradients(spec: TrajectorySpec) -> int:
    """Of one round: of each image by the weights, and in adversarial training of the attacked image too."""
    batch = spec.batch_size if spec.drop_last else spec.train_size / spec.epoch_batches
    attack = [] if spec.train_attack == "none" else [Attack(spec.train_attack)]
    return round(spec.iterations * batch * (1 + len(attack) + _steps(spec, attack)))


def _steps(spec: TrajectorySpec, attacks: Iterable[Attack]) -> int:
    """The steps of all restarts of some attacks on an image."""
    settings = [spec.setting(attack) for attack in attacks]
    return sum(setting.steps * setting.restarts for setting in settings)
