"""Folders of class folders with real pictures."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from lthray.driver.datasets import look, read
from lthray.errors import InputError

SPLITS = {"train": 12, "test": 6}
CLASSES = ("ant", "bee", "cow")


def write(folder, mode="RGB", size=(5, 6), suffix="png", splits=SPLITS):
    """Pictures of random pixels, as many of each class; the size is width and height, as Pillow has it."""
    rng = np.random.default_rng(0)
    shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
    for split, n in splits.items():
        for number in range(n):
            place = folder / split / CLASSES[number % 3]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 256, shape, np.uint8)).save(place / f"{number:03}.{suffix}")


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("validation", [{}, {"validation": 6}])
def test_pictures_are_those_of_torchvision_mixed_over_the_classes(mode, channels, suffix, validation, tmp_path):
    write(tmp_path / "animals", mode, suffix=suffix, splits=SPLITS | validation)
    facts, digest = look("animals", tmp_path, tmp_path)
    assert (facts.shape, facts.classes, facts.test) == ((channels, 6, 5), 3, 6)
    assert (facts.examples, facts.validation) == (12 + len(validation) * 6, validation.get("validation"))
    arrays = read("animals", tmp_path, tmp_path, digest=digest)
    first = validation.get("validation", 0)
    assert arrays.labels[first:].tolist() == [0, 1, 2] * 4
    assert arrays.test_labels.tolist() == [0, 1, 2] * 2
    for split, images, labels in (
        ("test", arrays.test_images, arrays.test_labels),
        ("train", arrays.images[first:], arrays.labels[first:]),
    ):
        theirs = [(np.asarray(picture), label) for picture, label in ImageFolder(str(tmp_path / "animals" / split))]
        for label in range(3):
            expected = [pixels.transpose(2, 0, 1)[:channels].reshape(-1) for pixels, own in theirs if own == label]
            assert np.array_equal(images[labels == label], expected)


def test_grey_pictures_among_coloured_ones_get_three_channels(tmp_path):
    write(tmp_path)
    place = tmp_path / "train" / "bee" / "001.png"
    Image.open(place).convert("L").save(place)
    assert look(".", tmp_path, tmp_path)[0].shape == (3, 6, 5)
    grey = read(".", tmp_path, tmp_path).images[1].reshape(3, -1)
    assert np.array_equal(grey[0], grey[1])
    assert np.array_equal(grey[0], np.asarray(Image.open(place)).reshape(-1))


def test_the_digest_follows_names_and_contents_and_not_the_place(tmp_path):
    digests = set()
    write(tmp_path / "a")
    write(tmp_path / "b" / "c")
    digests.add(look("a", tmp_path, tmp_path)[1])
    assert look("b/c", tmp_path, tmp_path)[1] in digests
    (tmp_path / "a" / "notes.txt").write_text("nothing of the data set")
    assert look("a", tmp_path, tmp_path)[1] in digests
    (tmp_path / "a" / "train" / "ant" / "000.png").rename(tmp_path / "a" / "train" / "ant" / "0.png")
    digests.add(look("a", tmp_path, tmp_path)[1])
    (tmp_path / "a" / "train" / "ant" / "0.png").rename(tmp_path / "a" / "train" / "bee" / "0.png")
    digests.add(look("a", tmp_path, tmp_path)[1])
    picture = tmp_path / "a" / "test" / "cow" / "002.png"
    Image.open(picture).rotate(180).save(picture)
    digests.add(look("a", tmp_path, tmp_path)[1])
    assert len(digests) == 4
    with pytest.raises(InputError, match="b/c: has changed"):
        read("b/c", tmp_path, tmp_path, digest=look("a", tmp_path, tmp_path)[1])


def test_each_mistake_has_one_clear_line(tmp_path):
    write(tmp_path / "a")
    train, test = tmp_path / "a" / "train", tmp_path / "a" / "test"
    picture = train / "cow" / "005.png"
    whole = picture.read_bytes()

    def refused(line, *takers):
        for take in takers or (look, read):
            with pytest.raises(InputError, match=line) as caught:
                take("a", tmp_path, tmp_path)
            assert str(caught.value).startswith("dataset: a: ")

    Image.open(picture).resize((7, 6)).save(picture)
    refused("train/cow/005.png has 6x7 pixels, but train/ant/000.png has 6x5: all must have one size")
    picture.write_bytes(b"hello")
    refused(r"train/cow/005.png can't be read \(cannot identify image file")
    picture.write_bytes(whole[:60])
    refused("train/cow/005.png can't be read", read)
    Image.fromarray(np.zeros((6, 5), np.uint16)).save(picture)
    refused(r"train/cow/005.png can't be read \(its pixels have more than 8 bits \(mode I")
    picture.write_bytes(whole)

    (test / "cow").rename(test / "dog")
    refused("test and train have different class folders: cow is in one of them alone")
    (test / "dog").rename(test / "cow")
    test.rename(tmp_path / "a" / "tests")
    refused("a/test: No such file or directory")
    (tmp_path / "a" / "tests").rename(test)
    for path in (train / "bee").iterdir():
        path.unlink()
    refused("a/train: .*bee")
    write(tmp_path / "b", splits={"train": 12})
    write(tmp_path / "b", "L", splits={"test": 6})
    for take in (look, read):
        with pytest.raises(InputError, match=r"test.*, but train"):
            take("b", tmp_path, tmp_path)


FOLDER = Path(os.environ.get("LTHRAY_DATA_DIR", "nowhere")) / "cifar10-jpeg"


@pytest.mark.skipif(not FOLDER.is_dir(), reason="set LTHRAY_DATA_DIR to a folder with CIFAR-10 as class folders")
def test_the_real_pictures_of_cifar10_are_read():
    facts, digest = look(str(FOLDER), Path(), Path())
    assert (facts.shape, facts.classes, facts.examples, facts.test) == ((3, 32, 32), 10, 50_000, 10_000)
    arrays = read(str(FOLDER), Path(), Path(), digest=digest)
    assert np.bincount(arrays.labels[:5_000]).tolist() == [500] * 10
    assert np.bincount(arrays.test_labels[:2_000]).tolist() == [200] * 10
    mean = arrays.images.reshape(-1, 3, 1_024).mean((0, 2)) / 255
    assert mean == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.003)  # the official arrays' means
