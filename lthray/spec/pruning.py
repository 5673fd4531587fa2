"""The fields that say how networks are pruned, and how many weights each pruning leaves."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, create_model

from lthray.methods import networks
from lthray.methods.criteria import CRITERIA
from lthray.spec.identity import Base
from lthray.spec.strict import Strict, one_of
from lthray.spec.training_fields import Names

WHOLE = "all"
"""The name that stands for the whole network where its layers are pruned together."""

Rate = Annotated[float, Field(ge=0, lt=1)]


_EXCEPT = "Patterns of the layers never to prune, a list, as output; their weights count as remaining."


class RatesSpec(Strict):
    """Share of a layer's remaining weights that one pruning removes, in [0, 1)."""

    hidden_1: Annotated[Rate, Base(0.2, later=True)] = 0.2
    """Rate of the first hidden layer."""
    hidden_2: Annotated[Rate, Base(0.2, later=True)] = 0.2
    """Rate of the second hidden layer."""
    output: Annotated[Rate, Base(0.1, later=True)] = 0.1
    """Rate of the output layer."""
    deeper: Annotated[Rate, Base(0.2, later=True)] = 0.2
    """Rate of each hidden layer from the third on."""
    convolution: Annotated[Rate, Base(0.1, later=True)] = 0.1
    """Rate of each convolution."""


_Patterns = create_model(  # `except` is a word of Python's own, which no class can declare as it declares others
    "_Patterns",
    __base__=Strict,
    **{"except": (Annotated[Names, Base((), later=True), Field(description=_EXCEPT)], ())},  # type: ignore[call-overload]
)


class PruneSpec(_Patterns):
    """Pruning between the rounds."""

    only: Annotated[Names, Base(())] = ()
    """Patterns of the layers to prune, a list, as conv*; [] for all linear layers and convolutions."""

    criterion: Annotated[str, one_of(CRITERIA, group="criteria"), Base("magnitude", later=True)] = "magnitude"
    """What scores the weights; those with the smallest scores are pruned."""
    scope: Annotated[Literal["layerwise", "global"], Base("layerwise", later=True)] = "layerwise"
    """Compare scores within each layer (layerwise, by `rates`) or over all layers at once (global, by `rate`)."""
    schedule: Annotated[Literal["iterative", "one-shot"], Base("iterative", later=True)] = "iterative"
    """Prune the previous round's network (iterative), or the dense one to as many weights in one pruning (one-shot)."""
    rates: RatesSpec = RatesSpec()
    """Share of each layer's remaining weights that one layerwise pruning removes."""
    rate: Annotated[Rate, Base(0.2, later=True)] = 0.2
    """Share of the network's remaining weights that one global pruning removes, in [0, 1)."""
    cutoff: Annotated[Literal["exclusive", "inclusive"], Base("exclusive", later=True)] = "exclusive"
    """Prune the round(p·n) smallest scores (exclusive), or one more as the released code does (inclusive)."""


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


def weights_left(
    prune: PruneSpec, layers: Mapping[str, networks.Shape], rounds: int, kept_whole: Collection[str] = ()
) -> list[dict[str, int]]:
    """Weights left in rounds 0..`rounds` of each layer, or of the whole network (`WHOLE`) where the scope is global.

    Args:
        prune: How the network is pruned.
        layers: The shape of each layer's weights.
        rounds: Number of prunings.
        kept_whole: The layers that are never pruned.
    """
    dense = networks.weights(layers)
    pruned = {name: n for name, n in dense.items() if name not in kept_whole}
    whole = {name: n for name, n in dense.items() if name in kept_whole}
    if prune.scope == "global":
        always = sum(whole.values())
        left = weights_remaining({WHOLE: sum(pruned.values())}, {WHOLE: prune.rate}, prune.cutoff, rounds)
        return [{WHOLE: counts[WHOLE] + always} for counts in left]
    rates = {name: getattr(prune.rates, networks.rate_of(name, layers)) for name in pruned}
    left = weights_remaining(pruned, rates, prune.cutoff, rounds)
    return [{name: (counts | whole)[name] for name in dense} for counts in left]


def check_rates(prune: PruneSpec, layers: Mapping[str, networks.Shape], model: str) -> None:
    """Checks that the rates set are those that the scope uses, and that each is for some layer of the network.

    Raises:
        ValueError: a rate has no use.
    """
    if prune.scope == "global" and prune.rates != RatesSpec():
        raise ValueError("prune.rates: is for prune.scope layerwise; with global, give prune.rate")
    if prune.scope == "layerwise" and prune.rate != PruneSpec().rate:
        raise ValueError("prune.rate: is for prune.scope global; with layerwise, give prune.rates")
    for name, rate in RatesSpec():
        if getattr(prune.rates, name) != rate and name not in {networks.rate_of(layer, layers) for layer in layers}:
            raise ValueError(f"prune.rates.{name}: is for no layer of {model}, which has {', '.join(layers)}")


def check_left(left: Sequence[Mapping[str, int]]) -> None:
    """Checks that every round keeps a weight of each group.

    Args:
        left: Weights left of each group, a mapping for each round.

    Raises:
        ValueError: a round prunes a group to nothing.
    """
    for number, groups in enumerate(left):
        for name, count in groups.items():
            if count < 1:
                what = "the network" if name == WHOLE else name
                raise ValueError(f"rounds: {len(left) - 1} prunes {what} to nothing in round {number}; fewer rounds")
