"""The presets of a trajectory's fields."""

from typing import Any

from lthray.spec.dotted import flatten
from lthray.spec.identity import bases, leaves
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


def preset(protocol: str) -> dict[str, Any]:
    """Every field of a preset under its dotted name, as a sweep file writes it."""
    declared = bases(TrajectorySpec)
    defaults = {name: field.default for name, field in leaves(TrajectorySpec) if declared[name].settable}
    return defaults | {"model_args": {}, "protocol": protocol} | flatten(PRESETS[protocol])
