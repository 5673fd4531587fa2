"""Uniform random numbers against torch's own: bits, and the generator they leave behind."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from lthray.engine import mersenne
from lthray.engine.mersenne import TRIALS, rounding, uniform_
from tests.helpers import ROOT, environment


def pair(seed=3):
    return tuple(torch.Generator().manual_seed(seed) for _ in range(2))


def bits(values):
    return values.contiguous().view(torch.int64 if values.dtype == torch.float64 else torch.int32)


def agree(values, low, high, ours, theirs):
    """Both fill a tensor like this, and are left alike."""
    actual = uniform_(torch.empty_like(values), low, high, ours)
    expected = torch.empty_like(values).uniform_(low, high, generator=theirs)
    return torch.equal(bits(actual), bits(expected)) and torch.equal(ours.get_state(), theirs.get_state())


@pytest.fixture
def asked_anew():
    """Forgets how torch rounds, before and after."""
    rounding.cache_clear()
    yield
    rounding.cache_clear()


def test_the_numbers_of_this_process_are_drawn_here():
    """Or all the tests below would hold torch against itself."""
    assert rounding() in ("fused", "separate")


@pytest.mark.parametrize(("low", "high"), [(-0.3, 0.3), (-8 / 255, 8 / 255), (0.0, 1.0), (-1e-30, 1e-30), (0.5, 0.5)])
def test_every_size_has_torchs_bits(low, high):
    ours, theirs = pair()
    for size in [*range(40), *range(600, 650), 1_247, 1_248, 1_249, 3_000, 5_001, 47_040]:
        assert agree(torch.empty(size), low, high, ours, theirs), size


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**63 - 1])
def test_every_seed_has_torchs_bits(seed):
    assert agree(torch.empty(60, 784), -0.3, 0.3, *pair(seed))


def test_draws_of_torchs_own_may_come_in_between():
    ours, theirs = pair()
    others = [
        lambda source: torch.randperm(100, generator=source),
        lambda source: torch.empty(7).uniform_(generator=source),
        lambda source: torch.empty(3).normal_(generator=source),  # an odd number: the next normal one is kept
        lambda source: torch.empty(5, dtype=torch.float64).normal_(generator=source),
        lambda source: torch.empty(50).normal_(generator=source),
        lambda source: torch.randint(9, (2,), generator=source),
    ]
    order = np.random.default_rng(0)
    for turn in range(200):
        other = others[order.integers(len(others))]
        assert torch.equal(other(ours), other(theirs)), turn
        assert agree(torch.empty(int(order.integers(1, 900))), -0.3, 0.3, ours, theirs), turn


def test_a_resumed_generator_goes_on_alike():
    ours, theirs = pair()
    assert agree(torch.empty(1_000), -0.3, 0.3, ours, theirs)
    resumed = torch.Generator()
    resumed.set_state(ours.get_state())
    assert agree(torch.empty(1_000), -0.3, 0.3, resumed, theirs)


def test_threads_draw_from_generators_of_their_own():
    def draw(seed):
        source = torch.Generator().manual_seed(seed)
        return torch.stack([uniform_(torch.empty(20_001), -0.3, 0.3, source) for _ in range(40)])

    with ThreadPoolExecutor(4) as threads:
        drawn = list(threads.map(draw, range(8)))
    for seed, values in enumerate(drawn):
        theirs = torch.Generator().manual_seed(seed)
        expected = [torch.empty(20_001).uniform_(-0.3, 0.3, generator=theirs) for _ in range(40)]
        assert torch.equal(values, torch.stack(expected)), seed


@pytest.mark.parametrize(
    "values", [torch.empty(50, 20, dtype=torch.float64), torch.empty(50, 20).T, torch.empty(9, 9)[:, ::2]]
)
def test_what_is_not_contiguous_and_single_is_left_to_torch(values):
    ours, theirs = pair()
    actual = uniform_(values, -0.3, 0.3, ours)
    assert actual is values
    twin = torch.empty_strided(values.shape, values.stride(), dtype=values.dtype)
    assert torch.equal(bits(actual), bits(twin.uniform_(-0.3, 0.3, generator=theirs)))
    assert torch.equal(ours.get_state(), theirs.get_state())


def test_numbers_are_written_into_the_part_of_a_tensor_that_is_meant():
    whole, (ours, theirs) = torch.zeros(3, 5, 4), pair()
    assert uniform_(whole[1], -0.3, 0.3, ours).data_ptr() == whole[1].data_ptr()
    assert torch.equal(whole[1], torch.empty(5, 4).uniform_(-0.3, 0.3, generator=theirs))
    assert not whole[0].any()
    assert not whole[2].any()


@pytest.mark.parametrize("wrong", ["number", "state"])
def test_one_wrong_bit_in_a_trial_leaves_all_draws_to_torch(wrong, asked_anew, monkeypatch, caplog):
    draw, size = mersenne._draw, TRIALS[-1][0]

    def spoil(values, low, high, source, *, fused):
        draw(values, low, high, source, fused=fused)
        if len(values) == size and wrong == "number":
            bits(values)[-1] ^= 1
        if len(values) == size and wrong == "state":
            torch.rand(1, generator=source)
        return values

    monkeypatch.setattr(mersenne, "_draw", spoil)
    with caplog.at_level(logging.DEBUG, mersenne.__name__):
        assert rounding() == "unknown"
    assert "drawn by torch" in caplog.text
    assert agree(torch.empty(size), -0.3, 0.3, *pair())


@pytest.mark.parametrize(("place", "change"), [("BYTES", 8), ("FIRST", 2)])
def test_a_state_laid_out_in_another_way_is_not_touched(place, change, asked_anew, monkeypatch):
    monkeypatch.setattr(mersenne, place, getattr(mersenne, place) + change)
    monkeypatch.setattr(mersenne, "_draw", lambda *arguments, **options: pytest.fail("the state was touched"))
    assert rounding() == "unknown"
    assert agree(torch.empty(1_000), -0.3, 0.3, *pair())


PROCESS = """
import torch
from lthray.engine.mersenne import rounding, uniform_
ours, theirs = (torch.Generator().manual_seed(5) for _ in range(2))
for size in (1, 700, 1000, 47040):
    for bound in (0.3, 8 / 255):
        drawn = uniform_(torch.empty(size), -bound, bound, ours)
        assert torch.equal(drawn, torch.empty(size).uniform_(-bound, bound, generator=theirs)), size
assert torch.equal(ours.get_state(), theirs.get_state())
print(torch.backends.cpu.get_cpu_capability(), rounding())
"""


def drawn_elsewhere(**variables):
    process = subprocess.run(
        [sys.executable, "-c", PROCESS], capture_output=True, text=True, cwd=ROOT, env=environment(**variables)
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.split()[-2:]


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_torch_is_followed_whatever_its_code_is_compiled_for(capability):
    used, way = drawn_elsewhere(ATEN_CPU_CAPABILITY=capability)
    if os.uname().machine == "x86_64":
        assert way == ("separate" if used == "DEFAULT" else "fused")
    assert way != "unknown"


def test_code_that_numba_reads_back_from_its_cache_has_the_same_bits(tmp_path):
    first, second = (drawn_elsewhere(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert first == second
    assert list(tmp_path.rglob("mersenne._fill*.nbc"))
    assert first[1] != "unknown"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names a processor of this architecture")
def test_a_processor_that_cannot_fuse_has_the_same_bits(tmp_path):
    variables = {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    assert drawn_elsewhere(**variables)[1] == rounding()
