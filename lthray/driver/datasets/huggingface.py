"""A data set of Hugging Face's package `datasets`, in a folder that `save_to_disk` wrote."""

from pathlib import Path
from typing import Any

import numpy as np

from lthray.driver.datasets.pictures import pixels, stack
from lthray.driver.datasets.splits import SPLITS, Array, refusal
from lthray.errors import last_line
from lthray.installing import install_command

MARK = "dataset_dict.json"
"""The file by which such a folder is known."""


def is_one(path: Path) -> bool:
    """Whether `save_to_disk` of a DatasetDict wrote a folder."""
    return (path / MARK).is_file()


def load(name: str, path: Path) -> dict[str, Array]:
    """The arrays of the splits `train`, `test` and, if it is there, `validation`.

    Raises:
        InputError: the package is missing, the folder can't be read, or has no column of images or of labels.
    """
    try:
        import datasets
    except ModuleNotFoundError:
        raise refusal(name, f"needs the package datasets: {install_command('datasets')}") from None
    arrays: dict[str, Array] = {}
    try:
        saved = datasets.load_from_disk(str(path))
        for split in SPLITS.keys() & saved.keys():
            images, labels = _columns(name, split, saved[split].features)
            places = [f"{split} image {place}" for place in range(len(saved[split]))]
            arrays[f"{split}_images"] = stack(name, places, (pixels(row[images]) for row in saved[split]))
            arrays[f"{split}_labels"] = np.array(saved[split][labels][:])
    except (OSError, ValueError) as error:
        raise refusal(name, f"{path} can't be read ({last_line(error)})") from None
    return arrays


def _columns(name: str, split: str, features: Any) -> tuple[str, str]:
    """The names of the columns of images and of labels: the only one of its type, or the one named `label`."""
    from datasets import ClassLabel, Image

    images = [column for column, kind in features.items() if isinstance(kind, Image)]
    labels = [column for column, kind in features.items() if isinstance(kind, ClassLabel)]
    labels = ["label"] if "label" in features else labels
    if len(images) != 1 or len(labels) != 1:
        raise refusal(
            name,
            f"{split} has the columns {', '.join(features)}, but it should have one column of type Image, and one of"
            " type ClassLabel or named label",
        )
    return images[0], labels[0]
