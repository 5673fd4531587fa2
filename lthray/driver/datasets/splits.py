"""Images and labels of the user's own: the arrays `train_images`, `train_labels`, ... checked, measured and packed."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lthray.engine.arrays import Arrays
from lthray.errors import InputError
from lthray.methods.datasets import DatasetFacts

Array = np.ndarray[Any, Any]

SPLITS = {"validation": False, "train": True, "test": True}
"""The splits, in the order in which `Arrays` has them, and whether a data set must have them."""
NAMES = tuple(f"{split}_{part}" for split in ("train", "validation", "test") for part in ("images", "labels"))
"""The names of the arrays."""
WHITE = 255
"""Largest pixel of an image of bytes."""


@dataclass(frozen=True)
class Splits:
    """The arrays of a data set, checked."""

    images: dict[str, Array]
    """By split (n, channels, height, width) or (n, features): uint8 from 0 to 255, or float32 in [0, 1]."""
    labels: dict[str, Array]
    """By split (n,), whole numbers from 0 on."""

    def facts(self) -> DatasetFacts:
        """The sizes of the data set."""
        sizes = {split: len(labels) for split, labels in self.labels.items()}
        validation = sizes.get("validation")
        return DatasetFacts(
            shape=self.images["train"].shape[1:],
            classes=1 + max(int(labels.max()) for labels in self.labels.values()),
            examples=sizes["train"] + (validation or 0),
            validation=validation,
            test=sizes["test"],
            sha256={},
        )

    def digest(self) -> str:
        """SHA-256 of the arrays, in hex: their names, types, shapes and bytes."""
        content = hashlib.sha256()
        for split in sorted(self.images):
            for array in (self.images[split], self.labels[split]):
                content.update(f"{split} {array.dtype.str} {array.shape}\n".encode())
                content.update(array.data)
        return content.hexdigest()

    def arrays(self) -> Arrays:
        """The data set as workers get it.

        A split that is sorted by class is mixed, because its first images are used: those of training for validation,
        those of test under end attacks.
        """
        images, labels = {}, {}
        for split, numbers in self.labels.items():
            order = mixed(numbers) if (numbers[:-1] <= numbers[1:]).all() else slice(None)
            images[split] = self.images[split].reshape(len(numbers), -1)[order]
            labels[split] = numbers[order]
        trained = [split for split in SPLITS if split in images and split != "test"]
        return Arrays(
            images=_join([images[split] for split in trained]),
            labels=_join([labels[split] for split in trained]),
            test_images=images["test"],
            test_labels=labels["test"],
            white=WHITE if images["test"].dtype == np.uint8 else 1,
        )


def mixed(labels: Array) -> Array:
    """An order (n,) in which every part of the images has each class in proportion; those of a class stay in order."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def _join(arrays: list[Array]) -> Array:
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


@dataclass(frozen=True)
class ArraySource:
    """A data set that is there as arrays, once it is loaded."""

    name: str
    """As the sweep file has it."""
    load: Callable[[], object]
    """Gives a mapping of `NAMES` to arrays; those of the validation split may be missing."""

    def look(self) -> tuple[DatasetFacts, str]:
        """The sizes and the digest."""
        splits = check(self.name, self.load())
        return splits.facts(), splits.digest()

    def read(self) -> tuple[Arrays, str]:
        """The arrays and the digest."""
        splits = check(self.name, self.load())
        return splits.arrays(), splits.digest()


