"""Data sets through the real readers."""

import gzip
import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedKFold

from lthray.driver.datasets import known
from lthray.engine.data import on_device
from lthray.errors import InputError
from lthray.methods.datasets import DATASETS
from tests.helpers import CPU


def write_idx(path, array: np.ndarray) -> None:
    """The format of the MNIST files: 0, 0, type 8 (uint8), dimensions, sizes big-endian, bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


def write_mnist(folder, name="MNIST", n=60_000):
    """Images whose first pixel is their label, as torchvision reads them; not the data set's own."""
    raw = folder / name / "raw"
    for prefix, size in (("train", n), ("t10k", 10_000)):
        labels = (np.arange(size) % 10).astype(np.uint8)
        images = np.zeros((size, 28, 28), np.uint8)
        images[:, 0, 0], images[:, 27, 27] = labels, 255
        write_idx(raw / f"{prefix}-images-idx3-ubyte", images)
        write_idx(raw / f"{prefix}-labels-idx1-ubyte", labels)
    return raw


def accept(monkeypatch, name, raw):
    """Declares that the files in `raw` are the data set's own."""
    digests = {file: hashlib.sha256((raw / file).read_bytes()).hexdigest() for file in DATASETS[name].sha256}
    monkeypatch.setitem(DATASETS, name, replace(DATASETS[name], sha256=digests))


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_files_are_read_in_place(name, folder, tmp_path, monkeypatch):
    raw = write_mnist(tmp_path, folder)
    accept(monkeypatch, name, raw)
    before = sorted(path.name for path in raw.iterdir())
    assert known.is_here(name, tmp_path)
    arrays = known.read(name, tmp_path)
    assert sorted(path.name for path in raw.iterdir()) == before
    assert arrays.images.shape == (60_000, 784)
    assert arrays.test_images.shape == (10_000, 784)
    assert arrays.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]

    splits = on_device(arrays, 10_000, CPU)
    assert (len(splits.train.labels), len(splits.validation.labels), len(splits.test.labels)) == (
        50_000,
        10_000,
        10_000,
    )
    assert splits.validation.as_floats().images[3, 0] == pytest.approx(3 / 255)
    assert splits.train.as_floats().images.max() == 1
    assert splits.train.as_floats().images.dtype == torch.float32
    assert splits.train.labels.dtype == torch.int64
    assert torch.equal(splits.validation.labels, torch.arange(10_000) % 10)


def test_digits_are_split_in_stratified_fifths_that_never_change():
    arrays = known.read("digits-8x8", None)
    splits = on_device(arrays, 360, CPU)
    assert (len(splits.train.labels), len(splits.validation.labels), len(splits.test.labels)) == (1_077, 360, 360)
    for split in (splits.validation, splits.test):
        assert split.labels.bincount().min() >= 34
        assert split.labels.bincount().max() <= 38
        assert (split.as_floats().images.min(), split.as_floats().images.max()) == (0, 1)
    everything = np.concatenate([arrays.images, arrays.test_images])
    assert len(everything) == 1_797
    assert int(arrays.images[:360].astype(int).sum()) == 113292
    assert int(arrays.test_images.astype(int).sum()) == 113091


def test_without_files_and_network_it_says_which_files_to_put_where(tmp_path, monkeypatch):
    monkeypatch.setattr("torchvision.datasets.FashionMNIST.mirrors", ["http://127.0.0.1:9/"], raising=False)
    monkeypatch.setattr(
        "torchvision.datasets.FashionMNIST.resources",
        [(f"http://127.0.0.1:9/{file}.gz", "0" * 32) for file in DATASETS["fashion-mnist"].sha256],
    )
    assert not known.is_here("fashion-mnist", tmp_path)
    with pytest.raises(InputError) as caught:
        known.read("fashion-mnist", tmp_path)
    line = str(caught.value)
    assert "\n" not in line
    assert "fashion-mnist: can't be downloaded" in line
    assert "train-images-idx3-ubyte[.gz]" in line
    assert str(tmp_path / "FashionMNIST" / "raw") in line
    assert "--data-dir" in line


def test_compressed_files_are_enough(tmp_path, monkeypatch):
    raw = write_mnist(tmp_path)
    accept(monkeypatch, "mnist", raw)
    resources = []
    for file in DATASETS["mnist"].sha256:
        (raw / f"{file}.gz").write_bytes(gzip.compress((raw / file).read_bytes(), 1))
        (raw / file).unlink()
        resources.append((f"{file}.gz", None))
    monkeypatch.setattr("torchvision.datasets.MNIST.resources", resources)
    assert known.read("mnist", tmp_path).images.shape == (60_000, 784)


def test_damaged_and_foreign_files_are_named(tmp_path):
    raw = write_mnist(tmp_path)
    whole = (raw / "train-images-idx3-ubyte").read_bytes()
    mismatch = r"raw/train-images-idx3-ubyte: found SHA-256 [0-9a-f]{64}, but mnist's has ba891046e650"
    for content in (whole, whole[:1_000_000], b"", b"hello"):
        (raw / "train-images-idx3-ubyte").write_bytes(content)
        with pytest.raises(InputError, match=mismatch) as caught:
            known.read("mnist", tmp_path)
        assert "\n" not in str(caught.value)


def test_another_data_set_in_the_folder_is_refused_by_its_name(tmp_path, monkeypatch):
    raw = write_mnist(tmp_path)
    accept(monkeypatch, "fashion-mnist", raw)
    with pytest.raises(
        InputError, match=r"train-images-idx3-ubyte: found fashion-mnist's, SHA-256 [0-9a-f]{64}, but mnist's has"
    ):
        known.read("mnist", tmp_path)
    accept(monkeypatch, "mnist", raw)
    changed = bytearray((raw / "t10k-labels-idx1-ubyte").read_bytes())
    changed[-1] ^= 1
    (raw / "t10k-labels-idx1-ubyte").write_bytes(changed)
    with pytest.raises(InputError, match=r"t10k-labels-idx1-ubyte: found SHA-256"):
        known.read("mnist", tmp_path)


def test_digits_that_scikit_learn_would_split_otherwise_are_refused(monkeypatch):
    folds = StratifiedKFold.split
    monkeypatch.setattr(StratifiedKFold, "split", lambda self, x, y: list(folds(self, x, y))[::-1])
    with pytest.raises(InputError, match="scikit-learn's digits, images: found SHA-256"):
        known.read("digits-8x8", None)
