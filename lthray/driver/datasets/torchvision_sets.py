"""The classification data sets of torchvision whose images have one size, by their names in lower case."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np

from lthray.driver.datasets.known import hide_bars_from_logs
from lthray.driver.datasets.pictures import pixels, stack
from lthray.driver.datasets.splits import Array, refusal
from lthray.errors import last_line

Options = dict[str, Any]

BY_FLAG: dict[str, Options] = {"train": {"train": True}, "test": {"train": False}}
BY_NAME: dict[str, Options] = {"train": {"split": "train"}, "test": {"split": "test"}}
THREE: dict[str, Options] = BY_NAME | {"validation": {"split": "val"}}

SETS: dict[str, tuple[str, dict[str, Options]]] = {
    "cifar10": ("CIFAR10", BY_FLAG),
    "cifar100": ("CIFAR100", BY_FLAG),
    **{
        f"emnist-{kind}": ("EMNIST", {split: {"split": kind, **flag} for split, flag in BY_FLAG.items()})
        for kind in ("balanced", "byclass", "bymerge", "digits")
    },
    "kmnist": ("KMNIST", BY_FLAG),
    "pcam": ("PCAM", THREE),
    "qmnist": ("QMNIST", BY_FLAG),
    "renderedsst2": ("RenderedSST2", THREE),
    "stl10": ("STL10", BY_NAME),
    "svhn": ("SVHN", BY_NAME),
    "usps": ("USPS", BY_FLAG),
}
"""Class of each data set, and what its constructor takes for each split."""


def load(name: str, data_dir: Path) -> dict[str, Array]:
    """The arrays of a data set, from its files in `data_dir`; missing files are downloaded into it first.

    Raises:
        InputError: the files are not there and can't be downloaded, or can't be read.
    """
    hide_bars_from_logs()
    from torchvision import datasets  # it imports torch

    kind, splits = SETS[name]
    arrays: dict[str, Array] = {}
    try:
        for split, options in splits.items():
            with redirect_stdout(io.StringIO()):  # some versions announce files
                data = getattr(datasets, kind)(root=str(data_dir), download=True, **options)
            pictures, labels = zip(*(data[place] for place in range(len(data))), strict=True)
            places = [f"{split} image {place}" for place in range(len(data))]
            arrays[f"{split}_images"] = stack(name, places, map(pixels, pictures))
            arrays[f"{split}_labels"] = np.array(labels)
    except ImportError as error:  # SciPy, h5py: what reads the files
        raise refusal(name, f"torchvision needs another package to read it ({last_line(error)})") from None
    except (OSError, RuntimeError, ValueError, AssertionError, LookupError, EOFError, UnpicklingError) as error:
        raise refusal(
            name,
            f"can't be downloaded into {data_dir}, or read there ({last_line(error)}); put torchvision's files of"
            f" {kind} there, or name the folder that has them with --data-dir",
        ) from None
    return arrays
