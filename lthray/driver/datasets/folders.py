"""A folder with `train/` and `test/`, perhaps also `validation/`, in which each class has a folder of pictures."""

import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from lthray.driver.datasets.pictures import common_form, form, pixels, stack
from lthray.driver.datasets.splits import SPLITS, Array, check, refusal
from lthray.engine.arrays import Arrays
from lthray.errors import last_line
from lthray.methods.datasets import DatasetFacts

Item = TypeVar("Item")
PART = 256
"""Pictures that a thread takes at once."""


def is_one(path: Path) -> bool:
    """Whether a folder has a split's folder."""
    return any((path / split).is_dir() for split in SPLITS)


@dataclass(frozen=True)
class _Files:
    """A split's pictures, class by class, as torchvision's ImageFolder orders them."""

    paths: list[str]
    places: list[str]
    """Their names inside the data set's folder."""
    labels: Array
    classes: list[str]


@dataclass(frozen=True)
class ClassFolders:
    """A data set of class folders."""

    name: str
    """As the sweep file has it."""
    path: Path

    def look(self) -> tuple[DatasetFacts, str]:
        """The sizes and the digest. Pictures are opened, but not decoded.

        Raises:
            InputError: it is no such folder, or a picture can't be read or has another size than the others.
        """
        splits = self._splits()
        digest, forms = self._go_through(splits, form)
        shapes = {split: common_form(self.name, splits[split].places, forms[split]) for split in splits}
        for split, shape in shapes.items():
            if shape != shapes["train"]:
                raise refusal(self.name, f"{split} has images of {tuple(shape)}, but train of {tuple(shapes['train'])}")
        sizes = {split: len(files.paths) for split, files in splits.items()}
        validation = sizes.get("validation")
        facts = DatasetFacts(
            shape=tuple(shapes["train"]),
            classes=len(splits["train"].classes),
            examples=sizes["train"] + (validation or 0),
            validation=validation,
            test=sizes["test"],
            sha256={},
        )
        return facts, digest

    def read(self) -> tuple[Arrays, str]:
        """The arrays and the digest.

        Raises:
            InputError: as in `look`.
        """
        splits = self._splits()
        digest, pictures = self._go_through(splits, pixels)
        arrays = {f"{split}_images": stack(self.name, files.places, pictures[split]) for split, files in splits.items()}
        labels = {f"{split}_labels": files.labels for split, files in splits.items()}
        return check(self.name, arrays | labels).arrays(), digest

    def _splits(self) -> dict[str, _Files]:
        splits = {
            split: self._files(split)
            for split, is_needed in SPLITS.items()
            if is_needed or (self.path / split).is_dir()
        }
        classes = splits["train"].classes
        for split, files in splits.items():
            if differing := sorted(set(files.classes) ^ set(classes)):
                raise refusal(
                    self.name, f"{split} and train have different class folders: {differing[0]} is in one of them alone"
                )
        return splits

    def _files(self, split: str) -> _Files:
        from torchvision.datasets import ImageFolder  # it imports torch

        try:
            folder = ImageFolder(str(self.path / split))
        except OSError as error:
            raise refusal(self.name, f"{self.path / split}: {error.strerror or last_line(error)}") from None
        paths = [path for path, _ in folder.samples]
        places = [f"{split}/{path.removeprefix(folder.root).lstrip('/')}" for path in paths]
        return _Files(paths, places, np.array([label for _, label in folder.samples], np.int64), folder.classes)

    def _go_through(
        self, splits: dict[str, _Files], take: Callable[[Image.Image], Item]
    ) -> tuple[str, dict[str, list[Item]]]:
        """The digest of all files, SHA-256 in hex over their names and contents, and what is taken of each picture."""

        def open_all(paths: Sequence[str]) -> list[tuple[bytes, Item]]:
            return [self._open(path, take) for path in paths]

        digest, items = hashlib.sha256(), {}
        with ThreadPoolExecutor() as pool:
            for split, files in sorted(splits.items()):
                parts = [files.paths[first : first + PART] for first in range(0, len(files.paths), PART)]
                opened = list(chain.from_iterable(pool.map(open_all, parts)))
                for place, (content, _) in zip(files.places, opened, strict=True):
                    digest.update(f"{place}\n".encode() + content)
                items[split] = [item for _, item in opened]
        return digest.hexdigest(), items

    def _open(self, path: str, take: Callable[[Image.Image], Item]) -> tuple[bytes, Item]:
        """The digest of a picture's file, and what is taken of the picture."""
        try:
            content = Path(path).read_bytes()
            with Image.open(io.BytesIO(content)) as picture:
                return hashlib.sha256(content).digest(), take(picture)
        except (OSError, ValueError, SyntaxError) as error:  # Pillow raises each of them for damaged files
            reason = getattr(error, "strerror", None) or last_line(error)
            raise refusal(self.name, f"{path} can't be read ({reason})") from None
