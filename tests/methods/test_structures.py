"""Masks of n of every m weights and of whole units: by hand, and their counts whatever the scores."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lthray.methods.structures import Kept, prune_groups, prune_units, unit_size, weights_in_groups


def ones(*shape: int) -> torch.Tensor:
    return torch.ones(shape, dtype=torch.bool)


def test_two_of_every_four_inputs_of_a_unit_remain():
    score = torch.tensor([[4.0, 1.0, 3.0, 2.0, 0.0, 0.1, 0.3, 0.2], [1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 0.0, 10.0]])
    kept = prune_groups(score, ones(2, 8), Kept(8, 2, 4))
    assert kept.int().tolist() == [
        [1, 0, 1, 0, 0, 0, 1, 1],
        [0, 0, 1, 1, 0, 1, 0, 1],
    ]  # of the two nines the first goes


def test_a_last_group_that_is_shorter_keeps_as_many_as_the_others():
    score = torch.tensor([[5.0, 6.0, 7.0, 8.0, 3.0, 1.0, 2.0], [8.0, 7.0, 6.0, 5.0, 1.0, 2.0, 3.0]])
    assert prune_groups(score, ones(2, 7), Kept(8, 2, 4)).int().tolist() == [
        [0, 0, 1, 1, 1, 0, 1],
        [1, 1, 0, 0, 0, 1, 1],
    ]
    assert prune_groups(score[:, :5], ones(2, 5), Kept(6, 2, 4))[:, 4].all()  # one weight is not more than two


def test_groups_of_a_convolution_run_over_the_channels_of_one_place_of_the_kernel():
    """Four channels of 1x2 places: the groups are the channels at the first place and at the second."""
    score = torch.tensor([[1.0, 8.0], [2.0, 7.0], [3.0, 6.0], [4.0, 5.0]]).view(1, 4, 1, 2)
    kept = prune_groups(score, ones(1, 4, 1, 2), Kept(4, 2, 4))
    assert kept[0, :, 0].int().tolist() == [[0, 1], [0, 1], [1, 0], [1, 0]]
    assert kept.is_contiguous()


def test_what_is_pruned_stays_so_whatever_its_score():
    score = torch.tensor([[torch.inf, torch.nan, 1.0, 2.0, -3.0, -2.0, -1.0, 0.0]])
    mask = torch.tensor([[False, False, True, True, True, True, False, True]])
    assert prune_groups(score, mask, Kept(4, 2, 4)).int().tolist() == [[0, 0, 1, 1, 0, 1, 0, 1]]
    assert prune_groups(score, mask, Kept(2, 1, 4)).int().tolist() == [[0, 0, 0, 1, 0, 0, 0, 1]]
    assert mask.sum() == 5  # the old mask stays as it was


def test_the_units_with_the_smallest_norms_go():
    """Norms are 5, 4.2, 6 and 5: what a unit lacks already does not count, and of equal norms the first goes."""
    score = torch.tensor([[3.0, 4.0], [3.0, 3.0], [100.0, 6.0], [4.0, 3.0]])
    mask = torch.tensor([[True, True], [True, True], [False, True], [True, True]])
    assert prune_units(score, mask, Kept(6, 2, 4)).int().tolist() == [[1, 1], [0, 0], [0, 1], [1, 1]]
    assert prune_units(score, mask, Kept(4, 2, 4)).int().tolist() == [[0, 0], [0, 0], [0, 1], [1, 1]]


def test_a_unit_that_is_gone_stays_so_and_one_of_zeros_does_not():
    score = torch.tensor([[9.0, 9.0], [0.0, 0.0], [1.0, 1.0]])
    mask = torch.tensor([[False, False], [True, True], [True, True]])
    assert prune_units(score, mask, Kept(4, 2, 4)).tolist() == mask.tolist()


def test_units_of_a_convolution_are_its_maps():
    score = torch.arange(24.0).view(3, 2, 2, 2)
    kept = prune_units(score, ones(3, 2, 2, 2), Kept(16, 2, 4))
    assert kept.flatten(1).int().tolist() == [[0] * 8, [1] * 8, [1] * 8]


shapes = st.one_of(
    st.tuples(st.integers(1, 9)),
    st.tuples(st.integers(1, 6), st.integers(1, 20)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3)),
)


def draw_scores(shape: tuple[int, ...], seed: int, levels: int) -> torch.Tensor:
    """Scores with many ties."""
    return torch.randint(levels, shape, generator=torch.Generator().manual_seed(seed)).float()


@settings(deadline=None, max_examples=100)
@given(shape=shapes, m=st.integers(2, 9), seed=st.integers(0, 99), levels=st.sampled_from([1, 3, 1000]))
def test_gradual_n_of_m_has_exact_counts_and_nested_masks_down_to_one(shape, m, seed, levels):
    mask = ones(*shape)
    for n in range(m - 1, 0, -1):
        count = weights_in_groups(shape, n, m)
        new = prune_groups(draw_scores(shape, seed + n, levels), mask, Kept(count, n, m))
        assert int(new.sum()) == count
        assert not (new & ~mask).any()
        mask = new


@settings(deadline=None, max_examples=100)
@given(shape=shapes, seed=st.integers(0, 99), levels=st.sampled_from([1, 3, 1000]), data=st.data())
def test_units_have_exact_counts_nested_masks_and_are_whole(shape, seed, levels, data):
    mask, size = ones(*shape), unit_size(shape)
    for units in range(shape[0], 0, -data.draw(st.integers(1, 3))):
        score = draw_scores(shape, seed + units, levels)
        new = prune_units(score, mask, Kept(units * size, 2, 4))
        assert int(new.sum()) == units * size
        assert not (new & ~mask).any()
        assert set(new.reshape(shape[0], -1).sum(1).tolist()) <= {0, size}
        norms, gone = score.reshape(shape[0], -1).norm(dim=1), (mask & ~new).reshape(shape[0], -1).any(1)
        if gone.any():
            assert norms[gone].max() <= norms[new.reshape(shape[0], -1).any(1)].min()
        mask = new


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 16), (3, 7)])
def test_groups_hold_no_more_than_n_in_the_layout_of_sparse_tensor_cores(n, m):
    """As Zhou et al. 2021 lay out a convolution's weights: (out, height, width, in), in groups of m."""
    score = torch.rand(5, 6, 3, 3, generator=torch.Generator().manual_seed(0))
    kept = prune_groups(score, ones(5, 6, 3, 3), Kept(0, n, m))
    for unit in kept.permute(0, 2, 3, 1).flatten(1):
        for group in unit.split(m):
            assert int(group.sum()) == min(n, len(group))
