"""Data sets: read once by the driver, from files or a download, as the plain arrays that workers get."""

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import torch

from lthray.engine.data import Arrays
from lthray.errors import InputError, last_line
from lthray.methods.datasets import DATASETS

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


def is_here(name: str, folder: Path) -> bool:
    """Whether a data set needs no download."""
    return name not in FOLDERS or all((folder / FOLDERS[name] / "raw" / file).is_file() for file in FILES)


def read(name: str, folder: Path) -> Arrays:
    """Reads a data set, from `folder` where its files are there, else downloads them into it first.

    Raises:
        InputError: the files are not there and can't be downloaded, or are not what they should be.
    """
    arrays = _digits() if name == "digits-8x8" else _torchvision(name, folder)
    facts = DATASETS[name]
    if arrays.images.shape != (facts.examples, facts.inputs) or len(arrays.labels) != facts.examples:
        raise InputError(
            f"{folder / FOLDERS[name]}: found images of shape {arrays.images.shape} for {name}, but there should be"
            f" {facts.examples} of {facts.inputs} pixels; delete the folder and run again"
        )
    return arrays


def gather(names: Iterable[str], folder: Path, say: Callable[[str], None]) -> dict[str, Arrays]:
    """Reads data sets by name; says which it has to get.

    Raises:
        InputError: as in `read`.
    """
    data: dict[str, Arrays] = {}
    for name in sorted(set(names)):
        if not is_here(name, folder):
            say(f"getting {name} into {folder}")
        data[name] = read(name, folder)
    return data


def _torchvision(name: str, folder: Path) -> Arrays:
    from torchvision import datasets  # its import is slow, and digits-8x8 does without

    raw = folder / FOLDERS[name] / "raw"
    reader = getattr(datasets, FOLDERS[name])
    try:
        with redirect_stdout(io.StringIO()):  # some versions announce URLs
            train, test = (reader(root=str(folder), train=one, download=True) for one in (True, False))
    except (OSError, RuntimeError, ValueError, AssertionError, IndexError) as error:
        missing = ", ".join(f"{file}[.gz]" for file in FILES if not (raw / file).is_file())
        said = last_line(error)
        if missing:
            raise InputError(
                f"{name}: can't be downloaded ({said}); put {missing} into {raw},"
                " or name the folder that has them with --data-dir"
            ) from None
        what = "can't be read" if isinstance(error, OSError) else "a file is damaged; delete the folder and run again"
        raise InputError(f"{raw}: {what} ({said})") from None
    return Arrays(
        images=train.data.reshape(len(train.data), -1).numpy(),
        labels=train.targets.to(torch.uint8).numpy(),
        test_images=test.data.reshape(len(test.data), -1).numpy(),
        test_labels=test.targets.to(torch.uint8).numpy(),
        white=255,
    )


def _digits() -> Arrays:
    """scikit-learn's 1,797 digits of 8x8 pixels: a stratified fifth for validation, another for test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold

    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.uint8), labels.astype(np.uint8)
    folds = [fold for _, fold in StratifiedKFold(5, shuffle=True, random_state=0).split(images, labels)]
    order = np.concatenate([folds[0], *(folds[2:])])
    return Arrays(images[order], labels[order], images[folds[1]], labels[folds[1]], white=16)
