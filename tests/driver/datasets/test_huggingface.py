"""Folders that Hugging Face's package has saved, through the package itself."""

import sys

import numpy as np
import pytest
from PIL import Image

from lthray.driver.datasets import look, read
from lthray.errors import InputError

datasets = pytest.importorskip("datasets")
rng = np.random.default_rng(0)


def saved(folder, splits=("train", "test"), images="image", labels="label", kind=None, n=9):
    pixels = {split: rng.integers(0, 256, (n, 6, 5, 3), np.uint8) for split in splits}
    kind = kind or datasets.ClassLabel(names=["ant", "bee", "cow"])
    features = datasets.Features({"id": datasets.Value("string"), images: datasets.Image(), labels: kind})
    whole = datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {
                    "id": [str(number) for number in range(n)],
                    images: [Image.fromarray(picture) for picture in pixels[split]],
                    labels: [number % 3 for number in range(n)],
                },
                features=features,
            )
            for split in splits
        }
    )
    whole.save_to_disk(str(folder))
    return pixels


def rows(pixels):
    return pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)


@pytest.mark.parametrize(("images", "labels"), [("image", "label"), ("img", "species")])
def test_a_saved_folder_is_read(images, labels, tmp_path):
    pixels = saved(tmp_path / "animals", ("train", "validation", "test", "unlabelled"), images, labels)
    facts, digest = look("animals", tmp_path, tmp_path)
    assert (facts.shape, facts.classes, facts.examples, facts.validation, facts.test) == ((3, 6, 5), 3, 18, 9, 9)
    arrays = read("animals", tmp_path, tmp_path, digest=digest)
    assert np.array_equal(arrays.images, rows(np.concatenate([pixels["validation"], pixels["train"]])))
    assert np.array_equal(arrays.test_images, rows(pixels["test"]))
    assert arrays.labels.tolist() == [0, 1, 2] * 6


def test_the_digest_is_that_of_the_content_and_not_of_the_files(tmp_path):
    saved(tmp_path / "a")
    again = datasets.load_from_disk(str(tmp_path / "a"))
    again.save_to_disk(str(tmp_path / "b"), num_shards={"train": 2, "test": 1})
    assert look("a", tmp_path, tmp_path) == look("b", tmp_path, tmp_path)


def test_each_mistake_has_one_clear_line(tmp_path, monkeypatch):
    def refused(name, line):
        with pytest.raises(InputError, match=line) as caught:
            look(name, tmp_path, tmp_path)
        assert str(caught.value).startswith(f"dataset: {name}: ")

    saved(tmp_path / "a", ("train", "validation"))
    refused("a", "test_images: is missing; found")
    saved(tmp_path / "b", labels="species", kind=datasets.Value("int64"))
    refused("b", "has the columns id, image, species, but it should have one column of type Image, and one of")
    saved(tmp_path / "c")
    for file in (tmp_path / "c" / "train").glob("*.json"):
        file.unlink()
    refused("c", "c can't be read")
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused("c", r"needs the package datasets: pip install '?datasets")
