"""Finds what a data set's name means: a set that lthray knows, a file, a folder, torchvision's, or a function."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from lthray.driver.datasets import folders, huggingface, known, npz, torchvision_sets
from lthray.driver.datasets.folders import ClassFolders
from lthray.driver.datasets.splits import ArraySource, refusal
from lthray.engine.arrays import Arrays
from lthray.methods.datasets import DATASETS, DatasetFacts
from lthray.spec.trajectory import TrajectorySpec


def is_own(name: str) -> bool:
    """Whether a data set is not one that lthray knows, so that it must be looked up."""
    return name not in DATASETS


def read(name: str, folder: Path, data_dir: Path, code: str = "", digest: str = "") -> Arrays:
    """Reads a data set; missing files of a known one or of torchvision's are downloaded first.

    Args:
        name: As the field `dataset` has it.
        folder: The folder of the sweep file, to which the names of files and folders are relative.
        data_dir: Where known data sets and torchvision's are, or are downloaded to.
        code: Digest of the code package of a function in a file.
        digest: The digest that `look` gave, if the content must be the same.

    Raises:
        InputError: it can't be read, is not what it should be, or has changed. What a function raises passes through.
    """
    if not is_own(name):
        return known.read(name, data_dir)
    arrays, content = _source(name, folder, data_dir, code).read()
    if digest and content != digest:
        raise refusal(name, f"has changed: its digest is {content}, but the trajectories are of {digest}")
    return arrays


def look(name: str, folder: Path, data_dir: Path, code: str = "") -> tuple[DatasetFacts, str]:
    """The sizes of a data set of the user's own, and its digest, SHA-256 in hex.

    The digest is that of the arrays, or of all names and files of class folders.

    Args:
        name: As the field `dataset` has it.
        folder: The folder of the sweep file, to which the names of files and folders are relative.
        data_dir: Where torchvision's data sets are, or are downloaded to.
        code: Digest of the code package of a function in a file.

    Raises:
        InputError: as in `read`.
    """
    return _source(name, folder, data_dir, code).look()


def start_reading(
    specs: Iterable[TrajectorySpec], folder: Path, data_dir: Path, say: Callable[[str], None]
) -> Future[dict[str, Arrays]]:
    """Reads the data sets of trajectories by name, in a thread that ends soon.

    Known data sets that are missing are announced and downloaded before that. Data of the user's own must be what was
    looked up.

    Raises:
        InputError: as in `read`; for data sets that are there, the future raises it.
    """
    wanted = {spec.dataset: spec.own for spec in sorted(specs, key=lambda spec: spec.dataset)}
    for name in wanted:
        if not is_own(name) and not known.is_here(name, data_dir):
            say(f"getting {name} into {data_dir}")
            known.download(name, data_dir)
    reader = ThreadPoolExecutor(1, "datasets")
    data = reader.submit(
        lambda: {name: read(name, folder, data_dir, own.code, own.data) for name, own in wanted.items()}
    )
    reader.shutdown(wait=False)
    return data


def _source(name: str, folder: Path, data_dir: Path, code: str) -> ArraySource | ClassFolders:
    """What reads a data set of the user's own; a folder beside the sweep file comes before torchvision's set."""
    path = folder / Path(name).expanduser()
    if path.suffix == ".npz":
        return ArraySource(name, lambda: npz.load(name, path))
    if huggingface.is_one(path):
        return ArraySource(name, lambda: huggingface.load(name, path))
    if folders.is_one(path):
        return ClassFolders(name, path)
    if name in torchvision_sets.SETS:
        return ArraySource(name, lambda: torchvision_sets.load(name, data_dir))
    problem = f"{path} is a folder without train and test" if path.is_dir() else f"there is no folder {path}"
    raise refusal(
        name,
        f"{problem}; allowed are {', '.join(DATASETS)}, a file.npz, a folder with train and test, file.py:function, and"
        f" of torchvision {', '.join(torchvision_sets.SETS)}",
    )
