"""How many weights a network has and how many each pruning leaves: whole numbers, from the rule alone."""

from collections.abc import Mapping

CLASSES = 10


def number_to_prune(remaining: int, rate: float, cutoff: str) -> int:
    """How many of `remaining` weights one pruning removes.

    `exclusive` is what the paper describes: `round(rate * remaining)`, half to even. `inclusive` is what its released
    code does: it removes every magnitude up to *and including* the one at that rank, one weight more.
    """
    count = round(rate * remaining)
    return min(remaining, count + 1) if cutoff == "inclusive" else count


def weights_remaining(
    dense: Mapping[str, int], rates: Mapping[str, float], cutoff: str, rounds: int
) -> list[dict[str, int]]:
    """Weights left in rounds 0..`rounds` of each group that is pruned together: one mapping a round.

    Args:
        dense: Weights of each group in round 0; a layer is a group, or the whole network is.
        rates: Share of a group's remaining weights that one pruning removes.
        cutoff: See `number_to_prune`.
        rounds: Number of prunings.
    """
    counts = [dict(dense)]
    for _ in range(rounds):
        counts.append({name: n - number_to_prune(n, rates[name], cutoff) for name, n in counts[-1].items()})
    return counts