def check(name: str, content: object) -> Splits:
    """Checks the arrays of a data set.

    Args:
        name: The data set, as the sweep file has it.
        content: A mapping of `NAMES` to what numpy takes for an array. Other names are ignored, unless they end like
            these. Images of (n, height, width) have one channel.

    Raises:
        InputError: an array is missing, or not what it should be.
    """
    if not isinstance(content, Mapping):
        raise refusal(
            name, f"found {type(content).__name__}, but it should be a mapping of {', '.join(NAMES)} to arrays"
        )
    unknown = [key for key in map(str, content) if key.endswith(("_images", "_labels")) and key not in NAMES]
    if unknown:
        raise refusal(name, f"{unknown[0]}: unknown array; there are {', '.join(NAMES)}")
    images, labels = {}, {}
    for split, is_needed in SPLITS.items():
        if not is_needed and f"{split}_images" not in content and f"{split}_labels" not in content:
            continue
        for part in ("images", "labels"):
            if f"{split}_{part}" not in content:
                raise refusal(name, f"{split}_{part}: is missing; found {', '.join(map(str, content)) or 'no array'}")
        images[split] = _check_images(name, f"{split}_images", np.asarray(content[f"{split}_images"]))
        labels[split] = _check_labels(name, f"{split}_labels", np.asarray(content[f"{split}_labels"]))
        if len(images[split]) != len(labels[split]):
            raise refusal(name, f"{split}_labels: found {len(labels[split]):,} for {len(images[split]):,} images")
    check_alike(name, images)
    _check_classes(name, labels)
    return Splits(images, labels)


def refusal(name: str, problem: str) -> InputError:
    """The error that says what is wrong with a data set."""
    return InputError(f"dataset: {name}: {problem}")


def check_alike(name: str, images: Mapping[str, Array]) -> None:
    """Checks that all splits have images of one shape and type.

    Raises:
        InputError: they have not.
    """
    train = images["train"]
    for split, others in images.items():
        if others.shape[1:] != train.shape[1:] or others.dtype != train.dtype:
            found, expected = (f"{'x'.join(map(str, part.shape[1:]))} {part.dtype}" for part in (others, train))
            raise refusal(name, f"{split}_images: found images of {found}, but train_images has {expected}")


def _check_images(name: str, array: str, images: Array) -> Array:
    if images.ndim not in (2, 3, 4) or 0 in images.shape:
        allowed = "(n, height, width), (n, channels, height, width) or (n, features)"
        raise refusal(name, f"{array}: found the shape {images.shape}, but allowed are {allowed}")
    if images.ndim == 4 and images.shape[3] in (1, 3, 4) and images.shape[1] > 4:
        raise refusal(
            name, f"{array}: found the shape {images.shape}, but channels come first: (n, channels, height, width)"
        )
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise refusal(name, f"{array}: found {images.dtype}, but pixels are uint8 in [0, 255] or floats in [0, 1]")
    lowest, highest = images.min(), images.max()
    if images.dtype == np.uint8 and highest <= 1:
        raise refusal(name, f"{array}: found no pixel above {highest}, but those of uint8 images are in [0, 255]")
    if images.dtype.kind == "f":
        if not (lowest >= 0 and highest <= 1):  # NaN is neither
            raise refusal(name, f"{array}: found pixels from {lowest:g} to {highest:g}, but floats are in [0, 1]")
        images = images.astype(np.float32)
    if images.ndim == 3:
        images = images[:, None]
    return np.ascontiguousarray(images)


def _check_labels(name: str, array: str, labels: Array) -> Array:
    if labels.ndim != 1:
        raise refusal(name, f"{array}: found the shape {labels.shape}, but labels are (n,)")
    if labels.dtype.kind not in "iu":
        raise refusal(name, f"{array}: found {labels.dtype}, but labels are whole numbers from 0 on")
    if len(labels) and labels.min() < 0:
        raise refusal(name, f"{array}: found {labels.min()}, but labels are whole numbers from 0 on")
    return np.ascontiguousarray(labels)


def _check_classes(name: str, labels: Mapping[str, Array]) -> None:
    """Checks that the training images have at least two classes, and every class up to the largest label."""
    classes = 1 + max(int(numbers.max()) for numbers in labels.values())
    present = np.unique(labels["train"])
    if classes < 2:
        raise refusal(name, "train_labels: found only one class")
    if len(present) < classes:
        absent = next(number for number, label in enumerate([*present, classes]) if number != label)
        raise refusal(
            name,
            f"train_labels: found no image of class {absent}, but labels up to {classes - 1}: number them from 0 on",
        )
