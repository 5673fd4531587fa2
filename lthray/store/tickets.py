"""The ticket files of one trajectory.

`round-07.safetensors` is a round's. The first and the last always keep this form, because training goes on from them.
Once there are more than a few, `rounds-01-19.safetensors` holds those between, each tensor under its round's name:
`round-07.hidden_1.weight`. `round-00-iteration-500.safetensors` is the network at an iteration of round 0, where
`rewind_to` names that. A module's tensors besides its layers have the names of its `state_dict`.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save
from upath import UPath

from lthray import files as storage
from lthray.engine.results import Ticket
from lthray.errors import InputError
from lthray.files import names, replace

FEW = 4
"""Files of a trajectory that need no compacting."""
SUFFIX = ".safetensors"


def path(folder: UPath, number: int, iteration: int | None = None) -> UPath:
    """The path of a round's ticket, or of the network at one of its iterations."""
    return folder / f"{_name(number)}{'' if iteration is None else f'-iteration-{iteration}'}{SUFFIX}"


def write(
    folder: UPath, number: int, ticket: Ticket, metadata: Mapping[str, Any], iteration: int | None = None
) -> None:
    """Writes a round's ticket, or the network at one of its iterations; metadata are written as JSON."""
    tensors = {
        f"{name}.weight" if name in ticket.masks else name: _contiguous(tensor)
        for name, tensor in ticket.weights.items()
    }
    tensors |= {f"{name}.mask": _contiguous(mask) for name, mask in ticket.masks.items()}
    content = save(tensors, {name: json.dumps(value) for name, value in metadata.items()})
    replace(path(folder, number, iteration), content)


def read(folder: UPath, number: int, layers: Iterable[str], iteration: int | None = None) -> Ticket:
    """Reads a round's ticket from its own file or a merged one, or the network at one of its iterations.

    Raises:
        InputError: no file holds it, or the file is damaged.
    """
    file, prefix = _holder(folder, number) if iteration is None else (path(folder, number, iteration), "")
    tensors, layers = _load(file)[0], list(layers)
    weights, masks = (_parts(tensors, file, prefix, layers, what) for what in ("weight", "mask"))
    of_layers = {f"{prefix}{name}.{what}" for name in layers for what in ("weight", "mask")}
    rest = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    rest = {name: tensor for name, tensor in rest.items() if f"{prefix}{name}" not in of_layers}
    return Ticket(weights | rest, masks)


def masks(folder: UPath, numbers: Iterable[int], layers: Iterable[str]) -> dict[int, dict[str, Any]]:
    """The masks of several rounds by layer, uint8 (out, in); a file that holds many is read once.

    Raises:
        InputError: no file holds a round's, or a file is damaged.
    """
    layers, contents, by_round = list(layers), {}, {}
    for number in numbers:
        file, prefix = _holder(folder, number)
        if file not in contents:
            contents[file] = _load(file)[0]
        by_round[number] = _parts(contents[file], file, prefix, layers, "mask")
    return by_round


def masks_of(file: UPath, number: int, layers: Iterable[str]) -> dict[str, Any]:
    """The masks of a round in a file that holds several; errors as in `masks`."""
    return _parts(_load(file)[0], file, f"{_name(number)}.", layers, "mask")


def compact(folder: UPath) -> bool:
    """Merges the tickets between the first and the last into one file, where there are more than `FEW` files.

    A kill in the middle loses nothing: files are removed only after they are merged, and the next call finishes.

    Returns:
        Whether there was anything to do.

    Raises:
        InputError: a file is damaged; nothing is changed.
        OSError: a file can't be written or removed.
    """
    rounds = [int(match[1]) for name in names(folder, SUFFIX) if (match := re.fullmatch(r"round-(\d+)", name))]
    singles, merged = sorted(rounds)[1:-1], _merged(folder)
    if len(rounds) + len(merged) <= FEW:
        return False
    tensors: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name in merged:
        arrays, entries = _load(folder / f"{name}{SUFFIX}")
        tensors, metadata = tensors | arrays, metadata | entries
    for number in singles:
        arrays, entries = _load(path(folder, number))
        tensors |= {f"{_name(number)}.{name}": tensor for name, tensor in arrays.items()}
        metadata[_name(number)] = json.dumps({name: json.loads(value) for name, value in entries.items()})
    numbers = sorted({int(name[6:]) for name in metadata})
    together = f"rounds-{numbers[0]:02d}-{numbers[-1]:02d}"
    replace(folder / f"{together}{SUFFIX}", save(tensors, metadata))
    for name in [*(_name(number) for number in singles), *(name for name in merged if name != together)]:
        (folder / f"{name}{SUFFIX}").unlink(missing_ok=True)
    return True


def _holder(folder: UPath, number: int) -> tuple[UPath, str]:
    """The file that holds a round's ticket, and the prefix of its tensors' names there."""
    own = path(folder, number)
    if own.exists():
        return own, ""
    merged = (name for name in _merged(folder) if number in _span(name))
    return next(((folder / f"{name}{SUFFIX}", f"{_name(number)}.") for name in merged), (own, ""))


def _parts(tensors: Mapping[str, Any], file: UPath, prefix: str, layers: Iterable[str], what: str) -> dict[str, Any]:
    try:
        return {name: tensors[f"{prefix}{name}.{what}"] for name in layers}
    except KeyError as error:
        raise InputError(f"{file}: can't be read (it has no {error.args[0]})") from None


def _contiguous(array: Any) -> Any:
    return np.asarray(array, order="C")  # unlike ascontiguousarray, it leaves a number without axes as it is


def _name(number: int) -> str:
    return f"round-{number:02d}"


def _merged(folder: UPath) -> list[str]:
    return [name for name in names(folder, SUFFIX) if re.fullmatch(r"rounds-\d+-\d+", name)]


def _span(name: str) -> range:
    _, first, last = name.split("-")
    return range(int(first), int(last) + 1)


def _load(file: UPath) -> tuple[dict[str, Any], dict[str, str]]:
    """A file's tensors and its metadata."""
    try:
        content = storage.read(file)
        tensors = load(content)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{file}: can't be read ({error})") from None
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return tensors, header.get("__metadata__", {})
