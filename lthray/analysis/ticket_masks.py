"""The masks of a results folder's tickets, whichever files hold them. Weights are not read."""

import json
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from upath import UPath

SUFFIX = ".safetensors"

_LONGEST = 100_000_000
"""The longest header that a safetensors file may have."""

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Mask:
    """One layer's mask, a bit a weight.

    Attributes:
        shape: The layer's, (out, in) or (out, in, height, width).
        bits: uint64, a bit for each weight in order, 1 where it remains; zeros behind them.
    """

    shape: tuple[int, ...]
    bits: Array

    @classmethod
    def pack(cls, mask: Array) -> "Mask":
        """Packs an array that is not zero where a weight remains."""
        packed = np.packbits(mask.ravel())
        return cls(tuple(mask.shape), np.pad(packed, (0, -len(packed) % 8)).view(np.uint64))

    @property
    def size(self) -> int:
        """Weights of the layer."""
        return int(np.prod(self.shape))

    @cached_property
    def count(self) -> int:
        """Weights that remain."""
        return int(np.bitwise_count(self.bits).sum())

    def common(self, mask: "Mask") -> int:
        """Weights that remain in both."""
        return int(np.bitwise_count(self.bits & mask.bits).sum())


Layers = dict[str, Mask]
"""The masks of a network, by layer, from the first to the last."""
Rounds = dict[int, Layers]


def read_all(folder: UPath, trajectories: Sequence[str], numbers: Sequence[int]) -> dict[str, Rounds]:
    """The masks of some rounds of some trajectories, without those that no readable file holds.

    Args:
        folder: A results folder.
        trajectories: Ids.
        numbers: Rounds.
    """
    place = folder / "tickets"
    if not place.is_dir():
        return {name: {} for name in trajectories}
    with ThreadPoolExecutor() as threads:
        masks = threads.map(lambda name: read(place / name, numbers), trajectories)
        return dict(zip(trajectories, masks, strict=True))


def read(folder: UPath, numbers: Sequence[int]) -> Rounds:
    """The masks of some rounds of one trajectory.

    Args:
        folder: Its folder, with `round-07.safetensors` or `rounds-01-19.safetensors`.
        numbers: Rounds.
    """
    prefixes_of: dict[UPath, dict[int, str]] = {}
    singles, merged = _files(folder)
    for number in numbers:
        inside = next((file for span, file in merged if number in span), None)
        if number in singles:
            prefixes_of.setdefault(singles[number], {})[number] = ""
        elif inside is not None:
            prefixes_of.setdefault(inside, {})[number] = f"round-{number:02d}."
    rounds: Rounds = {}
    for file, prefixes in prefixes_of.items():
        rounds |= _read(file, prefixes)
    return dict(sorted(rounds.items()))


def _files(folder: UPath) -> tuple[dict[int, UPath], list[tuple[range, UPath]]]:
    try:
        names = {path.name.removesuffix(SUFFIX): path for path in folder.iterdir() if path.name.endswith(SUFFIX)}
    except (FileNotFoundError, NotADirectoryError):
        return {}, []
    singles = {int(match[1]): path for name, path in names.items() if (match := re.fullmatch(r"round-(\d+)", name))}
    merged = [
        (range(int(match[1]), int(match[2]) + 1), path)
        for name, path in names.items()
        if (match := re.fullmatch(r"rounds-(\d+)-(\d+)", name))
    ]
    return singles, merged


def _read(file: UPath, prefixes: dict[int, str]) -> Rounds:
    """The masks of a file's rounds, each named with its prefix; a damaged file has none."""
    try:
        masks = {name: Mask.pack(array) for name, array in _tensors(file, list(prefixes.values()))}
    except (OSError, ValueError, KeyError):
        return {}
    rounds = {
        number: {name[len(prefix) : -len(".mask")]: mask for name, mask in masks.items() if _belongs(name, prefix)}
        for number, prefix in prefixes.items()
    }
    return {number: dict(sorted(layers.items(), key=_place)) for number, layers in rounds.items() if layers}


def _place(named: tuple[str, Mask]) -> list[tuple[str, int]]:
    """A sort key: hidden_2 comes before hidden_10."""
    return [(text, int(number or 0)) for text, number in re.findall(r"(\D+)(\d*)", named[0])]


def _belongs(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and (bool(prefix) or not name.startswith("round-"))


def _tensors(file: UPath, prefixes: Sequence[str]) -> Iterator[tuple[str, Array]]:
    """The masks of a safetensors file whose names have one of the prefixes, in the order of the file."""
    start = int.from_bytes(_bytes(file, [(0, 8)])[0], "little")
    if start > _LONGEST:
        raise ValueError(f"{file}: not a safetensors file")
    header = json.loads(_bytes(file, [(8, 8 + start)])[0])
    masks = {
        name: entry for name, entry in header.items() if name.endswith(".mask") and any(map(name.startswith, prefixes))
    }
    ranges = [tuple(8 + start + offset for offset in entry["data_offsets"]) for entry in masks.values()]
    for (name, entry), content in zip(masks.items(), _bytes(file, ranges), strict=True):
        if entry["dtype"] not in ("U8", "BOOL"):
            raise ValueError(f"{file}: {name} is {entry['dtype']}")
        yield name, np.frombuffer(content, np.uint8).reshape(entry["shape"])


def _bytes(file: UPath, ranges: Sequence[tuple[int, ...]]) -> list[bytes]:
    if file.protocol:
        starts, ends = [first for first, _ in ranges], [last for _, last in ranges]
        contents: list[bytes] = file.fs.cat_ranges([file.path] * len(ranges), starts, ends)
        return contents
    with file.open("rb") as handle:
        pieces = []
        for first, last in ranges:
            handle.seek(first)
            pieces.append(handle.read(last - first))
        return pieces
