"""Pictures of Pillow as arrays: bytes of one or three channels."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from lthray.driver.datasets.splits import Array, refusal

GREY = ("1", "L", "LA")
DEEP = ("I", "F")
"""Prefixes of Pillow's modes with more than eight bits a pixel."""


class Form(NamedTuple):
    """What the pictures of a data set must have in common."""

    channels: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


def form(picture: Image.Image) -> Form:
    """A picture's form, which is known before it is decoded.

    Raises:
        ValueError: its pixels have more than eight bits.
    """
    if picture.mode.startswith(DEEP):
        raise ValueError(f"its pixels have more than 8 bits (mode {picture.mode} of Pillow)")
    return Form(1 if picture.mode in GREY else 3, picture.height, picture.width)


def pixels(picture: Image.Image) -> Array:
    """A picture's pixels (height, width) if it is grey, else (height, width, 3); uint8.

    Raises:
        ValueError: they have more than eight bits.
    """
    mode = "L" if form(picture).channels == 1 else "RGB"
    return np.asarray(picture if picture.mode == mode else picture.convert(mode))


def common_form(name: str, places: Sequence[str], forms: Sequence[Form]) -> Form:
    """The form of a split's pictures: grey if all are, else in colour.

    Args:
        name: The data set, for the error.
        places: Where each picture is, for the error.
        forms: The form of each picture.

    Raises:
        InputError: not all pictures have one size.
    """
    first = forms[0]
    for place, other in zip(places, forms, strict=True):
        if other[1:] != first[1:]:
            raise refusal(name, f"{place} has {other} pixels, but {places[0]} has {first}: all must have one size")
    return first._replace(channels=max(other.channels for other in forms))


def stack(name: str, places: Sequence[str], pictures: Iterable[Array]) -> Array:
    """The pixels of a split's pictures (n, channels, height, width); a grey picture among coloured ones gets three.

    Args:
        name: The data set, for the error.
        places: Where each picture is, for the error.
        pictures: What `pixels` gave.

    Raises:
        InputError: not all pictures have one size.
    """
    arrays = list(pictures)
    forms = [Form(1 if array.ndim == 2 else 3, *array.shape[:2]) for array in arrays]
    images = np.empty((len(arrays), *common_form(name, places, forms)), np.uint8)
    for image, array in zip(images, arrays, strict=True):
        image[:] = array if array.ndim == 2 else array.transpose(2, 0, 1)
    return images
