import numpy as np
import pandas as pd
import pytest

from lthray.analysis.numbers.seeds import find_outliers, seeds_needed, seeds_range, share_unseen


def test_seeds_needed():
    assert seeds_needed(1, 0.025, 0.8) == 10  # a paired t test at 5 % two-sided, effect size 1, power 80 %
    assert seeds_needed(0.5, 0.025, 0.8) == 34
    assert seeds_needed(100, 0.025, 0.8) == 2
    assert seeds_needed(0.001, 0.025, 0.8) is None
    assert seeds_needed(0, 0.025, 0.8) is None
    assert seeds_needed(-1, 0.025, 0.8) is None


def test_the_range_is_wide_where_few_seeds_tell_the_spread():
    assert seeds_range(0.5, 1.0, 10_000_000, 0.025, 0.8) == (34, 34)
    low, high = seeds_range(0.5, 1.0, 5, 0.025, 0.8)
    assert low < 34 < high
    # By hand: four degrees of freedom, chi square 7.779 and 1.064, so deviations 0.717 and 1.939.
    assert (low, high) == (seeds_needed(0.5 / 0.7171, 0.025, 0.8), seeds_needed(0.5 / 1.9393, 0.025, 0.8))
    assert seeds_range(0.5, 0.0, 5, 0.025, 0.8) == (None, None)


def test_what_five_seeds_cannot_exclude():
    assert share_unseen(5) == pytest.approx(0.4507, abs=1e-4)
    assert (1 - share_unseen(20)) ** 20 == pytest.approx(0.05)


def pairs(differences):
    """Rows of `pair_networks` from differences by round and seed."""
    return pd.DataFrame([
        {"group": 0, "against": "dense", "round": number + 1, "seed": seed, "weights_remaining": 0.8 ** (number + 1)}
        | {"difference": value}
        for number, of_round in enumerate(differences)
        for seed, value in enumerate(of_round)
    ])  # fmt: skip


def far(differences, *, accuracy=True):
    rows = find_outliers(pairs(differences), ["group"], accuracy=accuracy)
    return list(zip(rows["round"], rows["seed"], strict=True))


def test_a_seed_that_collapsed_is_named():
    calm = [0.001, -0.002, 0.0, 0.003, -0.001]
    assert far([calm, calm]) == []
    assert far([calm, [0.001, -0.002, -0.3, 0.003, -0.001]]) == [(2, 2)]
    assert far([[0.001, -0.3, 0.0]]) == [(1, 1)]


def test_two_seeds_far_from_each_other_are_both_named():
    assert far([[0.0, -0.3]]) == [(1, 0), (1, 1)]
    assert far([[0.0, -0.05]]) == []
    assert far([[-0.3]]) == []


def test_small_differences_are_never_far_and_large_ones_always():
    assert far([[0.0, 0.0001, -0.0001, 0.015]]) == []
    assert far([[0.0, 0.05, -0.05, 0.08, -0.12]]) == [(1, 4)]


def test_iterations_are_far_by_their_spread_alone():
    assert far([[0, 500, -500, 1000, 1500]], accuracy=False) == []
    assert far([[0, 500, -500, 1000, 30_000]], accuracy=False) == [(1, 4)]


def test_normal_seeds_are_seldom_named():
    noise = np.random.default_rng(0)
    named = sum(bool(far(noise.normal(0, 0.01, (8, 5)))) for _ in range(200))
    assert named <= 10
