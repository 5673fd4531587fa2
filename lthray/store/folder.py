"""The results folder: writing rounds, and finding out which are finished.

Each file has one writer at a time and is written atomically (`files.replace`), so that nobody reads a torn file. A
round is finished when its row is in `rounds`, which is written last.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from lthray.engine.results import Checkpoint, Failure, Resume, RoundResult, Ticket
from lthray.errors import InputError
from lthray.files import clear_parts, location, names, read, replace
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import checkpoints, parquet, tickets
from lthray.store.tables import TABLES, refit, round_rows, shared_cells

SWEEP = "sweep.yaml"
FILES = {
    "rounds": ".parquet",
    "curves": ".parquet",
    "evaluations": ".parquet",
    "failures": ".json",
    "stopped": ".json",
    "checkpoints": ".safetensors",
}
"""The subfolders that hold one file for each trajectory, with the file's suffix."""
MERGED = ("rounds", "evaluations")
"""The tables that `merged_tables.merge` writes into one file as well."""
READERS = 16
"""Files read in parallel: on remote storage most of the time is spent waiting."""


class Store:
    """A results folder, by its path or its URL."""

    def __init__(self, folder: str | Path | UPath) -> None:
        self.folder: UPath = folder if isinstance(folder, UPath) else location(folder)

    def create(self, sweep: str) -> None:
        """Removes temporary files of killed writers and writes `sweep.yaml`.

        Raises:
            InputError: the folder can't be written.
        """
        try:
            clear_parts(self.folder)
            replace(self.folder / SWEEP, sweep.encode())
        except OSError as error:
            raise InputError(f"{self.folder}: can't be written: {error.strerror or error}") from None

    def clear_parts(self) -> None:
        """Removes temporary files of killed writers."""
        clear_parts(self.folder)

    def require(self) -> None:
        """Checks that this is a results folder.

        Raises:
            InputError: it is not.
        """
        if not self.holds_sweep():
            if not self.folder.is_dir():
                raise InputError(f"{self.folder}: no such folder")
            raise InputError(f"{self.folder}: holds no results: there is no {SWEEP} in it")

    def holds_sweep(self) -> bool:
        """Whether the folder has a `sweep.yaml`."""
        return bool((self.folder / SWEEP).is_file())

    def rounds_done(self, trajectory_id: str) -> int:
        """Number of finished rounds; also the number of the next round.

        Raises:
            InputError: the file of the trajectory's rounds is damaged.
        """
        table = self.read("rounds", trajectory_id, ["round"])
        rounds = sorted(table["round"].to_pylist()) if table is not None else []
        return next((i for i, number in enumerate(rounds) if i != number), len(rounds))

    def read(self, part: str, trajectory_id: str, columns: list[str] | None = None) -> pa.Table | None:
        """A trajectory's rows of a table, under the schema they were written with; None where there is no file.

        Raises:
            InputError: the file is damaged.
        """
        path = self.path(part, trajectory_id)
        try:
            return parquet.from_bytes(read(path), columns)
        except FileNotFoundError:
            return None
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"{path}: can't be read ({error}); delete it, and run again what wrote it") from None

    def fields(self, part: str, trajectory_id: str) -> dict[str, Any] | None:
        """A trajectory's fields by dotted name, from the first of its rows of a table; None where it has no row.

        Raises:
            InputError: the file is damaged.
        """
        table = self.read(part, trajectory_id)
        if table is None or not len(table):
            return None
        columns = table.column_names  # in every version, the fields stand between the id and the round
        first: dict[str, Any] = table.slice(0, 1).select(columns[1 : columns.index("round")]).to_pylist()[0]
        return first

    def means(self, specs: Sequence[TrajectorySpec], metric: str) -> list[float]:
        """The mean of a metric over trajectories, for each round from 0 on that all of them have finished.

        A round 0 that was taken over (see `first_rounds`) has no seconds, which count as 0.
        """
        by_trajectory = []
        for spec in specs:
            if (table := self.read("rounds", spec.trajectory_id, ["round", metric])) is None:
                return []
            rows = dict(zip(table["round"].to_pylist(), table[metric].fill_null(0).to_pylist(), strict=True))
            by_trajectory.append([rows[i] for i in takewhile(rows.__contains__, range(spec.rounds + 1))])
        return [sum(values) / len(values) for values in zip(*by_trajectory, strict=False)]

    def done(self, specs: Iterable[TrajectorySpec]) -> dict[str, int]:
        """Number of finished rounds by trajectory id, at most `rounds` + 1.

        Raises:
            InputError: the file of a trajectory's rounds is damaged.
        """
        rounds = {spec.trajectory_id: spec.rounds + 1 for spec in specs}
        begun = [name for name in names(self.folder / "rounds", ".parquet") if name in rounds]
        with ThreadPoolExecutor(READERS) as readers:
            finished = dict(zip(begun, readers.map(self.rounds_done, begun), strict=True))
        return {name: min(finished.get(name, 0), number) for name, number in rounds.items()}

    def resume(self, spec: TrajectorySpec) -> Resume | None:
        """The tickets that the next round of a trajectory starts from; None where no round is finished."""
        done = self.rounds_done(spec.trajectory_id)
        if not done:
            return None
        return Resume(
            last=self.ticket(spec, done - 1),
            dense=self.ticket(spec, 0) if spec.needs_dense_ticket else None,
            rewound=None if spec.rewind_iteration is None else self.ticket(spec, 0, spec.rewind_iteration),
        )

    def ticket(self, spec: TrajectorySpec, number: int, iteration: int | None = None) -> Ticket:
        """The ticket of a finished round, or of an iteration that was kept for rewinding.

        Raises:
            InputError: its file is missing or damaged.
        """
        try:
            return tickets.read(self.tickets(spec.trajectory_id), number, spec.layer_sizes, iteration)
        except InputError as error:
            raise InputError(f"{error}; delete rounds/{spec.trajectory_id}.parquet to train it again") from None

    def with_tickets(self) -> list[str]:
        """Ids of the trajectories that have tickets."""
        return names(self.folder / "tickets", "")

    def compact(self, trajectory_id: str) -> bool:
        """Merges ticket files of a trajectory; see `tickets.compact`. Returns whether there was anything to do."""
        return tickets.compact(self.tickets(trajectory_id))

    def write_round(self, result: RoundResult) -> None:
        """Writes a finished round; see `write_rows`."""
        cells = shared_cells(result)
        self.write_rows(result.spec, result.round, result.ticket, result.rewound, round_rows(result, cells), cells)

    def write_rows(
        self,
        spec: TrajectorySpec,
        number: int,
        ticket: Ticket,
        rewound: Ticket | None,
        rows: Mapping[str, Sequence[dict[str, Any]]],
        metadata: Mapping[str, Any],
    ) -> None:
        """Writes round `number`: its tickets with their metadata, its rows of each table and, last, that of `rounds`.

        A round that is written already is left alone: a worker whose driver died, or whose node was lost for a while,
        may finish a round that another worker has written meanwhile.
        """
        if self.rounds_done(spec.trajectory_id) > number:
            return
        folder, iteration = self.tickets(spec.trajectory_id), spec.rewind_iteration
        if rewound:
            tickets.write(folder, number, rewound, {**metadata, "iteration": iteration}, iteration)
        tickets.write(folder, number, ticket, metadata)
        self._append("curves", spec, number, rows["curves"])
        if rows["evaluations"] or self.path("evaluations", spec.trajectory_id).exists():
            self._append("evaluations", spec, number, rows["evaluations"])
        self._append("rounds", spec, number, rows["rounds"])
        for part in ("failures", "stopped", "checkpoints"):
            self.path(part, spec.trajectory_id).unlink(missing_ok=True)

    def checkpoint(self, spec: TrajectorySpec, number: int) -> Checkpoint | None:
        """The checkpoint of a trajectory inside round `number`; None if it is missing or damaged."""
        return checkpoints.read(self.path("checkpoints", spec.trajectory_id), spec, number)

    def write_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Writes a checkpoint, unless another worker has finished its round meanwhile.

        Raises:
            OSError: it cannot be written.
        """
        name = checkpoint.spec.trajectory_id
        if self.rounds_done(name) <= checkpoint.round:
            checkpoints.write(self.path("checkpoints", name), checkpoint)

    def remove_checkpoint(self, trajectory_id: str) -> None:
        """Removes the checkpoint of a round that has ended without a result."""
        self.path("checkpoints", trajectory_id).unlink(missing_ok=True)

    def write_failure(self, failure: Failure) -> None:
        """Writes why a trajectory can't go on. Its next finished round removes this file."""
        record = {
            "trajectory_id": failure.spec.trajectory_id,
            "round": failure.round,
            "error": failure.reason,
            **({"traceback": failure.traceback} if failure.traceback else {}),
            "fields": failure.spec.flat(),
        }
        replace(self.path("failures", failure.spec.trajectory_id), json.dumps(record, indent=1).encode())

    def failures(self) -> dict[str, dict[str, Any]]:
        """The records of `write_failure` by trajectory id."""
        ids = names(self.folder / "failures", ".json")
        with ThreadPoolExecutor(READERS) as readers:
            contents = readers.map(lambda name: read(self.path("failures", name)), ids)
            return {name: json.loads(content) for name, content in zip(ids, contents, strict=True)}

    def write_stopped(self, spec: TrajectorySpec, metric: str, value: float) -> None:
        """Writes that a search's scheduler stopped a trajectory, with the metric's value (a mean over seeds).

        The trajectory's next finished round removes this file.
        """
        record = {
            "trajectory_id": spec.trajectory_id,
            "round": self.rounds_done(spec.trajectory_id) - 1,
            "metric": metric,
            "value": value,
        }
        replace(self.path("stopped", spec.trajectory_id), json.dumps(record, indent=1).encode())

    def stopped(self) -> set[str]:
        """Ids of the trajectories that a scheduler stopped."""
        return set(names(self.folder / "stopped", ".json"))

    def path(self, part: str, trajectory_id: str) -> UPath:
        """The path of a trajectory's file in one of the subfolders `FILES`."""
        return self.folder / part / f"{trajectory_id}{FILES[part]}"

    def merged(self, part: str) -> UPath:
        """The path of a merged table, one of `MERGED`."""
        return self.folder / f"{part}.parquet"

    def remove_merged(self) -> None:
        """Removes the merged tables before rows change, so that none is out of date."""
        for part in MERGED:
            self.merged(part).unlink(missing_ok=True)

    def write_table(self, part: str, trajectory_id: str, table: pa.Table) -> None:
        """Writes a trajectory's rows of a table atomically, and removes the merged table, which lacks them.

        Raises:
            OSError: it can't be written.
        """
        if part in MERGED:
            self.merged(part).unlink(missing_ok=True)
        replace(self.path(part, trajectory_id), parquet.to_bytes(table))

    def tickets(self, trajectory_id: str) -> UPath:
        """The folder of a trajectory's tickets."""
        return self.folder / "tickets" / trajectory_id

    def _append(self, part: str, spec: TrajectorySpec, number: int, rows: Sequence[dict[str, Any]]) -> None:
        """Appends a round's rows to those of earlier rounds; rows that a killed writer left are dropped."""
        new = pa.Table.from_pylist(list(rows), TABLES[part])
        if (old := self.read(part, spec.trajectory_id)) is not None:
            new = pa.concat_tables([refit(old.filter(pc.less(old["round"], number)), TABLES[part], spec), new])
        self.write_table(part, spec.trajectory_id, new)
