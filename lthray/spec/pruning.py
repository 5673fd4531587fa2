"""The fields that say how networks are pruned, and how many weights each pruning leaves."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, create_model, model_validator

from lthray.methods import networks, structures
from lthray.methods.criteria import CRITERIA, LEARNED
from lthray.methods.strategies import SHUFFLED
from lthray.methods.structures import N_OF_M, STRUCTURES, UNITS, WEIGHTS
from lthray.spec import own
from lthray.spec.about import LOTTERY, PAPER, POSTER, About
from lthray.spec.identity import Base
from lthray.spec.numbers import Count, Number, Whole
from lthray.spec.strict import Strict, one_of
from lthray.spec.training_fields import Names

WHOLE = "all"
"""The name that stands for the whole network where its layers are pruned together."""

Rate = Annotated[Number, Field(ge=0, lt=1)]

SHARE = "share of the remaining weights"
N_OF_M_SOURCE = "Mishra et al. 2021"
PATTERNS = "a list of names of layers, with * for any letters"
HYDRA = "Sehwag et al. 2020 (HYDRA)"
CRITERIA_SOURCE = f"magnitude: {LOTTERY}; gradient: Lee et al. 2019; learned: {HYDRA}"

_EXCEPT = "Patterns of the layers never to prune, a list, as output; their weights count as remaining."


class RatesSpec(Strict):
    """Share of a layer's remaining weights that one pruning removes, in [0, 1)."""

    hidden_1: Annotated[Rate, Base(0.2, later=True), About(SHARE, LOTTERY, (0.1, 0.2))] = 0.2
    """Rate of the first hidden layer."""
    hidden_2: Annotated[Rate, Base(0.2, later=True), About(SHARE, LOTTERY, (0.1, 0.2))] = 0.2
    """Rate of the second hidden layer."""
    output: Annotated[Rate, Base(0.1, later=True), About(SHARE, LOTTERY, (0.1, 0.2))] = 0.1
    """Rate of the output layer."""
    deeper: Annotated[Rate, Base(0.2, later=True), About(SHARE, examples=(0.1, 0.2))] = 0.2
    """Rate of each hidden layer from the third on."""
    convolution: Annotated[Rate, Base(0.1, later=True), About(SHARE, LOTTERY, (0.1, 0.2))] = 0.1
    """Rate of each convolution."""


class StructureSpec(Strict):
    """What is pruned as a whole."""

    kind: Annotated[
        str, one_of(STRUCTURES), Base(WEIGHTS, later=True), About(source="n-of-m: Mishra et al. 2021, Zhou et al. 2021")
    ] = WEIGHTS
    """Prune single weights (none), all but n of every m consecutive ones (n-of-m), or whole output units (units)."""
    n: Annotated[Whole, Field(ge=1, le=1023), Base(2, later=True), About("weights", N_OF_M_SOURCE, (1, 2))] = 2
    """For n-of-m: weights that remain of every m in the end; round k keeps max(n, m - k)."""
    m: Annotated[Whole, Field(ge=2, le=1024), Base(4, later=True), About("weights", N_OF_M_SOURCE, (4, 8))] = 4
    """For n-of-m: weights of a group."""

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        for name in ("n", "m"):
            if self.kind != N_OF_M and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: is for kind {N_OF_M}, not {self.kind}")
        if self.n >= self.m:
            raise ValueError(f"n: {self.n} is not less than m, {self.m}, so nothing would be pruned")
        return self

    def kept(self, number: int) -> int:
        """How many of every m weights remain in a round."""
        return max(self.n, self.m - number)


class LearnedSpec(Strict):
    """How the scores of the criterion `learned` are learned."""

    iterations: Annotated[Count, Base(100, later=True), About("iterations", examples=(100, 1000))] = 100
    """Steps of gradient descent on the scores, at each pruning."""
    learning_rate: Annotated[Number, Field(gt=0), Base(0.1, later=True), About(source=HYDRA, examples=(0.01, 0.1))] = (
        0.1
    )
    """Learning rate of those steps."""


_Patterns = create_model(  # `except` is a word of Python's own, which no class can declare as it declares others
    "_Patterns",
    __base__=Strict,
    **{
        "except": (
            Annotated[
                Names,
                Base((), later=True),
                About(examples=([], ["output"]), values=PATTERNS),
                Field(description=_EXCEPT),
            ],
            (),
        )
    },  # type: ignore[call-overload]
)


