"""The compiled sums against numpy's in double precision, and against themselves in another order of calls."""

import numpy as np
import pytest

from lthray.engine.tiles.compiling import TILE, compiled
from lthray.engine.tiles.emitter import REGISTER
from lthray.engine.tiles.transposing import transpose
from lthray.engine.tiles.vectors import (
    ROWS,
    add_dots,
    add_dots_of_two,
    ascend,
    exp_below,
    lanes,
    multiply_block,
    multiply_register,
    weighted_sum,
    width,
)

DTYPES = [np.float32, np.float64]


def draw(*shape, dtype):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def chain(weights, factors, start=0.0):
    """Products added one by one, each step rounded once to single precision: 53 bits hold a product of two 24."""
    total = np.float32(start)
    for weight, factor in zip(weights, factors, strict=True):
        total = np.float32(np.float64(weight) * np.float64(factor) + np.float64(total))
    return total


@compiled
def sum_weighted(out, row, start, stop, first, weights, which, rows):
    weighted_sum(out, row, start, stop, first, weights, which, rows)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 23])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_weighted_sum_is_a_chain_and_can_go_on_in_parts(count, dtype):
    rows, weights = draw(50, TILE, dtype=dtype), draw(count, dtype=dtype)
    which = np.random.default_rng(1).integers(0, 50, count).astype(np.uint16)
    out = np.full((3, TILE), 7, dtype)
    sum_weighted(out, 1, 0, count, True, weights, which, rows)
    np.testing.assert_allclose(out[1], weights.astype(float) @ rows[which].astype(float), rtol=0, atol=1e-5)
    if dtype == np.float32:
        assert out[1, 5] == chain(weights, rows[which, 5])
    assert (out[[0, 2]] == 7).all()
    whole = out[1].copy()
    sum_weighted(out, 1, 0, count // 2, True, weights, which, rows)
    sum_weighted(out, 1, count // 2, count, False, weights, which, rows)
    assert np.array_equal(out[1], whole)


@compiled
def multiply(out, weights, row, step, factors, first, wide, side):
    count, columns = factors.shape
    whole = columns // wide * wide
    for at in range(0, whole, wide):
        multiply_block(out, at, columns, weights, 0, row, step, factors, at, columns, count, first)
    for at in range(whole, columns, side):
        multiply_register(out, at, columns, weights, 0, row, step, factors, at, columns, count, first)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_block_of_products_is_a_chain_for_each_of_its_numbers(dtype, turned):
    """With weights read along their rows or along their columns; columns for whole blocks and for registers."""
    sizes = width(np.dtype(dtype)), lanes(np.dtype(dtype))
    weights, factors = draw(ROWS, 37, dtype=dtype), draw(37, sum(sizes), dtype=dtype)
    held = np.ascontiguousarray(weights.T) if turned else weights
    strides = (1, ROWS) if turned else (37, 1)
    out = np.full((ROWS, sum(sizes)), 7, dtype)
    for first in (True, False):
        multiply(out, held, *strides, factors, first, *sizes)
        times = 1 if first else 2
        np.testing.assert_allclose(out, times * (weights.astype(float) @ factors.astype(float)), rtol=0, atol=1e-4)
        if dtype == np.float32:
            for r, c in ((0, 0), (4, 3), (5, -1)):
                assert out[r, c] == chain(np.tile(weights[r], times), np.tile(factors[:, c], times))


@compiled
def dot(out, first, slope, at, unit, which, start, stop, active, two):
    if two:
        add_dots_of_two(out, first, slope, at, unit, which, start, stop, active)
    else:
        add_dots(out, first, slope, at, unit, which, start, stop, active)


@pytest.mark.parametrize("two", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_dots_have_the_same_bits_alone_and_four_at_a_time(dtype, two):
    slope, active = draw(3, 9, TILE, dtype=dtype), draw(3, 9, TILE, dtype=dtype)[:, ::-1].copy()
    which = np.array([0, 3, 8, 2, 7, 7, 1], np.uint16)
    out = np.full(9, 7, dtype)
    dot(out, True, slope, 1, 4, which, 0, 7, active, two)
    passes = [1, 2] if two else [1]
    expected = sum(active[p][which].astype(float) @ slope[p, 4].astype(float) for p in passes)
    np.testing.assert_allclose(out[:7], expected, rtol=0, atol=1e-4)
    assert (out[7:] == 7).all()
    alone = np.zeros(9, dtype)
    for k in range(7):
        dot(alone, True, slope, 1, 4, which, k, k + 1, active, two)
    assert np.array_equal(alone[:7], out[:7])
    dot(out, False, slope, 1, 4, which, 0, 7, active, two)
    assert np.array_equal(out[:7], alone[:7] + alone[:7])


@compiled
def step_up(into, source, natural, slope, row, step_size, epsilon, white):
    ascend(into, source, natural, slope, row, step_size, epsilon, white)


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_ascent_follows_signs_within_the_ball_and_the_picture(dtype):
    random = np.random.default_rng(0)
    natural = random.random((2, TILE)).astype(dtype)
    natural[0, :3] = 0, 1, 0.5
    source = np.clip(natural + random.uniform(-0.3, 0.3, natural.shape), 0, 1).astype(dtype)
    slope = random.standard_normal(natural.shape).astype(dtype)
    slope[0, 2], slope[0, 3], slope[0, 4] = 0, -0.0, np.nan
    step, epsilon = dtype(0.1), dtype(0.3)
    low, high = np.maximum(natural - epsilon, 0), np.minimum(natural + epsilon, 1)
    expected = np.clip(source + step * np.where(np.isnan(slope), 0, np.sign(slope)).astype(dtype), low, high)
    step_up(source, source, natural, slope, 0, step, epsilon, dtype(1))
    assert np.array_equal(source[0], expected[0])
    assert not np.array_equal(source[1], expected[1])


@compiled
def exponential(out, source, row, top):
    exp_below(out, source, row, top)


@pytest.mark.parametrize("dtype", DTYPES)
def test_exponentials_are_right_to_the_last_place_or_two(dtype):
    below = -np.concatenate([np.linspace(0, 87, 64 * 500 - 6), [0, 1e-30, 88, 1e9, np.inf, np.nan]]).astype(dtype)
    source, out = below.reshape(-1, TILE), np.zeros((500, TILE), dtype)
    for row in range(500):
        exponential(out, source, row, np.zeros(TILE, dtype))
    expected = np.exp(source.astype(float))
    out, expected = out.ravel(), expected.ravel()
    error = np.abs(out[:-4] - expected[:-4]) / np.spacing(expected[:-4].astype(dtype))
    assert error.max() <= 1
    assert out[-6] == 1
    assert (out[-4:-1] <= 1e-38).all()
    assert np.isnan(out[-1])


@pytest.mark.parametrize("rows", [1, 15, 16, 60, 64])
@pytest.mark.parametrize("columns", [1, 7, 16, 101])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_part_is_transposed_and_nothing_else_is_written(dtype, rows, columns):
    source, into = draw(70, 120, dtype=dtype), np.full((130, 80), 7, dtype)
    transpose(into, 9, 3, source, 5, 11, rows, columns, REGISTER // np.dtype(dtype).itemsize)
    expected = np.full_like(into, 7)
    expected[9 : 9 + columns, 3 : 3 + rows] = source[5 : 5 + rows, 11 : 11 + columns].T
    assert np.array_equal(into, expected)
