"""How many weights a network has and how many each pruning leaves: whole numbers, from the rule alone."""

from collections.abc import Mapping

CLASSES = 10


def layer_sizes(inputs: int) -> dict[str, tuple[int, int]]:
    """The shape (out, in) of each layer of LeNet-300-100, in order, for images of `inputs` pixels."""
    return {"hidden_1": (300, inputs), "hidden_2": (100, 300), "output": (CLASSES, 100)}


def number_to_prune(remaining: int, rate: float, cutoff: str) -> int:
    """How many of a layer's `remaining` weights one pruning removes.

    `exclusive` is what the paper describes: `round(rate * remaining)`, half to even. `inclusive` is what its released
    code does: it removes every magnitude up to *and including* the one at that rank, one weight more.
    """
    count = round(rate * remaining)
    return min(remaining, count + 1) if cutoff == "inclusive" else count


def weights_remaining(
    sizes: Mapping[str, tuple[int, int]], rates: Mapping[str, float], cutoff: str, rounds: int
) -> list[dict[str, int]]:
    """Weights left in each layer in rounds 0..`rounds`: one mapping a round, round 0 being dense."""
    counts = [{name: out * width for name, (out, width) in sizes.items()}]
    for _ in range(rounds):
        counts.append({name: n - number_to_prune(n, rates[name], cutoff) for name, n in counts[-1].items()})
    return counts
