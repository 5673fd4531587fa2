"""Data sets as tensors, held whole on the device that trains."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lthray.engine.arrays import Arrays


@dataclass(frozen=True)
class Split:
    """Images and labels on a device."""

    images: Tensor
    """(n, D) float32 in [0, 1]."""
    labels: Tensor
    """(n,) int64."""


@dataclass(frozen=True)
class Dataset:
    """The three splits on a device."""

    train: Split
    validation: Split
    test: Split


def on_device(arrays: Arrays, validation_size: int, device: torch.device) -> Dataset:
    """The splits as tensors: validation is the first `validation_size` images, training the rest."""

    def split(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Split:
        pixels = torch.tensor(images, device=device).to(torch.float32).div_(arrays.white)
        return Split(pixels, torch.tensor(labels, device=device).to(torch.int64))

    return Dataset(
        train=split(arrays.images[validation_size:], arrays.labels[validation_size:]),
        validation=split(arrays.images[:validation_size], arrays.labels[:validation_size]),
        test=split(arrays.test_images, arrays.test_labels),
    )
