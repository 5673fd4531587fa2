"""Every draw has its own generator."""

import torch

from lthray.engine.randomness import Draw, generator


def numbers(*arguments) -> list[float]:
    return torch.rand(4, generator=generator(*arguments)).tolist()


def test_the_same_place_draws_the_same_numbers():
    assert numbers(3, Draw.BATCHES, 2) == numbers(3, Draw.BATCHES, 2)


def test_another_seed_purpose_or_place_draws_others():
    draws = [
        numbers(0, Draw.INIT), numbers(1, Draw.INIT), numbers(2**62, Draw.INIT), numbers(0, Draw.BATCHES, 0),
        numbers(0, Draw.BATCHES, 1), numbers(0, Draw.TRAIN_ATTACK, 1), numbers(0, Draw.EVAL_ATTACK, 1, 0, 0),
        numbers(0, Draw.EVAL_ATTACK, 1, 0, 1), numbers(0, Draw.EVAL_ATTACK, 1, 500, 0),
    ]  # fmt: skip
    assert len({tuple(draw) for draw in draws}) == len(draws)


def test_draws_never_change_between_versions():
    """θ0 and the batches of every stored trajectory come from these."""
    assert [int(draw) for draw in Draw] == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert torch.randperm(10, generator=generator(0, Draw.BATCHES, 0)).tolist() == [5, 1, 8, 4, 9, 2, 3, 0, 6, 7]
