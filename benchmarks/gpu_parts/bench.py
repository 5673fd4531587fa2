"""What the sections of benchmarks/gpu.py share: sizes, data, the clock, and the paper's grid."""

import gzip
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from gpu_parts import loops

from lthray.bench.measure import Job, Spread, alternate
from lthray.driver.datasets.known import FOLDERS, read
from lthray.engine import captured
from lthray.engine.data import Dataset, on_device
from lthray.methods.datasets import DATASETS as KNOWN
from lthray.spec.trajectory import TrajectorySpec

ATTACKS = ("none", "fgsm", "pgd")
STRATEGIES = ("reset", "random", "continued")
DATASETS = 2
"""Data sets of the paper's grid."""
PAPER = TrajectorySpec(dataset="mnist")
ROUNDS, EVALUATIONS = PAPER.rounds + 1, len(PAPER.evaluation_iterations())

say = partial(print, flush=True)


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    dataset: str = "mnist"
    stacks: tuple[int, ...] = (15, 30, 90)
    """Networks of a stack; 15 are those of the paper's grid with the same data set and train attack."""
    growing: tuple[int, ...] = (1, 5, 15, 30, 60, 90, 180)
    """Networks of the stacks in which the one that saturates the device is looked for."""
    steps: int = 100
    repeats: int = 5
    agreement: int = 300
    """Iterations of a round trained on both devices."""
    precision: int = 5_000
    """Iterations trained with TF32 and without."""
    grid: int = 2_000
    """Iterations of a round of the grid's part."""
    seeds: int = 5
    rounds: int = 2
    compile_options: dict[str, str] = field(default_factory=lambda: {"mode": "reduce-overhead"})


QUICK = Sizes("digits-8x8", (2, 3), (1, 2), 5, 2, 10, 10, 10, 2, 1, {"backend": "eager"})


class Bench:
    """What the sections share."""

    def __init__(self, device: torch.device, sizes: Sizes, folder: Path, ways: Sequence[str]) -> None:
        self.device, self.sizes = device, sizes
        if sizes.dataset in FOLDERS:
            unpack(sizes.dataset, folder)
        self.arrays = read(sizes.dataset, folder)
        self.data = self.put(device)
        self.capture = loops.capture(device)
        self.ways = {name: way for name, way in loops.ways(self.capture).items() if name in ways}
        self.way = list(self.ways.values())[-1]

    def put(self, device: torch.device) -> Dataset:
        """The data set on a device."""
        return on_device(self.arrays, self.spec("none").validation_size, device)

    def spec(self, attack: str, **fields: object) -> TrajectorySpec:
        """A trajectory of the paper's protocol against a train attack."""
        return TrajectorySpec.model_validate({"dataset": self.sizes.dataset, "train_attack": attack} | fields)

    def stack(self, attack: str, size: int, **fields: object) -> list[TrajectorySpec]:
        """A stack of as many seeds."""
        return [self.spec(attack, seed=seed, **fields) for seed in range(size)]

    def clock(self) -> float:
        """Seconds, once the device has done all that was asked of it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    @contextmanager
    def graphs(self, way: str) -> Iterator[None]:
        """Lets the engine train stacks by CUDA graphs, where the way is `graph`, or without them."""
        before = os.environ.get(captured.VARIABLE)
        os.environ[captured.VARIABLE] = str(int(way == "graph"))
        try:
            yield
        finally:
            del os.environ[captured.VARIABLE]
            os.environ.update({} if before is None else {captured.VARIABLE: before})

    def measure(self, jobs: dict[str, Job]) -> dict[str, list[float]]:
        """Seconds of a unit of each job, in turns."""
        return alternate(jobs, self.sizes.repeats, self.clock)


def unpack(dataset: str, folder: Path) -> None:
    """Unpacks files that lie there as .gz alone; torchvision unpacks only archives that it knows by their MD5."""
    for name in KNOWN[dataset].sha256:
        file = folder / FOLDERS[dataset] / "raw" / name
        packed = file.with_name(f"{name}.gz")
        if packed.is_file() and not file.is_file():
            file.write_bytes(gzip.decompress(packed.read_bytes()))


def describe(spread: Spread, scale: float = 1.0, digits: int = 2) -> str:
    """A median and its quartiles."""
    median, low, high = (f"{scale * value:.{digits}f}" for value in (spread.median, spread.low, spread.high))
    return f"{median} [{low}, {high}]"


def trajectory_hours(step: float, evaluation: float) -> float:
    """Hours of a whole trajectory of the paper's grid, or of a stack, from the seconds of a step and an evaluation."""
    return ROUNDS * (PAPER.iterations * step + EVALUATIONS * evaluation) / 3600
