"""Masks of another results folder, copied: what the trajectories of strategy transfer train under.

`sources/<trajectory_id>.safetensors` has the masks of a source (`round-07.hidden_1.mask`, uint8), and
`sources/<trajectory_id>.json`, written last, has the source's fields. From then on the other folder is not needed.
"""

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors.numpy import save
from upath import UPath

from lthray import files
from lthray.engine.results import Array
from lthray.errors import InputError
from lthray.files import names, read
from lthray.spec.pruning import WHOLE
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import tickets
from lthray.store.folder import READERS, Store

FOLDER = "sources"


@dataclass(frozen=True)
class Source:
    """A trajectory whose masks can be copied."""

    trajectory_id: str
    fields: dict[str, Any]
    """Its fields by dotted name, as in its tables."""
    rounds: int
    """Its finished rounds, the dense one included."""
    asked: dict[str, Any] = field(default_factory=dict)
    """Of a copy: the folder it came from (`from`) and the fields looked for there (`where`)."""

    def has(self, wanted: Mapping[str, Any]) -> bool:
        """Whether it has these values of these fields."""
        return all(self.fields.get(name) == value for name, value in wanted.items())

    @property
    def spec(self) -> TrajectorySpec:
        """Its fields as a trajectory's.

        Raises:
            InputError: another version of lthray wrote them.
        """
        try:
            return TrajectorySpec.from_flat(self.fields)
        except ValidationError as error:
            first = error.errors()[0]
            raise InputError(
                f"trajectory {self.trajectory_id}: its fields are not known to this version of lthray:"
                f" {'.'.join(map(str, first['loc']))}: {first['msg']}"
            ) from None


def copy(source: Source, spec: TrajectorySpec, origin: Store, store: Store, before: int) -> None:
    """Copies a source's masks; the `before` rounds copied earlier must not have changed."""
    name, folder = source.trajectory_id, store.folder / FOLDER
    by_round = tickets.masks(origin.tickets(name), range(1, spec.rounds + 1), spec.layer_sizes)
    _check_masks(by_round, spec, origin.folder)
    for number in range(1, before):
        for layer, mask in masks(store, spec, number).items():
            if not np.array_equal(mask, by_round[number][layer]):
                raise InputError(
                    f"{origin.folder}: {layer} of round {number} of {name} is not what it was when {folder} was filled:"
                    " it was trained again; use another results folder"
                )
    flat = {
        f"round-{number:02d}.{name}.mask": mask for number, layers in by_round.items() for name, mask in layers.items()
    }
    try:
        files.replace(folder / f"{name}.safetensors", save(flat))
        files.replace(folder / f"{name}.json", json.dumps(asdict(source), indent=1).encode())
    except OSError as error:
        raise InputError(f"{folder}: can't be written: {error.strerror or error}") from None


def masks(store: Store, spec: TrajectorySpec, number: int) -> dict[str, Array]:
    """The masks of a round of a trajectory's source by layer, uint8 (out, in), from the sweep's own folder.

    Raises:
        InputError: the copy is missing or damaged.
    """
    file = store.folder / FOLDER / f"{spec.transfer.source}.safetensors"
    try:
        return tickets.masks_of(file, number, spec.layer_sizes)
    except InputError as error:
        raise InputError(f"{error}; delete {file.with_suffix('.json')} to copy it again") from None


def copied(store: Store) -> list[Source]:
    """The sources whose masks are in a sweep's own folder."""
    folder = store.folder / FOLDER
    copies = []
    for name in names(folder, ".json"):
        try:
            source = Source(**json.loads(read(folder / f"{name}.json")))
            copies.append(replace(source, fields=_complete(source.fields)))
        except (ValueError, TypeError):
            raise InputError(f"{folder / f'{name}.json'}: can't be read; delete it to copy the masks again") from None
    return copies


def trained(origin: Store) -> list[Source]:
    """Every trajectory of a results folder that has rounds.

    Raises:
        InputError: it is no results folder, or has no rounds.
    """
    origin.require()
    begun = names(origin.folder / "rounds", ".parquet")
    if not begun:
        raise InputError("has no finished rounds yet")
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(lambda name: source_of(origin, name), begun))


def source_of(origin: Store, name: str) -> Source:
    """A trajectory of a results folder as a source."""
    fields = origin.fields("rounds", name)
    if fields is None:
        raise InputError(f"trajectory {name} has no finished rounds")
    return Source(name, _complete(fields), origin.rounds_done(name))


def _complete(fields: dict[str, Any]) -> dict[str, Any]:
    """Adds the base values of fields that an older version did not know."""
    try:
        return TrajectorySpec.from_flat(fields).flat()
    except ValidationError:  # of a newer version: an error only where the source is used
        return fields


def _check_masks(masks: Mapping[int, Mapping[str, Array]], spec: TrajectorySpec, folder: UPath) -> None:
    """Checks that masks keep as many weights as the pruning fields say: how a round is computed depends on it."""
    for number, layers in masks.items():
        kept = {name: int(mask.sum()) for name, mask in layers.items()}
        left = spec.weights_left(number)[number]
        for name, count in left.items():
            remaining = sum(kept.values()) if name == WHOLE else kept[name]
            if remaining != count or any(layers[layer].shape != shape for layer, shape in spec.layer_sizes.items()):
                raise InputError(
                    f"{folder / 'tickets' / spec.transfer.source}: round {number} keeps {remaining:,} weights of {name}"
                    f" where its pruning leaves {count:,}: it is damaged"
                )
