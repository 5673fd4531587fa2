"""Data sets in numpy's files."""

import numpy as np
import pytest

from lthray.driver.datasets import look, read
from lthray.engine.data import on_device
from lthray.engine.results import RoundResult
from lthray.engine.trajectory import run
from lthray.errors import InputError
from tests.driver.datasets.test_splits import content
from tests.helpers import CPU, own_fields


def save(path, write=np.savez, **arrays):
    with path.open("wb") as file:  # whatever its name is
        write(file, **arrays)


def test_a_file_is_looked_up_and_read_alike_however_it_is_compressed(tmp_path):
    arrays = content((3, 6, 5), validation=9)
    save(tmp_path / "a.npz", **arrays, names=np.array(["cat", None], object))
    save(tmp_path / "b.npz", np.savez_compressed, **arrays)
    facts, digest = look("a.npz", tmp_path, tmp_path)
    assert (facts.shape, facts.classes, facts.examples, facts.validation, facts.test) == ((3, 6, 5), 3, 39, 9, 12)
    assert look("b.npz", tmp_path, tmp_path) == (facts, digest)
    assert look(str(tmp_path / "b.npz"), tmp_path / "elsewhere", tmp_path) == (facts, digest)
    packed = read("a.npz", tmp_path, tmp_path, digest=digest)
    assert np.array_equal(packed.test_images, arrays["test_images"].reshape(12, -1))
    save(tmp_path / "a.npz", **content((3, 6, 5), validation=9))
    with pytest.raises(InputError, match=f"a.npz: has changed: its digest is [0-9a-f]{{64}}, but .* {digest}"):
        read("a.npz", tmp_path, tmp_path, digest=digest)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_trajectory_is_trained_on_it(dtype, tmp_path, make):
    save(tmp_path / "a.npz", **content((3, 6, 5), validation=9, dtype=dtype))
    facts, _ = look("a.npz", tmp_path, tmp_path)
    spec = make(**own_fields(facts), model="mlp", widths=[20], batch_size=7, iterations=60, train_attack="fgsm")
    data = on_device(read("a.npz", tmp_path, tmp_path), spec.validation_size, CPU)
    results = [result for (result,) in run([spec], data)]
    assert all(isinstance(result, RoundResult) for result in results)
    assert results[-1].ticket.weights["output"].shape == (3, 20)
    losses = {
        row.iteration: row.loss for row in results[0].curves if (row.split, str(row.attack)) == ("validation", "none")
    }
    assert losses.keys() == {0, 20, 40, 60}
    assert 0.5 < losses[60] < 3


def test_each_mistake_has_one_clear_line(tmp_path):
    def refused(line):
        with pytest.raises(InputError, match=line) as caught:
            look("a.npz", tmp_path, tmp_path)
        assert str(caught.value).startswith("dataset: a.npz: ")

    file = tmp_path / "a.npz"
    refused(r"a.npz can't be read \(No such file or directory\)")
    file.mkdir()
    refused(r"a.npz can't be read \(Is a directory\)")
    file.rmdir()
    for damaged in (b"", b"hello", b"PK\x03\x04 cut off"):
        file.write_bytes(damaged)
        refused("a.npz is no file of numpy.savez with train_images, train_labels, ")
    with file.open("wb") as stream:
        np.save(stream, np.zeros(3))
    refused("a.npz is a single array, but it should be made by numpy.savez")
    save(file, **content(train_labels=np.array([0, "1"] * 15, object)))
    refused(r"train_labels: can't be read \(Object arrays cannot be loaded when allow_pickle=False\)")
    save(file, **content(test_images=None))
    refused("test_images: is missing; found train_images, train_labels, test_labels")
