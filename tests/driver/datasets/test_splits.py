"""Arrays of the user's own, checked and packed."""

import numpy as np
import pytest
import torch

from lthray.driver.datasets.splits import check, mixed
from lthray.errors import InputError

rng = np.random.default_rng(0)


def content(shape=(6, 5), classes=3, validation=0, dtype=np.uint8, **changes):
    """A mapping as a user's file or function has it: 30 training images and 12 test images."""
    sizes = {"train": 30, "test": 12} | ({"validation": validation} if validation else {})
    arrays = {}
    for split, n in sizes.items():
        pixels = rng.random((n, *shape))
        arrays[f"{split}_images"] = (pixels * 255).astype(np.uint8) if dtype is np.uint8 else pixels.astype(dtype)
        arrays[f"{split}_labels"] = np.arange(n) % classes
    return {name: array for name, array in (arrays | changes).items() if array is not None}


@pytest.mark.parametrize(
    ("shape", "images"), [((7,), (7,)), ((6, 5), (1, 6, 5)), ((3, 6, 5), (3, 6, 5)), ((1, 8, 8), (1, 8, 8))]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("validation", [0, 9])
def test_images_of_any_shape_become_flat_rows_with_validation_first(shape, images, dtype, validation):
    arrays = content(shape, classes=4, validation=validation, dtype=dtype)
    splits = check("x.npz", arrays)
    facts = splits.facts()
    assert (facts.shape, facts.inputs, facts.classes, facts.test) == (images, np.prod(images), 4, 12)
    assert (facts.examples, facts.validation) == (30 + validation, validation or None)
    packed = splits.arrays()
    assert packed.images.shape == (30 + validation, facts.inputs)
    assert packed.images.dtype == (np.uint8 if dtype is np.uint8 else np.float32)
    assert packed.white == (255 if dtype is np.uint8 else 1)
    first = arrays["validation_images" if validation else "train_images"][0]
    assert np.array_equal(packed.images[0], first.reshape(-1).astype(packed.images.dtype))
    assert np.array_equal(packed.images[validation], arrays["train_images"][0].reshape(-1).astype(packed.images.dtype))
    assert packed.labels.tolist() == [*(np.arange(validation) % 4), *(np.arange(30) % 4)]


def test_lists_and_tensors_are_arrays_too():
    arrays = content(dtype=np.float32)
    tensors = {name: torch.tensor(array) for name, array in arrays.items()}
    lists = arrays | {name: array.tolist() for name, array in arrays.items() if name.endswith("labels")}
    expected = check("x", arrays).digest()
    assert check("x", tensors).digest() == check("x", lists).digest() == expected


def test_the_digest_follows_every_pixel_label_type_and_shape():
    arrays = content()
    changed = arrays["test_images"].copy()
    changed[-1, -1, -1] ^= 1
    labels = arrays["train_labels"].copy()
    labels[:2] = labels[1::-1]
    variants = [
        arrays,
        arrays | {"test_images": changed},
        arrays | {"train_labels": labels},
        arrays | {"train_labels": arrays["train_labels"].astype(np.int32)},
        {name: array.swapaxes(-1, -2) if array.ndim == 3 else array for name, array in arrays.items()},
        {name: array / np.float32(255) if array.ndim == 3 else array for name, array in arrays.items()},
        arrays | {"validation_images": arrays["test_images"], "validation_labels": arrays["test_labels"]},
    ]
    digests = [check("x", variant).digest() for variant in variants]
    assert len(set(digests)) == len(variants)
    assert check("y", dict(reversed(arrays.items())) | {"class_names": None}).digest() == digests[0]


def test_splits_sorted_by_class_are_mixed_and_others_stay():
    labels = np.repeat([0, 1, 2], [15, 10, 5])
    arrays = content(train_labels=labels)
    packed = check("x", arrays).arrays()
    assert packed.labels[:6].tolist() == [0, 1, 0, 2, 1, 0]
    for first in (6, 12, 18):
        assert np.bincount(packed.labels[:first], minlength=3).tolist() == [first // 2, first // 3, first // 6]
    order = mixed(labels)
    assert np.array_equal(packed.images, arrays["train_images"].reshape(30, -1)[order])
    assert all(np.array_equal(order[labels[order] == label], np.flatnonzero(labels == label)) for label in range(3))
    assert np.array_equal(packed.test_images, arrays["test_images"].reshape(12, -1))


def images(n=30, shape=(6, 5), value=0.5, dtype=np.float32):
    return np.full((n, *shape), value, dtype)


MISTAKES = {
    "no mapping": (lambda: [1, 2], "found list, but it should be a mapping of train_images, train_labels"),
    "nothing": (dict, "train_images: is missing; found no array"),
    "no test labels": (lambda: content(test_labels=None), "test_labels: is missing; found train_images, "),
    "half of validation": (lambda: content(validation_images=images(3)), "validation_labels: is missing"),
    "a misspelt name": (lambda: content(val_images=images(3)), "val_images: unknown array; there are train_images"),
    "too many axes": (lambda: content((1, 1, 6, 5)), r"train_images: found the shape \(30, 1, 1, 6, 5\), but allowed"),
    "no image": (lambda: content(test_images=images(0)), r"test_images: found the shape \(0, 6, 5\)"),
    "channels last": (lambda: content((32, 32, 3)), r"\(30, 32, 32, 3\), but channels come first: \(n, channels"),
    "whole numbers": (lambda: content(train_images=images(dtype=np.int64)), "train_images: found int64, but pixels"),
    "objects": (lambda: content(train_images=images().astype(object)), "train_images: found object, but pixels are"),
    "bytes of 0 and 1": (
        lambda: content(train_images=images(value=1, dtype=np.uint8)), "found no pixel above 1, but those of uint8"
    ),
    "floats up to 255": (lambda: content(dtype=np.float32, test_images=images(12, value=255)), "from 255 to 255, but"),
    "negative floats": (lambda: content(dtype=np.float32, test_images=images(12, value=-0.1)), "from -0.1 to -0.1"),
    "NaN": (lambda: content(dtype=np.float32, test_images=images(12, value=np.nan)), "found pixels from nan"),
    "one-hot labels": (lambda: content(train_labels=np.eye(30)), r"train_labels: found the shape \(30, 30\), but"),
    "labels that are floats": (lambda: content(train_labels=np.zeros(30)), "train_labels: found float64, but labels"),
    "negative labels": (lambda: content(train_labels=np.arange(30) - 1), "train_labels: found -1, but labels"),
    "other lengths": (lambda: content(train_labels=np.arange(29) % 3), "train_labels: found 29 for 30 images"),
    "another size": (lambda: content(test_images=content((5, 6))["test_images"]), "1x5x6 uint8, but train_images"),
    "another type": (lambda: content(test_images=images(12)), "test_images: found images of 1x6x5 float32, but train"),
    "a class of test alone": (lambda: content(test_labels=np.arange(12) % 5), "of class 3, but labels up to 4"),
    "labels from 1": (lambda: content(train_labels=np.arange(30) % 3 + 1), "no image of class 0, but labels up to 3"),
    "one class": (lambda: content(classes=1), "train_labels: found only one class"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_has_one_clear_line(mistake):
    make, line = MISTAKES[mistake]
    with pytest.raises(InputError, match=line) as caught:
        check("x.npz", make())
    assert str(caught.value).startswith("dataset: x.npz: ")
