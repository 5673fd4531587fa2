"""Matrix products by the faster of the two libraries that torch uses for them on a CPU."""

import torch
from torch import Tensor

WORTH_IT = 2**20
"""Number of multiplications from which oneDNN's kernels win back the 10 µs that each call costs."""


def product(a: Tensor, b: Tensor) -> Tensor:
    """The rows of `a` times the rows of `b`, `a @ b.mT`.

    In single precision on a CPU, large products of one network take oneDNN, which on a processor with AVX-512 is faster
    than the MKL behind `@` (benchmarks/products.py).

    Args:
        a: (m, k), or (S, m, k) for a stack.
        b: (n, k), or (S, n, k).

    Returns:
        (m, n), or (S, m, n).
    """
    if _pays_onednn(a, b):
        # Its ReLU is left out: it turns NaN into zero, which would hide a network that has diverged.
        result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
        return result
    return a @ b.mT


def _pays_onednn(a: Tensor, b: Tensor) -> bool:
    return (
        a.dim() == b.dim() == 2
        and a.shape[0] * b.numel() >= WORTH_IT
        and a.dtype == torch.float32
        and a.device.type == "cpu"
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
