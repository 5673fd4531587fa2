"""Data sets as tensors, held whole on the device that trains."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lthray.engine.arrays import Arrays


@dataclass(frozen=True)
class Split:
    """Images and labels on a device. Whole numbers take a quarter of the memory; what is computed with are floats."""

    images: Tensor
    """(n, D): uint8 from 0 to `white`, or floats in [0, 1]."""
    labels: Tensor
    """(n,) int64."""
    white: int = 1
    """Largest pixel value of uint8 images."""

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Some images as floats (..., D), and their labels (...), by their indices (...)."""
        images = self._to_floats(self.images.index_select(0, indices.flatten()))
        return images.view(*indices.shape, -1), self.labels[indices]

    def chunks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images as floats (B, D), and their labels (B,), `size` or at last fewer at a time.

        A chunk is valid until the next is taken, which may overwrite it: new memory for each would cost page faults.
        """
        room = self.images.new_empty(min(size, len(self.images)), *self.images.shape[1:], dtype=torch.float32)
        for images, labels in zip(torch.split(self.images, size), torch.split(self.labels, size), strict=True):
            yield self._to_floats(images, room[: len(images)]), labels

    def first(self, count: int) -> "Split":
        """The first images."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def as_floats(self) -> "Split":
        """The same images, all of them as floats."""
        return Split(self._to_floats(self.images), self.labels)

    def _to_floats(self, images: Tensor, room: Tensor | None = None) -> Tensor:
        """Images as floats, written into `room` if it is not None; floats are returned as they are."""
        if images.is_floating_point():
            return images
        floats = images.to(torch.float32) if room is None else room.copy_(images)
        return floats.div_(self.white)


@dataclass(frozen=True)
class Dataset:
    """The three splits on a device."""

    train: Split
    validation: Split
    test: Split


def on_device(arrays: Arrays, validation_size: int, device: torch.device) -> Dataset:
    """The splits as tensors: validation is the first `validation_size` images, training the rest.

    A CPU keeps bytes as bytes, because every trial has its copy; a GPU has the memory for floats, which spare it a pass
    a batch.
    """

    def split(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> Split:
        stored = Split(
            torch.tensor(images, device=device), torch.tensor(labels.astype(np.int64), device=device), arrays.white
        )
        return stored if device.type == "cpu" else stored.as_floats()

    return Dataset(
        train=split(arrays.images[validation_size:], arrays.labels[validation_size:]),
        validation=split(arrays.images[:validation_size], arrays.labels[:validation_size]),
        test=split(arrays.test_images, arrays.test_labels),
    )
