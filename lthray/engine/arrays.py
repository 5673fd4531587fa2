"""Data sets as plain arrays, as the driver reads them and sends them to workers. It does so without torch."""

from dataclasses import dataclass
from typing import Any

import numpy as np

CHUNK = {"cpu": 512, "cuda": 5_000}
"""Images per pass, as suits a cache or a GPU. Part of the results: random starts are drawn chunk by chunk."""


@dataclass(frozen=True)
class Arrays:
    """A data set as it is stored and sent to workers."""

    images: np.ndarray[Any, np.dtype[np.uint8 | np.float32]]
    """Training and validation images (n, D), uint8 from 0 to `white` or float32 in [0, 1]; validation comes first."""
    labels: np.ndarray[Any, np.dtype[np.integer]]
    """Their labels (n,), from 0 on."""
    test_images: np.ndarray[Any, np.dtype[np.uint8 | np.float32]]
    """Test images (m, D)."""
    test_labels: np.ndarray[Any, np.dtype[np.integer]]
    """Their labels (m,)."""
    white: int
    """Largest pixel value: images are divided by it. It is 1 for floats."""
