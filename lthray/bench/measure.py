"""How fast lthray trains and evaluates, beside other loops and beside what the processor allows.

Loops are measured in turns, in one process and on the same images: on a shared machine, ratios of neighbouring
measurements mean much more than seconds. The images are random: what a step costs does not depend on what they show.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from lthray.bench.loops import Loop
from lthray.engine.data import Split
from lthray.engine.evaluation import evaluate
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import share_remaining
from lthray.engine.state import begin_round
from lthray.engine.tiles.compiling import Array, compiled
from lthray.engine.tiles.vectors import ROWS, multiply_block, width
from lthray.engine.training import train
from lthray.methods.criteria import prune
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec

WORKS = ("natural step", "fgsm step", "pgd step", "pgd evaluation")
"""Kinds of work: a training step against an attack, or an evaluation as a network trained this way is evaluated."""
EVERY_WORK = ("natural step", "natural evaluation", "fgsm step", "fgsm evaluation", "pgd step", "pgd evaluation")
"""The work of whole trajectories; natural networks are evaluated under FGSM and PGD."""
ROUNDS = (0, 3, 8, 15, 20)
"""Rounds measured by default: 100, 51.3, 16.9, 3.6 and 1.2 % of the weights."""
STEPS = {"none": 20, "fgsm": 10, "pgd": 5}
"""Consecutive training steps of a plain loop; lthray and jitted loops take LONGER times as many, which last as long."""
LONGER = 5
IMAGES, PEERS_IMAGES = 10_000, 1_024
"""Images of an evaluation: a test set for lthray, and enough for the other loops, which set nothing up."""
BEST_JITTED = "best jitted at each density"
"""The sum over rounds of each round's fastest jitted loop, although no user changes loops from round to round."""

Clock = Callable[[], float]
Job = tuple[Callable[[], object], int]


@dataclass(frozen=True)
class Spread:
    """The median and the quartiles of repetitions."""

    median: float
    low: float
    high: float

    @classmethod
    def compute(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Row:
    """One kind of work at one density."""

    work: str
    """One of EVERY_WORK."""
    round: int
    weights_remaining: float
    """Share of the weights, in (0, 1]."""
    seconds: dict[str, Spread]
    """Seconds of a step, or of an image of an evaluation, by loop; `lthray` is first."""
    ratio: dict[str, Spread]
    """Seconds of each other loop divided by lthray's, in each repetition."""
    limit: float
    """Seconds that the operations on remaining weights take at the processor's best speed (`peak_job`)."""


def alternate(jobs: Mapping[str, Job], repeats: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of a unit of each job, in each of `repeats` turns.

    Args:
        jobs: By name, what to do and how many units of work it is.
        repeats: Turns, after a first that is not counted.
        clock: Returns seconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for repeat in range(repeats + 1):
        for name, (job, units) in jobs.items():
            start = clock()
            job()
            if repeat:
                seconds[name].append((clock() - start) / units)
    return seconds


def pruned(spec: TrajectorySpec, rounds: int) -> tuple[Layers, Layers]:
    """First weights after `rounds` prunings, and their masks, (1, out, in) a layer."""
    drawn = glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT))
    weights: list[Tensor] = [weight[None] for weight in drawn]
    masks = [torch.ones_like(weight, dtype=torch.bool) for weight in weights]
    left = spec.weights_left(rounds)[rounds]
    masks = [prune(weight.abs(), mask, keep) for weight, mask, keep in zip(weights, masks, left.values(), strict=True)]
    return tuple(weight * mask for weight, mask in zip(weights, masks, strict=True)), tuple(masks)


