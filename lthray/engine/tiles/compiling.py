"""How the kernels are compiled."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.caching import FunctionCache

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


ADAM = Path(__file__).parents[1] / "adam.py"
SOURCES = hashlib.sha256(b"".join(file.read_bytes() for file in (ADAM, *sorted(Path(__file__).parent.glob("*.py")))))
"""Digest of all the source that kernels are compiled from."""


class _Cache(FunctionCache):  # type: ignore[misc]
    """Machine code on disk, of these sources.

    numba itself looks at the file of a function alone, not at those of the functions that it calls: after a change
    there, it would go on with machine code of before.
    """

    def _index_key(self, signature: Any, codegen: Any) -> tuple[Any, ...]:
        return (*super()._index_key(signature, codegen), SOURCES.hexdigest())


def compiled(function: F) -> F:
    """Compiles a function at its first call, and caches the machine code on disk for later processes."""
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher._cache = _Cache(function)
    return cast(F, dispatcher)
