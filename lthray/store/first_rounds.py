"""Round 0, trained once for all trajectories of a seed that differ only in fields that act from round 1 on.

`first_rounds/<first_round_key>.json` names a trajectory that has trained round 0. A trajectory that takes it over gets
tickets and rows of its own, with its own fields, and so depends on no other file from then on. Its row in `rounds` has
no seconds, because they are in the row of the trajectory that was trained; its ticket's metadata name that trajectory
under `trained_by`.
"""

import json
from typing import Any

from upath import UPath

from lthray import files
from lthray.engine.results import Ticket
from lthray.errors import InputError
from lthray.spec import ends
from lthray.spec.first_round import first_round_key
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import tickets
from lthray.store.folder import Store
from lthray.store.tables import TABLES, versions

FOLDER = "first_rounds"
Row = dict[str, Any]


def offer(store: Store, spec: TrajectorySpec) -> None:
    """Says that a trajectory has trained round 0, so that others can take it over.

    Raises:
        OSError: it can't be written.
    """
    files.replace(_path(store, spec), json.dumps({"trajectory_id": spec.trajectory_id}).encode())


def take_over(store: Store, spec: TrajectorySpec, device: str) -> Row | None:
    """Copies round 0 from a trajectory that has trained it on the same kind of device, if there is such a trajectory.

    Args:
        store: The results folder.
        spec: A trajectory without finished rounds.
        device: What the trajectory would be trained on, as `rounds` says it; other devices and versions round
            differently.

    Returns:
        The trajectory's new row of `rounds`; None where no whole round 0 can be taken over.

    Raises:
        OSError: it can't be written.
    """
    try:
        trained_by = json.loads(files.read(_path(store, spec)))["trajectory_id"]
        rows = {part: _first_rows(store, part, trained_by) for part in TABLES}
        (row,) = rows["rounds"]
        sibling = TrajectorySpec.from_flat({name: row[name] for name in spec.flat()})
        made_with = {"device": device} | versions()
        if first_round_key(sibling) != first_round_key(spec) or {name: row[name] for name in made_with} != made_with:
            return None
        folder, iteration = store.tickets(trained_by), spec.rewind_iteration
        ticket = tickets.read(folder, 0, spec.layer_sizes)
        rewound = None if iteration is None else tickets.read(folder, 0, spec.layer_sizes, iteration)
    except (InputError, OSError, ValueError, KeyError, TypeError):
        return None
    expected = _measured(spec)  # `lthray evaluate` may have added others
    rows["evaluations"] = [row for row in rows["evaluations"] if _measurement(row) in expected]
    if not rows["curves"] or {_measurement(row) for row in rows["evaluations"]} != expected:
        return None
    return _write(store, spec, ticket, rewound, rows, trained_by)


def _write(
    store: Store, spec: TrajectorySpec, ticket: Ticket, rewound: Ticket | None, rows: dict[str, list[Row]], by: str
) -> Row:
    own = {"trajectory_id": spec.trajectory_id, **spec.flat()}
    rows = {part: [row | own for row in part_rows] for part, part_rows in rows.items()}
    (row,) = rows["rounds"] = [row | {"train_seconds": None, "eval_seconds": None} for row in rows["rounds"]]
    shared = ("round", "weights_remaining", "weights_remaining_count")
    metadata = own | {name: row[name] for name in shared} | {"trained_by": by}
    store.write_rows(spec, 0, ticket, rewound, rows, metadata)
    return row


def _path(store: Store, spec: TrajectorySpec) -> UPath:
    return store.folder / FOLDER / f"{first_round_key(spec)}.json"


def _first_rows(store: Store, part: str, trajectory_id: str) -> list[Row]:
    table = store.read(part, trajectory_id)
    return [] if table is None else [row for row in table.to_pylist() if row["round"] == 0]


def _measured(spec: TrajectorySpec) -> set[tuple[str, str, int]]:
    """Split, attack and number of images of the rows of `evaluations` that training leaves."""
    sizes = {"validation": spec.validation_size, "test": spec.data.test}
    own = {
        (split, str(attack), n) for split, n in sizes.items() for attack in spec.eval_attacks if not attack.is_standard
    }
    return own | {("test", str(attack), ends.end_images(spec)) for attack in ends.end_attacks(spec)}


def _measurement(row: Row) -> tuple[str, str, int]:
    return row["split"], row["attack"], row["images"]
