"""torch's uniform random numbers on a CPU, to the same bits and about ten times faster.

torch draws them one by one. Its generator is the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), whose words
can be renewed and turned into numbers many at a time. The generator itself stays torch's: its state is read before a
draw and written back after it, so whatever torch draws from it next is what it would have drawn.
"""

import logging
from functools import cache
from typing import Any, Literal

import numpy as np
import torch
from numba.extending import intrinsic
from torch import Tensor

from lthray.engine.tiles.compiling import Array, compiled

WORDS, MIDDLE = 624, 397
"""Words of the twister's state, and how far apart those are that are combined."""
BYTES = 5_056
"""Size of `torch.Generator.get_state()`."""
LEFT, NEXT, FIRST = 2, 4, 6
"""Where that state, as 32-bit numbers, has 1 + the words not drawn yet, the next word's index, and the words, each
followed by a zero."""
TRIALS = ((1, -0.3, 0.3), (700, -8 / 255, 8 / 255), (WORDS, -0.3, 0.3), (47, 0.0, 1.0), (5_000, -1.3, 0.7))
"""Draws that must be torch's before any is trusted: how many numbers, from where, to where."""

Rounding = Literal["fused", "separate", "unknown"]

_CPU = torch.device("cpu")
_UPPER, _LOWER, _MATRIX = np.uint32(0x80000000), np.uint32(0x7FFFFFFF), np.uint32(0x9908B0DF)
_TEMPER_7, _TEMPER_15 = np.uint32(0x9D2C5680), np.uint32(0xEFC60000)
_MANTISSA, _UNIT = np.uint32(2**24 - 1), np.float32(2**-24)
_NONE, _1, _7, _11, _15, _18 = (np.uint32(number) for number in (0, 1, 7, 11, 15, 18))

log = logging.getLogger(__name__)


@intrinsic  # type: ignore[untyped-decorator]
def _fused(_: Any, x: Any, factor: Any, summand: Any) -> Any:
    """`x * factor + summand`, rounded once."""
    return x(x, factor, summand), lambda context, builder, signature, arguments: builder.fma(*arguments)


@compiled
def _twisted(far: np.uint32, word: np.uint32, following: np.uint32) -> np.uint32:
    """The word that takes the place of `word`."""
    mixed = ((word & _UPPER) | (following & _LOWER)) >> _1
    return np.uint32(far ^ mixed ^ ((_NONE - (following & _1)) & _MATRIX))


@compiled
def _twist(words: Array) -> None:
    """Renews all words, in their order; the later ones are made of words that are new already.

    Those are renewed in two loops. Each is shorter than the distance between the words that it combines, from which
    LLVM sees that no turn needs the result of another, and uses whole registers.
    """
    split, half = WORDS - MIDDLE, (MIDDLE - 1) // 2
    for i in range(split):
        words[i] = _twisted(words[i + MIDDLE], words[i], words[i + 1])
    for i in range(half):
        words[i + split] = _twisted(words[i], words[i + split], words[i + split + 1])
    for i in range(half, MIDDLE - 1):
        words[i + split] = _twisted(words[i], words[i + split], words[i + split + 1])
    words[WORDS - 1] = _twisted(words[MIDDLE - 1], words[WORDS - 1], words[0])


@compiled
def _unit(word: np.uint32) -> np.float32:
    """A word, tempered, as a number in [0, 1): its last 24 bits."""
    word ^= word >> _11
    word ^= (word << _7) & _TEMPER_7
    word ^= (word << _15) & _TEMPER_15
    word ^= word >> _18
    return np.float32(np.int32(word & _MANTISSA)) * _UNIT


@compiled
def _fill(state: Array, values: Array, low: np.float32, high: np.float32, fused: bool) -> None:
    """Fills `values` with numbers from `low` to `high`, and advances a torch generator's state (uint32)."""
    words = np.empty(WORDS, np.uint32)
    for i in range(WORDS):
        words[i] = state[FIRST + 2 * i]
    unused, place = int(state[LEFT]) - 1, int(state[NEXT])
    span, done = high - low, 0
    while done < values.size:
        if unused == 0:
            _twist(words)
            unused, place = WORDS, 0
        count = min(unused, values.size - done)
        source, part = words[place : place + count], values[done : done + count]
        if fused:
            for i in range(count):
                part[i] = _fused(_unit(source[i]), span, low)
        else:
            for i in range(count):
                part[i] = _unit(source[i]) * span + low
        unused, place, done = unused - count, place + count, done + count
    for i in range(WORDS):
        state[FIRST + 2 * i] = words[i]
    state[LEFT], state[NEXT] = unused + 1, place


def uniform_(values: Tensor, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Fills a tensor as `values.uniform_(low, high, generator=generator)`, and leaves the generator as that does.

    Contiguous single precision on a CPU is drawn here, everything else by torch. No other thread may draw from the
    generator meanwhile.

    Args:
        values: Any shape.
        low: Lower bound, in the range.
        high: Upper bound, not below the lower.
        generator: On the device of `values`.
    """
    ours = values.dtype == torch.float32 and values.device == generator.device == _CPU and values.is_contiguous()
    way = rounding() if ours else "unknown"
    if way == "unknown":
        return values.uniform_(low, high, generator=generator)
    return _draw(values, low, high, generator, fused=way == "fused")


def _draw(values: Tensor, low: float, high: float, generator: torch.Generator, *, fused: bool) -> Tensor:
    state = generator.get_state()
    _fill(state.numpy().view(np.uint32), values.numpy().reshape(-1), np.float32(low), np.float32(high), fused)
    generator.set_state(state)
    return values


@cache
def rounding() -> Rounding:
    """How this process's torch scales a number in [0, 1) to a range; found by comparison with torch, once a process.

    `fused` if it multiplies and adds in one operation, `separate` if in two: that depends on torch's build and on
    `ATEN_CPU_CAPABILITY`. `unknown` if neither gives torch's bits or the generator's state is laid out in another way;
    then torch draws by itself.
    """
    seed = 5_489
    state = torch.Generator().manual_seed(seed).get_state().numpy()
    way: Rounding = "unknown"
    if state.nbytes == BYTES and state.view(np.uint32)[: FIRST + 2].tolist() == [seed, 0, 1, 1, 0, 0, seed, 0]:
        way = "fused" if _reproduces(seed, fused=True) else "separate" if _reproduces(seed, fused=False) else way
    log.debug("uniform random numbers: %s", "drawn by torch" if way == "unknown" else f"drawn by lthray, {way}")
    return way


def _reproduces(seed: int, *, fused: bool) -> bool:
    """Whether all of `TRIALS` give torch's numbers, and leave torch's state."""
    expected, actual = (torch.Generator().manual_seed(seed) for _ in range(2))
    return all(
        torch.equal(
            torch.empty(size).uniform_(low, high, generator=expected).view(torch.int32),
            _draw(torch.empty(size), low, high, actual, fused=fused).view(torch.int32),
        )
        and torch.equal(expected.get_state(), actual.get_state())
        for size, low, high in TRIALS
    )
