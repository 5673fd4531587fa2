"""The speed of libraries at the matrix products of LeNet-300-100: why `lthray.engine.tiles` has products of its own.

    python benchmarks/products.py [--repeats N]

Prints GF/s of torch's `@` (MKL, or what torch was built with), of oneDNN, of numpy, where JAX is installed of XLA, and
of lthray's kernels for whole layers (which compute gradients by weights and Adam together, so that these have no line
of their own), on one thread, by CPU seconds of the process; and the peak, that of products in the first-level cache.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec

import torch
from threadpoolctl import ThreadpoolController
from torch import Tensor

from lthray.bench.measure import Spread, alternate, peak_speed
from lthray.engine.tiles import dense
from lthray.engine.tiles.compiling import TILE, compiled
from lthray.engine.tiles.dense import DenseNetwork
from lthray.engine.tiles.members import dense_network, workspace
from lthray.engine.tiles.state import Workspace
from lthray.spec.trajectory import TrajectorySpec

BATCHES = (60, 120, 512)

Library = Callable[[Tensor, Tensor, int], Callable[[], object]]
"""Makes, from `a`, `b` and a number of times, what computes `a @ b.mT` that often."""


def main() -> None:
    """Measures every product and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="turns (default: %(default)s)")
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    libraries = {"@": _torch, "oneDNN": _onednn, _numpy_name(): _numpy} | ({"XLA": _xla()} if find_spec("jax") else {})
    print(f"peak: {peak_speed(repeats, time.process_time).median / 1e9:.0f} GF/s")
    print(f"{'product':<26}" + "".join(f"{name:>26}" for name in (*libraries, "lthray")))
    with ThreadpoolController().limit(limits=1):
        for name, a, b in _products():
            operations = 2 * len(a) * b.numel()
            times = max(1, 2 * 10**8 // operations)
            jobs = {library: (make(a, b, times), times * operations) for library, make in libraries.items()}
            if not name.startswith("weights"):
                jobs["lthray"] = (_kernels(name, a, b, times), times * operations)
            seconds = alternate(jobs, repeats, time.process_time).values()
            speeds = [Spread.compute([1e-9 / second for second in measured]).median for measured in seconds]
            print(f"{name:<26}" + "".join(f"{speed:21.0f} GF/s" for speed in speeds), flush=True)


def _products() -> Iterator[tuple[str, Tensor, Tensor]]:
    """Forward, to the inputs, and to the weights of each layer, by their name."""
    for batch in BATCHES:
        for out, width in TrajectorySpec().layer_sizes.values():
            images, slopes, weight = torch.randn(batch, width), torch.randn(batch, out), torch.randn(out, width)
            pairs = {"forward": (images, weight), "back": (slopes, weight.mT), "weights": (slopes.mT, images.mT)}
            for name, (a, b) in pairs.items():
                yield f"{name} {batch} x {width} -> {out}", a, b


@compiled
def _repeat(net: DenseNetwork, work: Workspace, back: bool, times: int) -> None:
    for _ in range(times):
        if back:
            dense.pixel_slopes(net, work.slope[0], 0, net.pixels)
        else:
            dense.forward(net, work.active[0])


def _kernels(name: str, a: Tensor, b: Tensor, times: int) -> Callable[[], object]:
    """The same products, tile by tile; what a tile lacks of 64 images is computed too, and not counted."""
    back = name.startswith("back")
    weight = (b.mT if back else b).contiguous()
    net = dense_network((weight,))
    work = workspace(net, 1, weight)
    work.active[:], work.slope[:] = 0.5, 0.5
    return lambda: _repeat(net, work, back, times * -(-len(a) // TILE))


def _torch(a: Tensor, b: Tensor, times: int) -> Callable[[], object]:
    return lambda: [a @ b.mT for _ in range(times)]


def _onednn(a: Tensor, b: Tensor, times: int) -> Callable[[], object]:
    return lambda: [torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "") for _ in range(times)]


def _numpy(a: Tensor, b: Tensor, times: int) -> Callable[[], object]:
    left, right = a.numpy(), b.mT.numpy()
    return lambda: [left @ right for _ in range(times)]


def _numpy_name() -> str:
    """With the library behind it, and the processor for which that library chose its kernels."""
    names = [
        f" ({each['internal_api']} {each.get('architecture', '')})"
        for each in ThreadpoolController().info()
        if each["user_api"] == "blas" and "numpy" in each["filepath"]
    ]
    return f"numpy{''.join(names[:1])}"


def _xla() -> Library:
    """Products in one compiled loop, each of which depends on the one before, or XLA would compute it once."""
    import jax
    from peers.jax_scan import start_xla

    start_xla(1)

    @partial(jax.jit, static_argnames="times")
    def loop(a: jax.Array, b: jax.Array, times: int) -> tuple[jax.Array, jax.Array]:
        def body(_: int, state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            changed = state[0].at[0, 0].set(state[1][0, 0])
            return changed, changed @ b.T

        return jax.lax.fori_loop(0, times, body, (a, a @ b.T))

    def make(a: Tensor, b: Tensor, times: int) -> Callable[[], object]:
        left, right = (jax.numpy.asarray(matrix.contiguous().numpy()) for matrix in (a, b))
        return lambda: jax.block_until_ready(loop(left, right, times - 1))

    return make


if __name__ == "__main__":
    main()