class Bench:
    """Measures rows, all with the same images.

    Args:
        repeats: Turns, at least 2.
        loops: The loops to compare with, by name.
        clock: Returns seconds.
    """

    def __init__(self, repeats: int, loops: Mapping[str, Loop], clock: Clock) -> None:
        size = TrajectorySpec().train_size
        draw = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (size, 784), generator=draw, dtype=torch.uint8)
        self.data = Split(images, torch.randint(0, 10, (size,), generator=draw), white=255)
        self.floats, self.evaluated = self.data.as_floats(), self.data.first(IMAGES)
        self.repeats, self.loops, self.clock = repeats, loops, clock

    def rows(self, rounds: Sequence[int], works: Sequence[str] = WORKS) -> Iterator[Row]:
        """Every kind of work in each of the rounds' densities."""
        for work in works:
            for number in rounds:
                yield self.row(work, number)

    def row(self, work: str, number: int) -> Row:
        """One kind of work in the density of a round."""
        attack = work.split()[0].replace("natural", "none")
        steps = STEPS[attack]
        spec = TrajectorySpec.model_validate(
            {
                "train_attack": attack,
                "iterations": LONGER * steps * (self.repeats + 1),
                "eval_every": LONGER * steps,
            }
        )
        weights, masks = pruned(spec, number)
        network, kept = [weight[0] for weight in weights], [mask[0] for mask in masks]
        peers = {name: loop.make(network, kept, spec) for name, loop in self.loops.items()}
        if work.endswith("evaluation"):
            splits = {"test": self.evaluated}
            jobs: dict[str, Job] = {"lthray": (lambda: evaluate(weights, [spec], splits, number, 0), IMAGES)}
            some = self.floats.first(PEERS_IMAGES)
            for name, peer in peers.items():
                jobs[name] = (partial(peer.evaluate, some.images, some.labels), PEERS_IMAGES)
        else:
            training = train(begin_round(weights, [spec], number), masks, [spec], self.data, number)
            next(training)
            jobs = {"lthray": (lambda: next(training), LONGER * steps)}
            for name, peer in peers.items():
                count = LONGER * steps if self.loops[name].jitted else steps
                jobs[name] = (partial(peer.train, self.floats.images, self.floats.labels, count), count)
        seconds = alternate(jobs | {"peak": peak_job()}, self.repeats, self.clock)
        ours = seconds["lthray"]
        return Row(
            work=work,
            round=number,
            weights_remaining=share_remaining(masks),
            seconds={name: Spread.compute(seconds[name]) for name in jobs},
            ratio={
                name: Spread.compute([peer / own for peer, own in zip(seconds[name], ours, strict=True)])
                for name in peers
            },
            limit=operations(work, spec, masks) * min(seconds["peak"]),
        )


def operations(work: str, spec: TrajectorySpec, masks: Layers) -> int:
    """Multiplications and additions that a step or an evaluated image needs, with the remaining weights alone."""
    trains = work.endswith("step")
    attacks = [spec.train_attack] if trains else [attack.name for attack in spec.eval_attacks]
    # An FGSM step follows the gradient at the natural image, whose forward pass is done; PGD starts at noise.
    backward = sum({"none": 0, "fgsm": 1, "pgd": spec.pgd.steps}[attack] for attack in attacks)
    forward = 1 + sum({"none": 0, "fgsm": 1, "pgd": spec.pgd.steps + 1}[attack] for attack in attacks)
    losses = (1 if spec.train_attack == "none" else 2) if trains else 0
    first, *upper = (int(mask.sum()) for mask in masks)
    # The gradient with respect to the weights takes all layers' products once, and those back through the upper layers.
    passes = (first + sum(upper)) * (forward + backward + losses) + sum(upper) * losses
    return 2 * passes * (spec.batch_size if trains else 1)


def copy_speed(repeats: int, clock: Clock) -> Spread:
    """Bytes per second that a copy of 64 MiB reads and writes."""
    source = torch.ones(16 * 2**20)
    target = torch.empty_like(source)
    seconds = alternate({"copy": (lambda: target.copy_(source), 2 * source.nbytes)}, repeats, clock)["copy"]
    return Spread.compute([1 / second for second in seconds])


@compiled
def _multiply_in_cache(out: Array, weights: Array, factors: Array, wide: int, times: int) -> None:
    for _ in range(times):
        multiply_block(out, 0, wide, weights, 0, len(factors), 1, factors, 0, wide, len(factors), True)


def peak_job() -> Job:
    """Products of numbers in the first-level cache, which nothing slows down; a unit is an operation."""
    wide, depth, times = width(np.dtype(np.float32)), 128, 5_000
    out, weights, factors = (torch.zeros(shape).numpy() for shape in ((ROWS, wide), (ROWS, depth), (depth, wide)))
    return lambda: _multiply_in_cache(out, weights, factors, wide, times), 2 * ROWS * wide * depth * times


def peak_speed(repeats: int, clock: Clock) -> Spread:
    """Floating-point operations per second of `peak_job`."""
    return Spread.compute([1 / second for second in alternate({"peak": peak_job()}, repeats, clock)["peak"]])


def trajectory_seconds(
    rows: Sequence[Row], spec: TrajectorySpec, jitted: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Seconds of a whole trajectory, summed from the steps and images measured, by kind of work and by loop.

    Args:
        rows: Rows of each kind of work for every round of `spec`.
        spec: How many iterations, evaluations and images there are.
        jitted: Loops of which the fastest at each density makes the sum `BEST_JITTED`, if there are several.
    """
    images = len(spec.evaluation_iterations()) * (spec.validation_size + 10_000)
    seconds: dict[str, dict[str, float]] = {}
    for row in rows:
        medians = {name: spread.median for name, spread in row.seconds.items()}
        if len(jitted) > 1:
            medians[BEST_JITTED] = min(medians[name] for name in jitted)
        total = seconds.setdefault(row.work, dict.fromkeys(medians, 0.0))
        for name, median in medians.items():
            total[name] += (spec.iterations if row.work.endswith("step") else images) * median
    return seconds
