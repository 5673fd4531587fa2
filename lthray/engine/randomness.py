"""Random numbers of a trajectory: each draw has its own generator, seeded by seed, purpose and place.

No generator outlives its round. So a round draws the same numbers whether or not others ran before it in this process,
whatever the strategy and the attack, and however often it is evaluated.
"""

from collections.abc import Sequence
from enum import IntEnum, unique

import numpy as np
import torch
from torch import Tensor

from lthray.engine.mersenne import uniform_
from lthray.methods.attacks import NORMS, Setting


@unique
class Draw(IntEnum):
    """The purpose of a generator. The numbers are part of the results: add new ones, and never change one."""

    INIT = 0
    """Start of the dense network, θ0."""
    RANDOM_START = 1
    """New start of a round of strategies `random` and `kept-signs`; place: round."""
    BATCHES = 2
    """Order of the training images; place: round."""
    TRAIN_ATTACK = 3
    """Random starts of the train attack; place: round."""
    EVAL_ATTACK = 4
    """Random starts of an eval attack or end attack; place: round, iteration, split, and a full name with settings."""
    CRITERION = 5
    """Scores of the criterion `random`; place: the round that is pruned."""
    CRITERION_ATTACK = 6
    """Random starts of the attack that a criterion scores under; place: the round that is pruned."""
    SHUFFLE = 7
    """Order of a layer's mask under the strategy `shuffled`; place: the round that is pruned."""
    TICKET_ATTACK = 8
    """Random starts of `lthray evaluate`; place: round, split, the attack's full name."""
    AUGMENT = 9
    """Crops and flips of a batch; place: round, iteration."""
    MODULE = 10
    """What a module draws itself in a training step, such as dropout; place: round, iteration."""
    LEARNED_ATTACK = 11
    """Random starts of the train attack where scores are learned; place: the round that is pruned, iteration."""


def generator(seed: int, draw: Draw, *place: int, device: torch.device | str = "cpu") -> torch.Generator:
    """The generator of one draw, seeded with numpy's SeedSequence over (seed, draw, place)."""
    return torch.Generator(device).manual_seed(seed_of(seed, draw, *place))


def seed_of(seed: int, draw: Draw, *place: int) -> int:
    """The seed of one draw's generator, in [0, 2^63)."""
    words = np.random.SeedSequence([seed, int(draw), *place]).generate_state(1, np.uint64)
    return int(words[0]) & (2**63 - 1)


def random_start(setting: Setting, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor | None:
    """What a random start adds to images (S, B, D), or (B, D) of one trajectory, each drawn from its own generator."""
    if not setting.random_start:
        return None
    noise = images.new_empty(images.shape)
    draw_random_start(setting, noise, generators)
    return noise


def draw_random_start(setting: Setting, noise: Tensor, generators: Sequence[torch.Generator]) -> None:
    """Fills noise (S, B, D), or (B, D) of one trajectory, as `random_start` does."""
    for part, source in zip(noise.view(-1, *noise.shape[-2:]), generators, strict=True):
        NORMS[setting.norm].draw(part, setting.epsilon, source, uniform_)
