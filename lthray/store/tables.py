"""The tables of a results folder: their columns, and a round's rows."""

import platform
from importlib.metadata import version
from itertools import product
from typing import Any

import pyarrow as pa

from lthray import __version__
from lthray.engine.results import CurveRow, RoundResult
from lthray.methods.attacks import ATTACKS, NATURAL, Attack
from lthray.spec.metrics import ACCURACIES, MOMENTS, SPLITS, ZERO_GRADIENTS
from lthray.spec.trajectory import TrajectorySpec


def _fields() -> list[pa.Field]:
    types = {str: pa.string(), bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
    return [
        pa.field("trajectory_id", pa.string()),
        *(pa.field(name, types[type(value)]) for name, value in TrajectorySpec().flat().items()),
        pa.field("round", pa.int64()),
        pa.field("weights_remaining", pa.float64()),
        pa.field("weights_remaining_count", pa.int64()),
    ]


VERSIONS = [pa.field(f"{what}_version", pa.string()) for what in ("lthray", "torch", "python")]

CURVES = pa.schema(
    [
        *_fields(),
        pa.field("iteration", pa.int64()),
        pa.field("reported_iteration", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("attack", pa.string()),
        pa.field("loss", pa.float64()),
        pa.field("accuracy", pa.float64()),
        pa.field("zero_gradient_share", pa.float64()),
    ]
)

ROUNDS = pa.schema(
    [
        *_fields(),
        pa.field("early_stopping_iteration", pa.int64()),
        *(pa.field(name, pa.float64()) for name in (*ACCURACIES, *ZERO_GRADIENTS)),
        pa.field("stack", pa.int64()),
        pa.field("train_seconds", pa.float64()),
        pa.field("eval_seconds", pa.float64()),
        pa.field("device", pa.string()),
        *VERSIONS,
    ]
)

EVALUATIONS = pa.schema(
    [
        *_fields(),
        pa.field("moment", pa.string()),
        pa.field("iteration", pa.int64()),
        pa.field("split", pa.string()),
        pa.field("attack", pa.string()),
        pa.field("loss", pa.float64()),
        pa.field("accuracy", pa.float64()),
        pa.field("zero_gradient_share", pa.float64()),
        pa.field("images", pa.int64()),
        pa.field("seconds", pa.float64()),
        pa.field("device", pa.string()),
        *VERSIONS,
    ]
)
OTHERWISE = "training"
"""The moment of an evaluation that is neither early stopping nor the end."""
MEASURED = ("round", "moment", "split", "attack", "images")
"""What tells a trajectory's rows of `EVALUATIONS` apart."""


def evaluation_rows(result: RoundResult) -> list[dict[str, Any]]:
    """A round's rows of `evaluations`, likewise: of the eval attacks with settings of their own, at every evaluation.

    The contract of `curves` and `rounds` knows `none`, `fgsm` and `pgd` alone.
    """
    points = dict(zip(MOMENTS, (result.early_stopping_iteration, result.iterations), strict=True))
    return [
        {"moment": moment, **_cells(row), "images": result.images[row.split], "device": result.device} | versions()
        for row in result.curves
        if row.attack.settings
        for moment in [name for name, at in points.items() if at == row.iteration] or [OTHERWISE]
    ]


def curve_rows(result: RoundResult) -> list[dict[str, Any]]:
    """A round's rows of `curves`, likewise."""
    return [_cells(row) for row in result.curves if not row.attack.settings]


def _cells(row: CurveRow) -> dict[str, Any]:
    return vars(row) | {"attack": str(row.attack)}


def round_row(result: RoundResult) -> dict[str, Any]:
    """A round's row of `rounds`, without what all its rows share."""
    spec, points = result.spec, (result.early_stopping_iteration, result.iterations)
    measured: dict[str, float | None] = {}
    for (at, iteration), split in product(zip(MOMENTS, points, strict=True), SPLITS):
        for attack in (NATURAL, *map(Attack, ATTACKS)):
            row = result.row(attack, split, iteration)
            measured[f"{at}_{attack}_accuracy_{split}"] = row.accuracy if row else None
        # the gradient at the natural image is the same for every attack that moves away from the same label
        like = [one for one in spec.eval_attacks if spec.setting(one).attack_label == spec.attack_label]
        attacked = result.row(like[0], split, iteration) if like else None
        measured[f"{at}_zero_gradient_share_{split}"] = attacked.zero_gradient_share if attacked else None
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
