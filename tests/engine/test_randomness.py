"""Every draw has its own generator."""

import pytest
import torch

from lthray.engine.randomness import Draw, generator, random_start
from lthray.methods.attacks import NORMS, Setting


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
    assert [int(draw) for draw in Draw] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert torch.randperm(10, generator=generator(0, Draw.BATCHES, 0)).tolist() == [5, 1, 8, 4, 9, 2, 3, 0, 6, 7]


@pytest.mark.parametrize("norm", NORMS)
def test_random_starts_are_uniform_in_the_ball(norm):
    """In three dimensions an eighth of the ball is within half its radius, of either norm."""
    setting = Setting("pgd", 0.2, norm, "predicted", 1, 0.1, random_start=True)
    noise = random_start(setting, torch.zeros(1, 80_000, 3, dtype=torch.float64), [generator(0, Draw.INIT)])
    length = noise[0].abs().amax(-1) if norm == "linf" else noise[0].norm(dim=-1)
    assert length.max() <= 0.2 + 1e-9
    assert (length <= 0.1).double().mean().item() == pytest.approx(1 / 8, abs=0.005)
    assert noise.mean((0, 1)).abs().max() < 0.002


def test_random_starts_of_a_stack_are_torchs_draws_from_each_generator():
    setting = Setting("pgd", 0.3, "linf", "predicted", 1, 0.1, random_start=True)
    ours, theirs = ([generator(seed, Draw.TRAIN_ATTACK, 1) for seed in range(3)] for _ in range(2))
    for _ in range(2):
        noise = random_start(setting, torch.zeros(3, 60, 64), ours)
        expected = [torch.empty(60, 64).uniform_(-0.3, 0.3, generator=source) for source in theirs]
        assert torch.equal(noise, torch.stack(expected))
    assert random_start(Setting("pgd", 0.3, "linf"), torch.zeros(3, 60, 64), ours) is None
