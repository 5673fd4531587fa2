"""Checkpoints inside a round: one file a trajectory, `checkpoints/<trajectory_id>.safetensors`.

A checkpoint only saves time. If it is damaged or of another round, it is ignored, and the round is trained from its
start.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save
from upath import UPath

from lthray.engine.results import Array, Checkpoint, CurveRow
from lthray.files import read as read_file
from lthray.files import replace
from lthray.spec import ends
from lthray.spec.attack_settings import parse
from lthray.spec.trajectory import TrajectorySpec

LAYERS = ("weights", "mean", "square", "rewound", "early_stopped")
"""The fields of a `Checkpoint` that have an array for every tensor; the averages have one for every parameter."""
VALUES = ("round", "iteration", "train_seconds", "eval_seconds", "device")


def write(file: UPath, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint in place of the previous one.

    Raises:
        OSError: it cannot be written; the previous one is still there.
    """
    arrays = {"generator": checkpoint.generator}
    if checkpoint.perturbation is not None:
        arrays["perturbation"] = checkpoint.perturbation
    for field in LAYERS:
        arrays |= {f"{field}.{name}": array for name, array in (getattr(checkpoint, field) or {}).items()}
    record = {name: getattr(checkpoint, name) for name in VALUES}
    record["eval_attacks_at"] = checkpoint.spec.eval_attacks_at
    record["curves"] = [vars(row) | {"attack": str(row.attack)} for row in checkpoint.curves]
    text = json.dumps(record)
    replace(file, save(arrays, {"checkpoint": text, "digest": _digest(arrays, text)}))


def read(file: UPath, spec: TrajectorySpec, number: int) -> Checkpoint | None:
    """The checkpoint of a trajectory inside round `number`; None if it is missing or damaged."""
    try:
        content = read_file(file)
        arrays = load(content)
        metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        text = metadata["checkpoint"]
        if metadata["digest"] != _digest(arrays, text):
            return None
        record = json.loads(text)
        if record.pop("eval_attacks_at", "every") != spec.eval_attacks_at:  # its curves have other rows
            return None
        layers = {field: _layers(arrays, field, spec) for field in LAYERS}
        curves = [CurveRow(**row | {"attack": parse(row["attack"])}) for row in record.pop("curves")]
        draws = {"generator": arrays["generator"], "perturbation": arrays.get("perturbation")}
        checkpoint = Checkpoint(spec=spec, curves=curves, **draws, **layers, **record)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    needed = ("weights", "mean", "square", *(["early_stopped"] if ends.needs_early_stopped(spec) else []))
    lacks_perturbation = spec.in_round(number).is_free and checkpoint.perturbation is None
    if lacks_perturbation or checkpoint.round != number:
        return None
    return checkpoint if all(getattr(checkpoint, field) for field in needed) else None


def _layers(arrays: Mapping[str, Array], field: str, spec: TrajectorySpec) -> Any:
    """The arrays of a field by layer name; None where it has none."""
    if not any(name.startswith(f"{field}.") for name in arrays):
        return None
    sizes = spec.layer_sizes | spec.parameter_sizes if field in ("mean", "square") else spec.tensor_sizes
    return {name: arrays[f"{field}.{name}"].reshape(size) for name, size in sizes.items()}


def _digest(arrays: Mapping[str, Array], text: str) -> str:
    """The digest that reveals whether a checkpoint's bytes have changed since it was written."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()
