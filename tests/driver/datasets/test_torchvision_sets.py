"""Torchvision's data sets, read from small files in torchvision's own formats."""

import gzip
import pickle

import numpy as np
import pytest
import torchvision.datasets
from scipy.io import savemat

from lthray.driver.datasets import look, read
from lthray.driver.datasets.torchvision_sets import SETS
from lthray.errors import InputError
from tests.driver.datasets.test_known import write_idx

rng = np.random.default_rng(0)


def test_every_class_is_there_and_takes_its_options():
    for name, (kind, splits) in SETS.items():
        assert hasattr(torchvision.datasets, kind), name
        assert {"train", "test"} <= splits.keys() <= {"train", "validation", "test"}


def write_cifar10(folder, monkeypatch, n=40, m=20):
    """Its pickled batches; the digests that torchvision expects are taken away."""
    root = folder / "cifar-10-batches-py"
    root.mkdir()
    images = {}
    for file, count in [*((f"data_batch_{number}", n // 5) for number in range(1, 6)), ("test_batch", m)]:
        images[file] = rng.integers(0, 256, (count, 3072), np.uint8)
        batch = {"data": images[file], "labels": [label % 10 for label in range(count)]}
        (root / file).write_bytes(pickle.dumps(batch))
    (root / "batches.meta").write_bytes(pickle.dumps({"label_names": [f"class {label}" for label in range(10)]}))
    kind = torchvision.datasets.CIFAR10
    for files in ("train_list", "test_list"):
        monkeypatch.setattr(kind, files, [[file, None] for file, _ in getattr(kind, files)])
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": None})
    return images


def test_cifar10_is_read_from_its_batches(tmp_path, monkeypatch):
    batches = write_cifar10(tmp_path, monkeypatch, n=100)
    facts, digest = look("cifar10", tmp_path / "sweeps", tmp_path)
    assert (facts.shape, facts.classes, facts.examples, facts.validation, facts.test) == (
        (3, 32, 32),
        10,
        100,
        None,
        20,
    )
    arrays = read("cifar10", tmp_path / "sweeps", tmp_path, digest=digest)
    assert np.array_equal(arrays.images, np.concatenate([batches[f"data_batch_{number}"] for number in range(1, 6)]))
    assert np.array_equal(arrays.test_images, batches["test_batch"])
    assert arrays.labels.tolist() == [*range(10), *range(10)] * 5
    assert arrays.white == 255


def test_kmnist_is_read_from_its_idx_files(tmp_path):
    raw = tmp_path / "KMNIST" / "raw"
    images = {part: rng.integers(0, 256, (30, 28, 28), np.uint8) for part in ("train", "t10k")}
    for part, pixels in images.items():
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels)
        write_idx(raw / f"{part}-labels-idx1-ubyte", (np.arange(30) % 10).astype(np.uint8))
    assert look("kmnist", tmp_path, tmp_path)[0].shape == (1, 28, 28)
    arrays = read("kmnist", tmp_path, tmp_path)
    assert np.array_equal(arrays.images, images["train"].reshape(30, -1))
    assert np.array_equal(arrays.test_images, images["t10k"].reshape(30, -1))


def test_svhn_is_read_from_its_matlab_files(tmp_path, monkeypatch):
    pixels = {}
    for split in ("train", "test"):
        pixels[split] = rng.integers(0, 256, (32, 32, 3, 20), np.uint8)
        labels = np.arange(1, 21)[:, None] % 10  # torchvision makes the 0 of its own 10
        savemat(tmp_path / f"{split}_32x32.mat", {"X": pixels[split], "y": np.where(labels == 0, 10, labels)})
    listed = {split: [url, file, None] for split, (url, file, _) in torchvision.datasets.SVHN.split_list.items()}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", listed)
    arrays = read("svhn", tmp_path, tmp_path)
    assert arrays.labels.tolist() == [*range(1, 10), 0, *range(1, 10), 0]
    assert np.array_equal(arrays.test_images, pixels["test"].transpose(3, 2, 0, 1).reshape(20, -1))


def test_emnist_is_named_by_its_kind(tmp_path):
    raw = tmp_path / "EMNIST" / "raw"
    for part in ("train", "test"):
        write_idx(raw / f"emnist-balanced-{part}-images-idx3-ubyte", rng.integers(0, 256, (94, 28, 28), np.uint8))
        write_idx(raw / f"emnist-balanced-{part}-labels-idx1-ubyte", (np.arange(94) % 47).astype(np.uint8))
    facts, _ = look("emnist-balanced", tmp_path, tmp_path)
    assert (facts.classes, facts.examples, facts.test) == (47, 94, 94)


def test_without_files_and_network_it_says_what_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    with pytest.raises(
        InputError, match=r"dataset: cifar10: can't be downloaded into .*CIFAR10 there.* --data-dir"
    ) as caught:
        look("cifar10", tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    write_cifar10(tmp_path, monkeypatch)
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(gzip.compress(b"something else"))
    for take in (look, read):
        with pytest.raises(InputError, match=r"cifar10: can't be downloaded into .*, or read there"):
            take("cifar10", tmp_path, tmp_path)
