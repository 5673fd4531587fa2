"""The tables of a results folder: their columns, and a round's rows."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from itertools import product
from typing import Any

import pyarrow as pa

from lthray import __version__
from lthray.engine.results import CurveRow, RoundResult
from lthray.methods.attacks import ATTACKS, NATURAL, Attack
from lthray.spec.about import about
from lthray.spec.dotted import nest
from lthray.spec.identity import bases, leaves
from lthray.spec.metrics import ACCURACIES, MOMENTS, SPLITS, ZERO_GRADIENTS
from lthray.spec.trajectory import TrajectorySpec

_TYPES = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}

_FIELD_UNITS = {name: about(field).unit for name, field in leaves(TrajectorySpec)}
"""What the numbers of a field count or measure."""

_BASE_VALUES = {name: base.value for name, base in bases(TrajectorySpec).items() if not base.rule}
_AT_BASE = TrajectorySpec.model_validate(nest(_BASE_VALUES)).flat()
"""Each field's base value, as the tables write it: its value in rows of versions that did not have the field."""


def _column(name: str, kind: type, role: str, unit: str = "") -> pa.Field:
    """A column whose metadata says what it is.

    Args:
        name: Its name.
        kind: The Python type of its values.
        role: `field` (part of the trajectory's setting), `identity` (part of what tells rows apart), `measure` (a
            result) or `bookkeeping` (where, with what and how fast the result came about).
        unit: What its numbers count; empty where they have no unit.
    """
    return pa.field(name, _TYPES[kind], metadata={"role": role} | ({"unit": unit} if unit else {}))


_ROLES = {"transfer.source": "identity", "own.code": "bookkeeping", "own.tensors": "bookkeeping"}
"""The roles of fields that are no settings: the source names a trajectory, as `trajectory_id` does, and the others
follow from the references and the network."""


def _field(name: str, value: object) -> pa.Field:
    column = _column(name, type(value), _ROLES.get(name, "field"), _FIELD_UNITS.get(name, ""))
    if name not in _BASE_VALUES:  # other fields decide
        return column
    return column.with_metadata(column.metadata | {b"base": json.dumps(_AT_BASE[name]).encode()})


_SHARED = [
    _column("trajectory_id", str, "identity"),
    *(_field(name, value) for name, value in TrajectorySpec().flat().items()),
    _column("round", int, "identity"),
    _column("weights_remaining", float, "measure", "share"),
    _column("weights_remaining_count", int, "measure", "weights"),
]
_VERSIONS = [_column(f"{what}_version", str, "bookkeeping") for what in ("lthray", "torch", "python")]
_DEVICE = _column("device", str, "bookkeeping")
_ITERATION = _column("iteration", int, "identity", "iterations")
_EVALUATED = [
    _column("split", str, "identity"),
    _column("attack", str, "identity"),
    _column("loss", float, "measure", "nats"),
    _column("accuracy", float, "measure", "share"),
    _column("zero_gradient_share", float, "measure", "share"),
]

CURVES = pa.schema([*_SHARED, _ITERATION, _column("reported_iteration", int, "bookkeeping", "iterations"), *_EVALUATED])

ROUNDS = pa.schema(
    [
        *_SHARED,
        _column("early_stopping_iteration", int, "measure", "iterations"),
        *(_column(name, float, "measure", "share") for name in (*ACCURACIES, *ZERO_GRADIENTS)),
        _column("stack", int, "bookkeeping", "trajectories"),
        _column("train_seconds", float, "bookkeeping", "seconds"),
        _column("eval_seconds", float, "bookkeeping", "seconds"),
        _DEVICE,
        *_VERSIONS,
    ]
)

EVALUATIONS = pa.schema(
    [
        *_SHARED,
        _column("moment", str, "identity"),
        _ITERATION,
        *_EVALUATED,
        _column("images", int, "identity", "images"),
        _column("seconds", float, "bookkeeping", "seconds"),
        _DEVICE,
        *_VERSIONS,
    ]
)
TABLES = {"rounds": ROUNDS, "curves": CURVES, "evaluations": EVALUATIONS}
"""The columns of each table, by the name of its subfolder."""
OTHERWISE = "training"
"""The moment of an evaluation that is neither early stopping nor the end."""
MEASURED = ("round", "moment", "split", "attack", "images")
"""What tells a trajectory's rows of `EVALUATIONS` apart."""


