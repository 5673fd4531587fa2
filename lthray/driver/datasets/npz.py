"""A data set in one file of numpy, `file.npz`."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lthray.driver.datasets.splits import NAMES, Array, refusal
from lthray.errors import first_line


def load(name: str, path: Path) -> dict[str, Array]:
    """The arrays of the file; only those that a data set has are decoded. Pickled objects are never loaded.

    Raises:
        InputError: it can't be read.
    """
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if isinstance(file, np.ndarray):
                raise refusal(name, f"{path} is a single array, but it should be made by numpy.savez")
            return {key: _array(name, file, key) for key in file.files if key.endswith(("_images", "_labels"))}
    except OSError as error:
        raise refusal(name, f"{path} can't be read ({error.strerror or first_line(error)})") from None
    except (ValueError, EOFError, BadZipFile):
        raise refusal(name, f"{path} is no file of numpy.savez with {', '.join(NAMES)}") from None


def _array(name: str, file: "np.lib.npyio.NpzFile", key: str) -> Array:
    try:
        array: Array = file[key]
    except ValueError as error:
        raise refusal(name, f"{key}: can't be read ({first_line(error)})") from None
    return array
