"""How the kernels are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

TILE = 64
"""Images that lie side by side."""

Array = np.ndarray[Any, np.dtype[Any]]
Number = np.floating[Any]
"""A scalar in the precision of the weights: with Python's floats numba would compute in double."""

F = TypeVar("F", bound=Callable[..., Any])

# LLVM may neither reorder sums nor fuse operations by itself: where speed needs either, `vectors` says exactly which
# operations are done in which order. So a result depends neither on the width of a processor's registers nor on what
# numba has read back from its cache. Division by zero follows IEEE ("numpy"), and the GIL is released so that
# trajectories train in threads.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}


def compiled(function: F) -> F:
    """Compiles a function at its first call, and caches the machine code on disk for later processes."""
    return cast(F, numba.njit(cache=True, **OPTIONS)(function))
