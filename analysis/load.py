"""A results folder as frames: what is read, and nothing else."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

REQUIRED = (
    "trajectory_id", "protocol", "dataset", "seed", "strategy", "train_attack", "eval_attacks", "rounds", "round",
    "weights_remaining", "early_stopping_iteration",
)  # fmt: skip
"""Columns without which a table of rounds is not one."""

Filters = list[tuple[str, str, Any]] | list[list[tuple[str, str, Any]]]
"""Conditions as `pyarrow.parquet.read_table` takes them: joined by and, or lists of such joined by or."""


class NotResultsError(ValueError):
    """A folder that holds no results, in one line that names it and what was looked for."""


@dataclass(frozen=True, eq=False)
class Results:
    """A results folder, read once; `curves` reads on demand.

    Attributes:
        folder: The folder.
        rounds: One row per trajectory and round, in order. Beside `trajectory_id`, every field of the trajectory under
            its dotted name (`dataset`, `strategy`, `seed`, `pgd.steps`, ...) and `round` (0 is dense):
            `weights_remaining` (share of weights not pruned, (0, 1]), `weights_remaining_count`,
            `early_stopping_iteration` (optimizer steps), `early_stopping_<attack>_accuracy_<split>` and
            `final_<attack>_accuracy_<split>` (shares of [0, 1], NaN where the attack was not measured; attacks none,
            fgsm, pgd; splits validation, test), `train_seconds`, `eval_seconds`, `stack`, `device` and the versions
            of lthray, torch and Python.
        sweep: What `sweep.yaml` says, or None without one.
        failures: One row per trajectory that failed: `trajectory_id`, `round` (missing where no round is to blame),
            `error` (text), and its fields under their dotted names.
    """

    folder: Path
    rounds: pd.DataFrame
    sweep: dict[str, Any] | None
    failures: pd.DataFrame

    def curves(self, columns: Sequence[str] | None = None, filters: Filters | None = None) -> pd.DataFrame:
        """The learning curves: one row per trajectory, round, iteration, split and attack.

        Args:
            columns: The columns to read, all when None: `trajectory_id`, the fields, `round`, `weights_remaining`,
                `weights_remaining_count`, `iteration` (optimizer steps of the round), `reported_iteration` (as the
                released code labels it), `split` (validation, test), `attack` (none, fgsm, pgd), `loss` (nats per
                image, at least 0) and `accuracy` ([0, 1]).
            filters: The rows to read, all when None: `[("split", "==", "test")]`.

        Returns:
            The rows; a frame without any where no curves were written.
        """
        wanted = None if columns is None else list(columns)
        tables = _read_tables(self.folder / "curves", wanted, filters)
        return _concatenate(tables) if tables else pd.DataFrame(columns=wanted)


def load(folder: str | Path) -> Results:
    """Read a results folder, also while a sweep writes to it.

    Raises:
        NotResultsError: The folder is missing, holds no `rounds/*.parquet`, or what it holds cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise NotResultsError(f"{folder}: no such folder; a results folder with rounds/*.parquet was looked for")
    failures = _read_failures(folder / "failures")
    tables = _read_tables(folder / "rounds")
    if not tables:
        failed = f" ({len(failures)} failed trajectories in failures/)" if len(failures) else ""
        raise NotResultsError(f"{folder}: no results, looked for rounds/*.parquet and found none{failed}")
    rounds = _concatenate(tables)
    if missing := [name for name in REQUIRED if name not in rounds.columns]:
        raise NotResultsError(f"{folder}: rounds/*.parquet lacks the columns {', '.join(missing)}")
    rounds = rounds.sort_values(["trajectory_id", "round"], ignore_index=True)
    return Results(folder, rounds, _read_sweep(folder / "sweep.yaml"), failures)


def _files(folder: Path, suffix: str) -> list[Path]:
    """The finished files of a folder; a leading dot marks one that is being written."""
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith(".") and path.is_file())


def _read_tables(folder: Path, columns: list[str] | None = None, filters: Filters | None = None) -> list[pa.Table]:
    tables = (_read_table(path, columns, filters) for path in _files(folder, ".parquet"))
    return [table for table in tables if table is not None]


def _read_table(path: Path, columns: list[str] | None, filters: Filters | None) -> pa.Table | None:
    """A file's table through one handle, so that a file replaced meanwhile is read as it was, or None if it went."""
    try:
        with path.open("rb") as handle:
            return pq.read_table(handle, columns=columns, filters=filters)
    except FileNotFoundError:
        return None
    except pa.ArrowException as error:
        raise NotResultsError(f"{path}: {_first_line(error)}") from error


def _concatenate(tables: list[pa.Table]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    return frame


def _read_sweep(path: Path) -> dict[str, Any] | None:
    try:
        sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotResultsError(f"{path}: not YAML: {_first_line(error)}") from error
    return sweep if isinstance(sweep, dict) else None


def _read_failures(folder: Path) -> pd.DataFrame:
    rows = [row for path in _files(folder, ".json") if (row := _read_failure(path)) is not None]
    frame = pd.DataFrame(rows, columns=None if rows else ["trajectory_id", "round", "error"])
    return frame.astype({"round": "Int64"})


def _read_failure(path: Path) -> dict[str, Any] | None:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        said = None
    if not isinstance(said, dict):
        said = {"error": f"{path.name} is not readable"}
    fields = said.get("fields")
    return (_flatten(fields) if isinstance(fields, dict) else {}) | {
        "trajectory_id": str(said.get("trajectory_id", path.stem)),
        "round": said["round"] if isinstance(said.get("round"), int) else None,
        "error": str(said.get("error", "no error was recorded")),
    }


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields under dotted names; a list as the comma-joined string that the tables carry."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = ",".join(map(str, value)) if isinstance(value, list) else value
    return flat


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
