"""How fast lthray trains and evaluates, beside other loops and beside what the processor allows.

What is compared runs in turns, in one process and on the same images: on a machine with other users seconds mean little
and ratios of neighbours mean much. The images are random, for what a step costs doesn't hang on what they show.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

import lthray
from lthray.engine.data import Split
from lthray.engine.evaluation import evaluate
from lthray.engine.matmul import product
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import share_remaining
from lthray.engine.state import begin_round
from lthray.engine.training import train
from lthray.errors import InputError
from lthray.methods.criteria import prune
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec

WORKS = ("natural step", "fgsm step", "pgd step", "pgd evaluation")
"""Kinds of work: a training step, or an evaluation of images as a network so trained is evaluated."""
EVERY_WORK = ("natural step", "natural evaluation", "fgsm step", "fgsm evaluation", "pgd step", "pgd evaluation")
"""What whole trajectories are made of; a natural one is evaluated under FGSM and PGD."""
ROUNDS = (0, 3, 8, 15, 20)
"""Rounds measured by default: 100, 51.3, 16.9, 3.6 and 1.2 % of the weights."""
STEPS = {"none": 20, "fgsm": 10, "pgd": 5}
"""Training steps in a row of another loop; lthray takes LONGER times as many, for a similar time."""
LONGER = 5
IMAGES = 1_024
"""Images of an evaluation."""
PEERS = Path(lthray.__file__).parents[1] / "benchmarks" / "peers.py"
"""Where a checkout has the loops to compare with."""


Clock = Callable[[], float]
Job = tuple[Callable[[], object], int]


@dataclass(frozen=True)
class Spread:
    """What repetitions gave: the median and the quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least two values."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass(frozen=True)
class Row:
    """One kind of work at one density."""

    work: str
    """One of EVERY_WORK."""
    round: int
    weights_remaining: float
    """Share, in (0, 1]."""
    seconds: dict[str, Spread]
    """Of a step, or of an evaluation's image, by who did it; `lthray` is first."""
    ratio: dict[str, Spread]
    """Seconds of each other loop divided by lthray's, repetition by repetition."""
    limit: float
    """Seconds of the dense matrix products alone, the best of all repetitions, by each layer's share of weights."""


def alternate(jobs: Mapping[str, Job], repeats: int, clock: Clock) -> dict[str, list[float]]:
    """Seconds of a unit of each job, in each of `repeats` rounds in which they take turns.

    Args:
        jobs: What to do and how many units that is, by name.
        repeats: Rounds, after one that is not counted.
        clock: Tells seconds.
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


def load_peers(file: Path) -> ModuleType:
    """The module that has `peers`, see benchmarks/peers.py of the repository.

    Raises:
        InputError: it is not there, or what it imports is not installed.
    """
    found = spec_from_file_location("lthray_bench_peers", file)
    if not file.is_file() or found is None or found.loader is None:
        raise InputError(f"{file}: no such Python file; --peers names one like the repository's benchmarks/peers.py")
    module = module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except ImportError as error:
        raise InputError(f"{file}: can't be imported: {error}") from None
    return module


class Bench:
    """Measures rows, all with the same images.

    Args:
        repeats: Turns, at least 2.
        peers: Where the other loops are, if anywhere.
        every_peer: Those of all libraries, not of the first alone.
        clock: Tells seconds.
    """

    def __init__(self, repeats: int, peers: ModuleType | None, every_peer: bool, clock: Clock) -> None:
        size = TrajectorySpec().train_size
        draw = torch.Generator().manual_seed(0)
        self.data = Split(torch.rand(size, 784, generator=draw), torch.randint(0, 10, (size,), generator=draw))
        self.few = Split(self.data.images[:IMAGES], self.data.labels[:IMAGES])
        self.repeats, self.peers, self.every_peer, self.clock = repeats, peers, every_peer, clock

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
        others = self._others(weights, masks, spec, attack) if work in WORKS else []
        jobs: dict[str, Job]
        if work.endswith("evaluation"):
            jobs = {"lthray": (lambda: evaluate(weights, [spec], {"test": self.few}, number, 0), IMAGES)}
            jobs |= {name: (partial(o.evaluate, self.few.images, self.few.labels), IMAGES) for name, o in others}
        else:
            training = train(begin_round(weights, [spec], number), masks, [spec], self.data, number)
            next(training)
            jobs = {"lthray": (lambda: next(training), LONGER * steps)}
            jobs |= {name: (partial(o.train, self.data.images, self.data.labels, steps), steps) for name, o in others}
        limits = {f"limit {i}": job for i, job in enumerate(products(work, spec, masks))}
        seconds = alternate(jobs | limits, self.repeats, self.clock)
        ours = seconds["lthray"]
        return Row(
            work=work,
            round=number,
            weights_remaining=share_remaining(masks),
            seconds={name: Spread.of(seconds[name]) for name in jobs},
            ratio={
                name: Spread.of([other / own for other, own in zip(seconds[name], ours, strict=True)])
                for name, _ in others
            },
            limit=sum(
                float(mask.double().mean()) * min(seconds[name]) for mask, name in zip(masks, limits, strict=True)
            ),
        )

    def _others(self, weights: Layers, masks: Layers, spec: TrajectorySpec, attack: str) -> list[tuple[str, Any]]:
        if self.peers is None:
            return []
        one = [weight[0] for weight in weights], [mask[0] for mask in masks]
        return list(self.peers.peers(*one, spec, attack, self.every_peer).items())


def products(work: str, spec: TrajectorySpec, masks: Layers) -> list[Job]:
    """The dense matrix products that the work can't do without, a job a layer, and for how many units they are."""
    trains = work.endswith("step")
    batch, times = (spec.batch_size, 10) if trains else (512, IMAGES // 512)
    attacks = [spec.train_attack] if trains else [attack.name for attack in spec.eval_attacks]
    # an FGSM step moves along the natural image's gradient; PGD starts at noise and needs a pass more
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
    """Bytes a second that a copy of 64 MiB reads and writes."""
    source = torch.ones(16 * 2**20)
    target = torch.empty_like(source)
    seconds = alternate({"copy": (lambda: target.copy_(source), 2 * source.nbytes)}, repeats, clock)["copy"]
    return Spread.of([1 / one for one in seconds])


def product_speed(repeats: int, clock: Clock) -> Spread:
    """Floating-point operations a second of the first layer's product with 512 images."""
    images, weight = torch.randn(512, 784), torch.randn(300, 784)
    seconds = alternate({"product": (lambda: product(images, weight), 2 * 512 * 784 * 300)}, repeats, clock)["product"]
    return Spread.of([1 / one for one in seconds])


def trajectory_seconds(rows: Sequence[Row], spec: TrajectorySpec) -> dict[str, dict[str, float]]:
    """Seconds of a whole trajectory, summed from the steps and images measured: of each kind of work, by who did it.

    Args:
        rows: Rows of each kind of work for every round of `spec`.
        spec: How many iterations, evaluations and images there are.
    """
    images = len(spec.evaluation_iterations()) * (spec.validation_size + 10_000)
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        total = found.setdefault(row.work, dict.fromkeys(row.seconds, 0.0))
        for name, spread in row.seconds.items():
            total[name] += (spec.iterations if row.work.endswith("step") else images) * spread.median
    return found
