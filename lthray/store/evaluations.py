"""The table `evaluations`: which stored tickets a request has still to measure, and the rows of those measured."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.store.tables import EVALUATIONS, MEASURED, refit, versions


def rounds_to_measure(store: Store, spec: TrajectorySpec, request: EvaluationRequest) -> list[int]:
    """The rounds of a trajectory that a request asks for and that have a ticket."""
    done = min(store.rounds_done(spec.trajectory_id), spec.rounds + 1)
    return [number for number in range(done) if not request.rounds or number in request.rounds]


def unmeasured(store: Store, spec: TrajectorySpec, request: EvaluationRequest) -> list[int]:
    """Those of `rounds_to_measure` that have no row in `evaluations` yet.

    Raises:
        InputError: the trajectory's file is damaged.
    """
    table = store.read("evaluations", spec.trajectory_id, list(MEASURED))
    known = set() if table is None else set(zip(*(table[name].to_pylist() for name in MEASURED), strict=True))
    images, rounds = request.image_count(spec), rounds_to_measure(store, spec, request)
    return [number for number in rounds if (number, "final", request.split, str(request.attack), images) not in known]


def write_evaluation(store: Store, spec: TrajectorySpec, row: Mapping[str, Any]) -> None:
    """Adds the measurement of a ticket to `evaluations`; it replaces a row with the same values of `MEASURED`.

    Args:
        store: The results folder.
        spec: The trajectory.
        row: The columns of `EVALUATIONS` except id, fields and versions.
    """
    table = store.read("evaluations", spec.trajectory_id)
    before = [] if table is None else refit(table, EVALUATIONS, spec).to_pylist()
    rows = [earlier for earlier in before if _key(earlier) != _key(row)]
    rows.append({"trajectory_id": spec.trajectory_id, **spec.flat()} | dict(row) | versions())
    rows.sort(key=_key)
    store.write_table("evaluations", spec.trajectory_id, pa.Table.from_pylist(rows, EVALUATIONS))


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in MEASURED)
