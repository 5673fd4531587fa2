"""Tests in a fixed order, several such sequences sharing one level: what a page may state without correction inside.

A fixed sequence (Maurer, Hothorn and Lehmacher 1995) is tested one hypothesis after the other, each at the full level
of its sequence, until one is not rejected. So what it shows has no gap, and no correction is paid for its length. The
sequences of a page share the page's level by their weights; a sequence that is rejected to its end leaves its share to
the others (the graphical procedure of Bretz et al. 2009). However many hypotheses are true, the chance to reject one of
them is at most the page's level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

FIRST_LOOK = 0.8
"""The share of the level that the first look at a sweep may spend; later looks spend the rest."""


@dataclass(frozen=True)
class Walk:
    """How far a sequence was rejected, and the level of each of its tests."""

    rejected: int
    level: float


def walk_chains(chains: Sequence[Sequence[float]], weights: Sequence[float], level: float) -> list[Walk]:
    """Test several sequences that share a level.

    Args:
        chains: The p-values of each sequence in its order, at least one. NaN is a hypothesis that cannot be tested: the
            sequence ends there, and its share of the level goes to no other.
        weights: How the sequences share the level, and what others leave of it; above 0.
        level: The level that they share, in (0, 1).

    Returns:
        How many p-values of each sequence, from its first on, were rejected.
    """
    rejected, levels = [0] * len(chains), [level * weight / sum(weights) for weight in weights]
    finished: set[int] = set()
    while True:
        for place, chain in enumerate(chains):
            while rejected[place] < len(chain) and chain[rejected[place]] <= levels[place]:
                rejected[place] += 1
        ended = {place for place, chain in enumerate(chains) if rejected[place] == len(chain)} - finished
        finished |= ended
        waiting = [place for place in range(len(chains)) if place not in finished]
        if not ended or not waiting:
            return [Walk(*walk) for walk in zip(rejected, levels, strict=True)]
        left, whole = sum(levels[place] for place in ended), sum(weights[place] for place in waiting)
        for place in waiting:
            levels[place] += left * weights[place] / whole


def level_of_look(level: float, look: int) -> float:
    """What one of several looks at a growing sweep may spend: `FIRST_LOOK` of the level, then that part of the rest.

    However many looks there are, they spend no more than the level together (alpha spending, Lan and DeMets 1983).

    Args:
        level: The level of all looks together.
        look: Which look it is, from 1 on.
    """
    return level * FIRST_LOOK * (1 - FIRST_LOOK) ** (look - 1)
