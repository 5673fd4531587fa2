"""The speed of torch's two libraries at the matrix products of LeNet-300-100: the reason for `lthray.engine.matmul`.

    python benchmarks/products.py [--repeats N]

Prints GF/s of `@` (MKL, or what torch was built with) and of oneDNN, on one thread, by CPU seconds of the process.
"""

import argparse
import time

import torch
from torch import Tensor

from lthray.bench.measure import Spread, alternate
from lthray.spec.trajectory import TrajectorySpec

BATCHES = (60, 120, 512)


def main() -> None:
    """Measures every product and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="turns (default: %(default)s)")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    print(f"{'product':<34}{'@':>16}{'oneDNN':>16}")
    for batch in BATCHES:
        for out, width in TrajectorySpec().layer_sizes.values():
            images, slopes, weight = torch.randn(batch, width), torch.randn(batch, out), torch.randn(out, width)
            pairs = {"forward": (images, weight), "back": (slopes, weight.mT), "weights": (slopes.mT, images.mT)}
            for name, (a, b) in pairs.items():
                _compare(f"{name} {batch} x {width} -> {out}", a, b, 2 * batch * out * width, repeats)


def _compare(name: str, a: Tensor, b: Tensor, operations: int, repeats: int) -> None:
    times = max(1, 2 * 10**8 // operations)

    def plain() -> None:
        for _ in range(times):
            a @ b.mT

    def onednn() -> None:
        for _ in range(times):
            torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")

    work = times * operations
    seconds = alternate({"plain": (plain, work), "onednn": (onednn, work)}, repeats, time.process_time)
    speeds = [Spread.compute([1e-9 / one for one in found]).median for found in seconds.values()]
    print(f"{name:<34}" + "".join(f"{speed:11.0f} GF/s" for speed in speeds), flush=True)


if __name__ == "__main__":
    main()