def shared_cells(result: RoundResult) -> dict[str, Any]:
    """The cells that all rows of a round have; also the metadata of its ticket."""
    return {
        "trajectory_id": result.spec.trajectory_id,
        **result.spec.flat(),
        "round": result.round,
        "weights_remaining": result.weights_remaining,
        "weights_remaining_count": result.weights_remaining_count,
    }


def round_rows(result: RoundResult, shared: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """A round's rows of each table; `shared` are the cells that all of them have."""
    rows = {"rounds": [_round_row(result)], "curves": _curve_rows(result), "evaluations": _evaluation_rows(result)}
    return {part: [{**shared, **row} for row in part_rows] for part, part_rows in rows.items()}


def _evaluation_rows(result: RoundResult) -> list[dict[str, Any]]:
    """A round's rows of `evaluations`: of eval attacks of the user's or with settings of their own, and of end attacks.

    The contract of `curves` and `rounds` knows `none`, `fgsm` and `pgd` alone, measured on all images.
    """
    points = dict(zip(MOMENTS, (result.early_stopping_iteration, result.iterations), strict=True))
    measured = [(row, result.images[row.split]) for row in result.curves if not row.attack.is_standard]
    measured += [(row, result.end_images) for row in result.ends]
    return [
        {"moment": moment, **_cells(row), "images": images, "device": result.device} | versions()
        for row, images in measured
        for moment in [name for name, iteration in points.items() if iteration == row.iteration] or [OTHERWISE]
    ]


def _curve_rows(result: RoundResult) -> list[dict[str, Any]]:
    """A round's rows of `curves`."""
    return [_cells(row) for row in result.curves if row.attack.is_standard]


def _cells(row: CurveRow) -> dict[str, Any]:
    return vars(row) | {"attack": str(row.attack)}


def _round_row(result: RoundResult) -> dict[str, Any]:
    """A round's row of `rounds`."""
    spec, points = result.spec, (result.early_stopping_iteration, result.iterations)
    measured: dict[str, float | None] = {}
    for (moment, iteration), split in product(zip(MOMENTS, points, strict=True), SPLITS):
        for attack in (NATURAL, *map(Attack, ATTACKS)):
            row = result.row(attack, split, iteration)
            measured[f"{moment}_{attack}_accuracy_{split}"] = row.accuracy if row else None
        # the gradient at the natural image is the same for every attack that moves away from the same label
        like = [attack for attack in spec.eval_attacks if spec.setting(attack).attack_label == spec.attack_label]
        attacked = result.row(like[0], split, iteration) if like else None
        measured[f"{moment}_zero_gradient_share_{split}"] = attacked.zero_gradient_share if attacked else None
    return {
        "iterations": result.iterations,
        "early_stopping_iteration": result.early_stopping_iteration,
        **measured,
        "stack": result.stack,
        "train_seconds": result.train_seconds,
        "eval_seconds": result.eval_seconds,
        "device": result.device,
    } | versions()


def versions() -> dict[str, str]:
    """The versions that a row was written with."""
    return {
        "lthray_version": __version__,
        "torch_version": version("torch"),
        "python_version": platform.python_version(),
    }


def refit(table: pa.Table, schema: pa.Schema, spec: TrajectorySpec) -> pa.Table:
    """A trajectory's rows under `schema`, whichever version of lthray wrote them.

    A missing field has its base value: rows older than `end_attacks` were measured without any. The id, `rounds` and
    `transfer.source` get the trajectory's values, which may have changed since. A missing measure is null.
    """
    current = spec.flat()
    known = {name: value for name, value in current.items() if name in table.column_names}
    changed = {"trajectory_id": spec.trajectory_id} | {name: current[name] for name in ("rounds", "transfer.source")}
    fields = TrajectorySpec.from_flat(known).flat() | changed

    def column(field: pa.Field) -> pa.Array | pa.ChunkedArray:
        if field.name in table.column_names and field.name not in changed:
            return table[field.name].cast(field.type)
        return pa.array([fields.get(field.name)] * len(table), field.type)

    return pa.table([column(field) for field in schema], schema=schema)
