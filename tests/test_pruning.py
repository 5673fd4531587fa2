"""Masks: which weights go, and how many."""

import torch

from lthray.counts import number_to_prune
from lthray.pruning import prune


def test_the_smallest_magnitudes_of_what_remains_go():
    weight = torch.tensor([[[0.1, -0.5, 0.3], [-0.2, 0.0, 0.9]]])
    mask = torch.tensor([[[True, True, True], [True, False, True]]])
    kept = prune(weight, mask, 0.4, "exclusive")
    assert kept.tolist() == [[[False, True, True], [False, False, True]]]
    assert mask.sum() == 5  # the old mask stays as it was


def test_inclusive_takes_one_more():
    weight = torch.tensor([[[0.1, -0.5, 0.3, -0.2, 0.9]]])
    mask = torch.ones_like(weight, dtype=torch.bool)
    assert prune(weight, mask, 0.4, "inclusive").tolist() == [[[False, True, False, False, True]]]


def test_ties_are_broken_by_place_and_the_count_is_exact():
    weight = torch.full((1, 4, 5), 0.5)
    kept = prune(weight, torch.ones_like(weight, dtype=torch.bool), 0.25, "exclusive")
    assert kept.flatten().tolist() == [False] * 5 + [True] * 15


def test_a_weight_that_trained_to_zero_is_still_one_that_remains():
    weight = torch.tensor([[[0.0, 0.0, 1.0, 2.0]]])
    mask = torch.tensor([[[False, True, True, True]]])
    assert prune(weight, mask, 0.34, "exclusive").tolist() == [[[False, False, True, True]]]


def test_every_network_of_a_stack_is_pruned_by_itself():
    torch.manual_seed(0)
    weight = torch.randn(4, 30, 40)
    mask = torch.rand(4, 30, 40) < torch.tensor([1.0, 0.5, 0.1, 0.01]).view(4, 1, 1)
    kept = prune(weight, mask, 0.2, "exclusive")
    for one, old, new in zip(weight, mask, kept, strict=True):
        assert torch.equal(prune(one[None], old[None], 0.2, "exclusive")[0], new)
        assert not (new & ~old).any()
        assert int((old & ~new).sum()) == number_to_prune(int(old.sum()), 0.2, "exclusive")
        if (old & ~new).any():
            assert one[old & ~new].abs().max() <= one[new].abs().min()
