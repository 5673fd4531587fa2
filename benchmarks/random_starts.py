"""The speed of PGD's random starts, drawn by torch and by `lthray.engine.mersenne`.

    python benchmarks/random_starts.py [--repeats N]

Prints microseconds for a batch and for a chunk of an evaluation, on one thread, by CPU seconds of the process.
"""

import argparse
import time

import torch

from lthray.bench.measure import Spread, alternate
from lthray.engine.arrays import CHUNK
from lthray.engine.mersenne import rounding, uniform_
from lthray.spec.trajectory import TrajectorySpec

NUMBERS = 5_000_000
"""Numbers that a turn draws."""


def main() -> None:
    """Measures both ways of drawing and prints a line for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="turns (default: %(default)s)")
    repeats = parser.parse_args().repeats
    print(f"rounding of torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}: {rounding()}")
    print(f"{'images':<16}{'torch':>12}{'lthray':>12}{'ratio':>8}")
    spec = TrajectorySpec()
    for images in (spec.batch_size, CHUNK["cpu"]):
        _compare(torch.empty(images, spec.inputs), spec.epsilon, repeats)


def _compare(noise: torch.Tensor, epsilon: float, repeats: int) -> None:
    source, times = torch.Generator().manual_seed(0), NUMBERS // noise.numel()

    def by_torch() -> None:
        for _ in range(times):
            noise.uniform_(-epsilon, epsilon, generator=source)

    def by_lthray() -> None:
        for _ in range(times):
            uniform_(noise, -epsilon, epsilon, source)

    seconds = alternate({"torch": (by_torch, times), "lthray": (by_lthray, times)}, repeats, time.process_time)
    medians = [Spread.compute(values).median for values in seconds.values()]
    ratio = Spread.compute([plain / ours for plain, ours in zip(*seconds.values(), strict=True)]).median
    cells = "".join(f"{1e6 * median:9.1f} µs" for median in medians)
    print(f"{' x '.join(map(str, noise.shape)):<16}{cells}{ratio:8.1f}", flush=True)


if __name__ == "__main__":
    main()