class PruneSpec(_Patterns):
    """Pruning between the rounds."""

    only: Annotated[Names, Base(()), About(examples=([], ["hidden_*"]), values=PATTERNS)] = ()
    """Patterns of the layers to prune, a list, as conv*; [] for all linear layers and convolutions."""

    criterion: Annotated[
        str, one_of(CRITERIA, group="criteria"), Base("magnitude", later=True), About(source=CRITERIA_SOURCE)
    ] = "magnitude"
    """What scores the weights; the smallest scores are pruned."""
    learned: LearnedSpec = LearnedSpec()
    """How the scores of criterion learned are learned."""
    structure: StructureSpec = StructureSpec()
    """What is pruned as a whole."""
    scope: Annotated[Literal["layerwise", "global"], Base("layerwise", later=True), About(source=LOTTERY)] = "layerwise"
    """Compare scores within each layer (layerwise, by `rates`) or over all layers at once (global, by `rate`)."""
    schedule: Annotated[Literal["iterative", "one-shot"], Base("iterative", later=True), About(source=POSTER)] = (
        "iterative"
    )
    """Prune the previous round's network (iterative), or the dense one to as many weights in one pruning (one-shot)."""
    rates: RatesSpec = RatesSpec()
    """Share of each layer's remaining weights that one layerwise pruning removes."""
    rate: Annotated[Rate, Base(0.2, later=True), About(SHARE, LOTTERY, (0.1, 0.2))] = 0.2
    """Share of the network's remaining weights that one global pruning removes, in [0, 1)."""
    cutoff: Annotated[Literal["exclusive", "inclusive"], Base("exclusive", later=True), About(source=PAPER)] = (
        "exclusive"
    )
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
    if prune.scope == "global":
        always = sum(dense.values()) - sum(pruned.values())
        left = weights_remaining({WHOLE: sum(pruned.values())}, {WHOLE: prune.rate}, prune.cutoff, rounds)
        return [{WHOLE: counts[WHOLE] + always} for counts in left]
    if prune.structure.kind == N_OF_M:
        left = [
            {
                name: structures.weights_in_groups(layers[name], prune.structure.kept(number), prune.structure.m)
                for name in pruned
            }
            for number in range(rounds + 1)
        ]
    else:
        sizes = {name: structures.unit_size(layers[name]) if prune.structure.kind == UNITS else 1 for name in pruned}
        rates = {name: getattr(prune.rates, networks.rate_of(name, layers)) for name in pruned}
        whole = {name: n // sizes[name] for name, n in pruned.items()}
        counts = weights_remaining(whole, rates, prune.cutoff, rounds)
        left = [{name: n * sizes[name] for name, n in each.items()} for each in counts]
    return [dense | each for each in left]


def kept_whole(prune: PruneSpec, layers: Mapping[str, networks.Shape]) -> set[str]:
    """The layers that are never pruned; where units are pruned, the output layer, the last linear one, is among them.

    Raises:
        ValueError: a pattern names no layer, or nothing is left to prune.
    """
    whole = own.kept_whole(layers, prune.only, getattr(prune, "except"))
    if prune.structure.kind == UNITS:
        whole |= set([name for name, shape in layers.items() if len(shape) == 2][-1:])
        if len(whole) == len(layers):
            raise ValueError(f"prune.structure.kind: {UNITS} leaves no layer to prune, because the output keeps all")
    return whole


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


def check_learned(prune: PruneSpec) -> None:
    """Checks that the settings of learned scores are for a criterion that learns them.

    Raises:
        ValueError: they are for none.
    """
    for name, value in LearnedSpec():
        if getattr(prune.learned, name) != value and prune.criterion != LEARNED:
            raise ValueError(f"prune.learned.{name}: is for prune.criterion {LEARNED}, not {prune.criterion}")


def check_structure(prune: PruneSpec, rounds: int, strategy: str) -> None:
    """Checks that the other fields make sense beside the structure.

    Raises:
        ValueError: one does not.
    """
    kind, n, m = prune.structure.kind, prune.structure.n, prune.structure.m
    if kind == WEIGHTS:
        return
    if prune.scope == "global":
        raise ValueError(f"prune.scope: global compares single weights of all layers; with {kind}, take layerwise")
    if strategy == SHUFFLED:
        raise ValueError(f"strategy: {SHUFFLED} moves single weights, and prune.structure.kind {kind} prunes none")
    if kind == UNITS and prune.rates.output != RatesSpec().output:
        raise ValueError(f"prune.rates.output: has no use, because {UNITS} of the output layer are never pruned")
    if kind == N_OF_M:
        if prune.rates != RatesSpec():
            raise ValueError(f"prune.rates: is not for {kind}, where round k keeps max({n}, {m} - k) of every {m}")
        if prune.cutoff != PruneSpec().cutoff:
            raise ValueError(f"prune.cutoff: {prune.cutoff} is for rates, and {kind} has none; take exclusive")
        if rounds > m - n:
            raise ValueError(f"rounds: {rounds} is more than the {m - n} prunings that leave {n} of every {m} weights")


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
