"""Weights remaining, from the rule alone."""

import pytest

from lthray.counts import layer_sizes, number_to_prune, totals, weights_remaining

RATES = {"hidden_1": 0.2, "hidden_2": 0.2, "output": 0.1}


def test_a_layer_loses_the_rounded_share_half_to_even():
    assert number_to_prune(10, 0.25, "exclusive") == 2  # 2.5 rounds to even
    assert number_to_prune(14, 0.25, "exclusive") == 4  # 3.5 rounds to even
    assert number_to_prune(235_200, 0.2, "exclusive") == 47_040


def test_the_released_code_takes_one_more_but_never_more_than_there_is():
    assert number_to_prune(10, 0.25, "inclusive") == 3
    assert number_to_prune(1, 0.2, "inclusive") == 1
    assert number_to_prune(0, 0.2, "inclusive") == 0


def test_lenet_has_266_200_weights_on_784_pixels():
    assert totals(weights_remaining(layer_sizes(784), RATES, "exclusive", 0)) == [266_200]


@pytest.mark.parametrize(
    ("round_", "count"), [(3, 136_503), (8, 44_909), (11, 23_079), (15, 9_518), (18, 4_908), (20, 3_160)]
)
def test_released_code_leaves_the_counts_that_it_was_seen_to_leave(round_, count):
    assert totals(weights_remaining(layer_sizes(784), RATES, "inclusive", 20))[round_] == count


def test_exact_pruning_leaves_4_928_at_round_18():
    assert totals(weights_remaining(layer_sizes(784), RATES, "exclusive", 18))[18] == 4_928
