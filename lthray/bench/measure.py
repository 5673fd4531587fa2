"""How fast lthray trains and evaluates, beside other loops and beside what the processor allows.

Loops are measured in turns, in one process and on the same images: on a shared machine, ratios of neighbouring
measurements mean much more than seconds. The images are random: what a step costs does not depend on what they show.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lthray.bench.loops import Loop
from lthray.engine.data import Split
from lthray.engine.evaluation import evaluate
from lthray.engine.matmul import product
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import share_remaining
from lthray.engine.state import begin_round
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
IMAGES = 1_024
"""Images of an evaluation."""
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
    """Seconds of the dense matrix products alone, in the fastest repetition, times each layer's share of weights."""


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
        self.data = Split(torch.rand(size, 784, generator=draw), torch.randint(0, 10, (size,), generator=draw))
        self.evaluated = self.data.first(IMAGES)
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
            for name, peer in peers.items():
                jobs[name] = (partial(peer.evaluate, self.evaluated.images, self.evaluated.labels), IMAGES)
        else:
            training = train(begin_round(weights, [spec], number), masks, [spec], self.data, number)
            next(training)
            jobs = {"lthray": (lambda: next(training), LONGER * steps)}
            for name, peer in peers.items():
                count = LONGER * steps if self.loops[name].jitted else steps
                jobs[name] = (partial(peer.train, self.data.images, self.data.labels, count), count)
        limits = {f"limit {i}": job for i, job in enumerate(products(work, spec, masks))}
        seconds = alternate(jobs | limits, self.repeats, self.clock)
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
            limit=sum(
                float(mask.double().mean()) * min(seconds[name]) for mask, name in zip(masks, limits, strict=True)
            ),
        )


def products(work: str, spec: TrajectorySpec, masks: Layers) -> list[Job]:
    """The dense matrix products that the work requires: a job a layer, with its units of work."""
    trains = work.endswith("step")
    batch, times = (spec.batch_size, 10) if trains else (512, IMAGES // 512)
    attacks = [spec.train_attack] if trains else [attack.name for attack in spec.eval_attacks]
    # An FGSM step follows the gradient at the natural image, whose forward pass is done; PGD starts at noise.
    backward = sum({"none": 0, "fgsm": 1, "pgd": spec.pgd.steps}[attack] for attack in attacks)
    forward = 1 + sum({"none": 0, "fgsm": 1, "pgd": spec.pgd.steps + 1}[attack] for attack in attacks)
    trained = batch if spec.train_attack == "none" else 2 * batch

    def job(out: int, width: int, first: bool) -> Callable[[], object]:
        inputs, slopes, weight = torch.randn(trained, width), torch.randn(trained, out), torch.randn(out, width)

        def run() -> None:
            for _ in range(times):
                for _ in range(forward):
                    product(inputs[:batch], weight)
                for _ in range(backward):
                    product(slopes[:batch], weight.mT)
                if trains:
                    product(slopes.mT, inputs.mT)
                    if not first:
                        product(slopes, weight.mT)

        return run

    return [(job(mask.shape[1], mask.shape[2], i == 0), times if trains else IMAGES) for i, mask in enumerate(masks)]


def copy_speed(repeats: int, clock: Clock) -> Spread:
    """Bytes per second that a copy of 64 MiB reads and writes."""
    source = torch.ones(16 * 2**20)
    target = torch.empty_like(source)
    seconds = alternate({"copy": (lambda: target.copy_(source), 2 * source.nbytes)}, repeats, clock)["copy"]
    return Spread.compute([1 / second for second in seconds])


def product_speed(repeats: int, clock: Clock) -> Spread:
    """Floating-point operations per second of the first layer's product with 512 images."""
    images, weight = torch.randn(512, 784), torch.randn(300, 784)
    seconds = alternate({"product": (lambda: product(images, weight), 2 * 512 * 784 * 300)}, repeats, clock)["product"]
    return Spread.compute([1 / second for second in seconds])


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
