"""The data sets that lthray knows: their files, held against their digests, and scikit-learn's digits."""

import hashlib
import io
import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np

from lthray.engine.arrays import Arrays
from lthray.errors import InputError, last_line
from lthray.methods.datasets import DATASETS, foreign

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST"}
"""The data sets of torchvision by the names of their folders."""
IMAGE_HEADER, LABEL_HEADER = 16, 8
"""Bytes before the first image or label of their files: a magic number and the sizes, which the digest fixes."""


def is_here(name: str, folder: Path) -> bool:
    """Whether a data set needs no download."""
    raw = _raw(name, folder) if name in FOLDERS else None
    return raw is None or all((raw / file).is_file() for file in DATASETS[name].sha256)


def _raw(name: str, folder: Path) -> Path:
    return folder / FOLDERS[name] / "raw"


def read(name: str, folder: Path) -> Arrays:
    """Reads a data set from `folder`; missing files are downloaded into it first.

    Raises:
        InputError: the files are not there and can't be downloaded, or are not the data set's own.
    """
    return _read_files(name, folder) if name in FOLDERS else _digits()


def _read_files(name: str, folder: Path) -> Arrays:
    if not is_here(name, folder):
        download(name, folder)
    inputs, raw, contents = DATASETS[name].inputs, _raw(name, folder), []
    for file in DATASETS[name].sha256:
        try:
            content = (raw / file).read_bytes()
        except OSError as error:
            raise InputError(f"{raw / file}: can't be read ({error.strerror or error})") from None
        _check(name, file, hashlib.sha256(content), str(raw / file))
        contents.append(np.frombuffer(content, np.uint8))
    images, labels, test_images, test_labels = contents
    return Arrays(
        images=images[IMAGE_HEADER:].reshape(-1, inputs),
        labels=labels[LABEL_HEADER:],
        test_images=test_images[IMAGE_HEADER:].reshape(-1, inputs),
        test_labels=test_labels[LABEL_HEADER:],
        white=255,
    )


def download(name: str, folder: Path) -> None:
    """Downloads a data set's files, or unpacks those that are there.

    Raises:
        InputError: they can't be downloaded.
    """
    hide_bars_from_logs()
    from torchvision import datasets  # it imports torch, and files that are there do without

    raw = _raw(name, folder)
    try:
        with redirect_stdout(io.StringIO()):  # some versions announce URLs
            getattr(datasets, FOLDERS[name])(root=str(folder), download=True)
    except (OSError, RuntimeError, ValueError, AssertionError, IndexError) as error:
        missing = ", ".join(f"{file}[.gz]" for file in DATASETS[name].sha256 if not (raw / file).is_file())
        if missing:
            raise InputError(
                f"{name}: can't be downloaded ({last_line(error)}); put {missing} into {raw},"
                " or name the folder that has them with --data-dir"
            ) from None


def hide_bars_from_logs() -> None:
    """Turns tqdm's bar off, by which torchvision shows a download, where stderr is no terminal: logs would fill up."""
    if not sys.stderr.isatty():
        os.environ.setdefault("TQDM_DISABLE", "1")


def _digits() -> Arrays:
    """scikit-learn's 1,797 digits of 8x8 pixels: a stratified fifth for validation, another for test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import StratifiedKFold

    images, labels = load_digits(return_X_y=True)
    images, labels = images.astype(np.uint8), labels.astype(np.uint8)
    folds = [fold for _, fold in StratifiedKFold(5, shuffle=True, random_state=0).split(images, labels)]
    order = np.concatenate([folds[0], *(folds[2:])])
    arrays = Arrays(images[order], labels[order], images[folds[1]], labels[folds[1]], white=16)
    for part in DATASETS["digits-8x8"].sha256:
        _check("digits-8x8", part, hashlib.sha256(getattr(arrays, part).tobytes()), f"scikit-learn's digits, {part}")
    return arrays


def _check(name: str, part: str, digest: "hashlib._Hash", where: str) -> None:
    """Checks that a file or an array is the data set's own, because results are stored under its name.

    Raises:
        InputError: it is something else.
    """
    if problem := foreign(name, part, digest.hexdigest()):
        raise InputError(f"{where}: {problem}; put the true file there, or choose another --data-dir")
