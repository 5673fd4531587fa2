"""Images as bytes, and as the floats that are computed with."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lthray.engine.arrays import Arrays
from lthray.engine.data import Dataset, Split, on_device
from lthray.engine.trajectory import run
from lthray.methods.datasets import DatasetFacts
from tests.helpers import CPU, own_arrays, same


@pytest.fixture(params=[16, 255])
def split(request) -> Split:
    """Two hundred images of 30 pixels in which every value occurs."""
    white = request.param
    images = (torch.arange(6_000) % (white + 1)).to(torch.uint8).view(200, 30)
    return Split(images, torch.arange(200), white)


def test_a_batch_and_a_chunk_have_the_pixels_of_the_whole_to_the_bit(split):
    whole = split.images.to(torch.float32).div_(split.white)
    assert torch.equal(split.as_floats().images, whole)
    assert (whole.min(), whole.max()) == (0, 1)
    indices = torch.randint(200, (3, 7))
    images, labels = split.batch(indices)
    assert torch.equal(images, whole[indices])
    assert torch.equal(labels, indices)
    parts = [(images.clone(), labels) for images, labels in split.chunks(64)]
    assert [len(labels) for _, labels in parts] == [64, 64, 64, 8]
    assert torch.equal(torch.cat([images for images, _ in parts]), whole)
    assert torch.equal(torch.cat([labels for _, labels in parts]), split.labels)
    assert torch.equal(split.first(5).as_floats().images, whole[:5])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_floats_stay_as_they_are(dtype):
    images = torch.rand(20, 3, dtype=dtype)
    split = Split(images, torch.arange(20))
    assert torch.equal(split.batch(torch.tensor([[4, 2]]))[0], images[None, [4, 2]])
    assert torch.equal(next(split.chunks(6))[0], images[:6])
    assert split.as_floats().images.dtype == dtype


def test_a_trial_on_a_cpu_keeps_bytes():
    images = np.arange(40, dtype=np.uint8).reshape(10, 4)
    data = on_device(Arrays(images, np.arange(10, dtype=np.uint8), images, np.arange(10, dtype=np.uint8), 255), 4, CPU)
    for split, size in ((data.train, 6), (data.validation, 4), (data.test, 10)):
        assert split.images.dtype == torch.uint8
        assert split.images.untyped_storage().nbytes() == size * 4
    assert data.train.labels.tolist() == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("labels", [np.uint8, np.int8, np.uint16, np.int64])
def test_images_are_bytes_or_floats_and_labels_any_whole_numbers(dtype, labels):
    arrays = own_arrays(DatasetFacts((2, 3, 5), 4, 20, 8, 7, {}), dtype)
    arrays = replace(arrays, labels=arrays.labels.astype(labels), test_labels=arrays.test_labels.astype(labels))
    data = on_device(arrays, 8, CPU)
    for split, images in ((data.validation, arrays.images[:8]), (data.test, arrays.test_images)):
        pixels = torch.cat([chunk.clone() for chunk, _ in split.chunks(3)])
        assert torch.equal(pixels, torch.tensor(images.astype(np.float32)) / (255 if dtype is np.uint8 else 1))
    assert (data.train.labels.dtype, data.train.labels.tolist()) == (torch.int64, arrays.labels[8:].tolist())


@pytest.mark.parametrize("criterion", ["magnitude", "adversarial-gradient"])
def test_bytes_and_floats_train_to_the_same_bits(criterion, make, digits):
    fields = {"train_attack": "pgd", "iterations": 20, "eval_every": 10, "rounds": 5, "end_attacks": ["pgd"]}
    spec = make(**fields, prune={"criterion": criterion, "rates": {"hidden_1": 0.3, "hidden_2": 0.3}})
    floats = Dataset(digits.train.as_floats(), digits.validation.as_floats(), digits.test.as_floats())
    for (of_bytes,), (of_floats,) in zip(run([spec], digits), run([spec], floats), strict=True):
        assert same(of_bytes, of_floats)
