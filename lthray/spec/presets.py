"""The presets of a trajectory's fields, and what each field means."""

from typing import Any

from pydantic import BaseModel

from lthray.spec.dotted import flatten
from lthray.spec.trajectory import TrajectorySpec

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "released-code": {
        "rewind_to": "end-of-round-0",
        "iterations": 50_040,
        "drop_last": False,
        "eval_clock": "epoch",
        "prune": {"cutoff": "inclusive"},
    },
}


FOUND = ("transfer.source", "transfer.setting")
"""Fields that no sweep file sets: they are found when a sweep is run."""


def preset(protocol: str) -> dict[str, Any]:
    """Every field of the preset `protocol` under its dotted name, as a sweep file would write it."""
    defaults = flatten(TrajectorySpec().model_dump()) | {
        "widths": "auto",
        "eval_attacks": "auto",
        "retrain.iterations": "auto",
        "retrain.train_attack": "auto",
    }
    fields = defaults | {"protocol": protocol} | flatten(PRESETS[protocol])
    return {name: value for name, value in fields.items() if name not in FOUND}


def describe(model: type[BaseModel] = TrajectorySpec, prefix: str = "") -> dict[str, str]:
    """What every field that a sweep file may set means, in a line each, under its dotted name."""
    lines: dict[str, str] = {}
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines |= describe(field.annotation, f"{prefix}{name}.")
        elif f"{prefix}{name}" not in FOUND:
            lines[f"{prefix}{name}"] = field.description or ""
    return lines
