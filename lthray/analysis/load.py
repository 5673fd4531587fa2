"""Results folders as frames."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml
from upath import UPath

from lthray.analysis import ticket_masks
from lthray.analysis.notebook import describe_results, results_html
from lthray.analysis.numbers.fields import BOOKKEEPING, FIELD, ROLES, name_sources
from lthray.analysis.parquet import (
    Filters,
    NotResultsError,
    add_label,
    concatenate,
    list_files,
    read_tables,
)
from lthray.errors import first_line
from lthray.files import read

REQUIRED = (
    "trajectory_id", "protocol", "dataset", "seed", "strategy", "train_attack", "eval_attacks", "rounds", "round",
    "weights_remaining", "early_stopping_iteration",
)  # fmt: skip
"""The columns that every table of rounds has."""


@dataclass(frozen=True, eq=False, repr=False)
class Results:
    """Results folders, read once; `curves` reads on demand.

    Attributes:
        folders: The folders by label: their names, or paths where two names are the same.
        rounds: One row per trajectory and round, in order. With several folders `folder` (the label) comes first.
            Beside `trajectory_id`, every field of the trajectory under its dotted name (`dataset`, `strategy`, `seed`,
            `pgd.steps`, ...) and `round` (0 is dense): `weights_remaining` (share of weights not pruned, (0, 1]),
            `weights_remaining_count`, `round_iterations` (optimizer steps of the round; `iterations` are those of
            round 0), `early_stopping_iteration` (optimizer steps),
            `early_stopping_<attack>_accuracy_<split>` and `final_<attack>_accuracy_<split>` (shares of [0, 1], NaN
            where the attack was not measured; attacks none, fgsm, pgd; splits validation, test), `train_seconds` and
            `eval_seconds` (NaN where another trajectory has trained round 0), `stack`, `device` and the versions of
            lthray, torch and Python. Where masks were taken from several sources, `strategy` tells these apart:
            "transfer (fgsm)". `rounds.attrs["roles"]` and `["units"]` have what the files say of each column
            (docs/reference/tables.md).
        sweeps: What each folder's `sweep.yaml` says, by label; None without one.
        failures: One row per trajectory that failed: `folder` as in `rounds`, `trajectory_id`, `round` (missing where
            no round is to blame), `error` (text), and its fields under their dotted names.
        stopped: The trajectories that the scheduler of a search stopped between rounds: ids by folder's label.
    """

    folders: dict[str, UPath]
    rounds: pd.DataFrame
    sweeps: dict[str, dict[str, Any] | None]
    failures: pd.DataFrame
    stopped: dict[str, set[str]] = field(default_factory=dict)

    def __repr__(self) -> str:
        facts = "; ".join(f"{heading}: {value}" for heading, value in self._facts().items())
        return f"<Results of {', '.join(self.folders)}; {facts}>"

    def _repr_html_(self) -> str:
        """What was run, how far it got and what to call next, for notebooks."""
        return results_html(f"Results of {', '.join(self.folders)}", self._facts())

    def _facts(self) -> dict[str, str]:
        return describe_results(self.folders, self.rounds, self.failures, set().union(*self.stopped.values()))

    def curves(self, columns: Sequence[str] | None = None, filters: Filters | None = None) -> pd.DataFrame:
        """The learning curves: one row per trajectory, round, iteration, split and attack.

        Args:
            columns: The columns to read, all when None: `trajectory_id`, the fields, `round`, `weights_remaining`,
                `weights_remaining_count`, `iteration` (optimizer steps of the round), `reported_iteration` (as the
                released code labels it), `split` (validation, test), `attack` (none, fgsm, pgd), `loss` (nats per
                image, at least 0) and `accuracy` ([0, 1]).
            filters: The rows to read, all when None: `[("split", "==", "test")]`.

        Returns:
            The rows, text as categories to save memory, with `folder` where there are several; an empty frame where
            no curves were written.

        Raises:
            NotResultsError: A file cannot be read, or lacks a column.
        """
        names = None if columns is None else list(columns)
        tables = self._tables("curves", names, filters)
        return concatenate(tables, categories=True) if tables else pd.DataFrame(columns=names)

    def evaluations(self) -> pd.DataFrame:
        """Accuracies under attacks that `rounds` has no columns for, measured by a sweep or by `lthray evaluate`.

        Returns:
            One row per trajectory, round, moment (early_stopping, final, or training for what is neither), iteration,
            split, attack and number of images, with `folder` where there are several: as in `curves`, and `attack` (its
            full name, with its own settings),
            `images` (how many of the split, from its first on), `seconds` (NaN where a sweep measured) and `device`. A
            frame without rows and columns where there are none.

        Raises:
            NotResultsError: A file cannot be read.
        """
        tables = self._tables("evaluations", None, None)
        return _with_arguments(concatenate(tables)) if tables else pd.DataFrame()

    def _tables(self, name: str, columns: list[str] | None, filters: Filters | None) -> list[pa.Table]:
        tables: list[pa.Table] = []
        for label, folder in self.folders.items():
            own = read_tables(folder / name, columns, filters)
            tables += [add_label(table, label) if len(self.folders) > 1 else table for table in own]
        return tables

    def masks(self, numbers: Sequence[int] | None = None) -> dict[tuple[Any, ...], ticket_masks.Rounds]:
        """The masks of the tickets; weights are not read.

        Args:
            numbers: The rounds to read, all when None.

        Returns:
            A mask for each trajectory (by its id, or by folder's label and id where there are several folders), round
            and layer. A round without a readable ticket is missing.
        """
        masks: dict[tuple[Any, ...], ticket_masks.Rounds] = {}
        chosen = sorted(set(self.rounds["round"])) if numbers is None else list(numbers)
        for label, folder in self.folders.items():
            several = len(self.folders) > 1
            rows = self.rounds[self.rounds["folder"] == label] if several else self.rounds
            own = ticket_masks.read_all(folder, list(dict.fromkeys(rows["trajectory_id"])), chosen)
            masks |= {(label, name) if several else (name,): layers for name, layers in own.items()}
        return masks


def load(*folders: str | Path | UPath) -> Results:
    """Read results folders, by path or URL (`s3://bucket/run`), also while a sweep writes to them.

    Several are read into the same frames, told apart by the column `folder`.

    Raises:
        NotResultsError: A folder is missing, holds no `rounds/*.parquet`, or what it holds cannot be read.
        ValueError: There is no folder.
    """
    labels = _labels([_located(folder) for folder in folders])
    if not labels:
        raise ValueError("load takes a results folder or several")
    read = {label: _read_rounds(folder) for label, folder in labels.items()}
    failed = {label: _read_failures(folder / "failures") for label, folder in labels.items()}
    several = len(labels) > 1
    tables = [add_label(table, label) if several else table for label, frames in read.items() for table in frames]
    lost = [part.assign(folder=label) if several else part for label, part in failed.items()]
    order = [*(["folder"] if several else []), "trajectory_id", "round"]
    return Results(
        folders=labels,
        rounds=name_sources(
            _with_arguments(_with_round_iterations(concatenate(tables).sort_values(order, ignore_index=True)))
        ),
        sweeps={label: _read_sweep(folder / "sweep.yaml") for label, folder in labels.items()},
        failures=pd.concat([part for part in lost if len(part)] or lost[:1], ignore_index=True),
        stopped={
            label: {path.name.removesuffix(".json") for path in list_files(folder / "stopped", ".json")}
            for label, folder in labels.items()
        },
    )


def _located(folder: str | Path | UPath) -> UPath:
    # A cached listing would hide what a running sweep adds.
    return UPath(folder, use_listings_cache=False) if "://" in str(folder) else UPath(folder)


def _labels(folders: list[UPath]) -> dict[str, UPath]:
    names = [folder.resolve().name for folder in folders]
    return {
        name if names.count(name) == 1 else str(folder): folder for name, folder in zip(names, folders, strict=True)
    }


def _read_rounds(folder: UPath) -> list[pa.Table]:
    if not folder.is_dir():
        raise NotResultsError(f"{folder}: no such folder; a results folder with rounds/*.parquet was looked for")
    tables = read_tables(folder / "rounds")
    if not tables:
        lost = len(list_files(folder / "failures", ".json"))
        failed = f" ({lost} failed trajectories in failures/)" if lost else ""
        raise NotResultsError(f"{folder}: no results, there is no rounds/*.parquet{failed}")
    present = {name for table in tables for name in table.column_names}
    if missing := [name for name in REQUIRED if name not in present]:
        raise NotResultsError(f"{folder}: rounds/*.parquet lacks the columns {', '.join(missing)}")
    return tables


def _with_round_iterations(rounds: pd.DataFrame) -> pd.DataFrame:
    """Separate the field `iterations`, which is round 0's, from the iterations of each round (see `retrain`)."""
    if "iterations" not in rounds:
        return rounds
    keys = [name for name in ("folder", "trajectory_id") if name in rounds]
    field = rounds.groupby(keys)["iterations"].transform("first")
    rounds.attrs[ROLES]["round_iterations"] = BOOKKEEPING
    return rounds.assign(iterations=field, round_iterations=rounds["iterations"])


def _with_arguments(rounds: pd.DataFrame) -> pd.DataFrame:
    """Give each argument of a user's network a column of its own, `model_args.width`, beside their text in JSON."""
    if "model_args" not in rounds or not rounds["model_args"].any():
        return rounds
    arguments = {text: json.loads(text) if text else {} for text in rounds["model_args"].unique()}
    names = sorted({name for values in arguments.values() for name in values})
    columns = {
        f"model_args.{name}": [_scalar(arguments[text].get(name)) for text in rounds["model_args"]] for name in names
    }
    wider = rounds.join(pd.DataFrame(columns, index=rounds.index))
    roles = {"model_args": BOOKKEEPING, **dict.fromkeys(columns, FIELD)}
    wider.attrs = rounds.attrs | {ROLES: rounds.attrs.get(ROLES, {}) | roles}
    return wider


def _scalar(value: object) -> object:
    return json.dumps(value) if isinstance(value, list | dict) else value


def _read_sweep(path: UPath) -> dict[str, Any] | None:
    try:
        sweep = yaml.safe_load(read(path).decode())
    except FileNotFoundError:
        return None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise NotResultsError(f"{path}: not YAML: {first_line(error)}") from error
    return sweep if isinstance(sweep, dict) else None


def _read_failures(folder: UPath) -> pd.DataFrame:
    rows = [row for path in list_files(folder, ".json") if (row := _read_failure(path)) is not None]
    frame = pd.DataFrame(rows, columns=None if rows else ["trajectory_id", "round", "error"])
    return frame.astype({"round": "Int64"})


def _read_failure(path: UPath) -> dict[str, Any] | None:
    try:
        record = json.loads(read(path).decode())
    except FileNotFoundError:
        return None
    except ValueError:
        record = None
    if not isinstance(record, dict):
        record = {"error": f"{path.name} is not readable"}
    fields = record.get("fields")
    return (_flatten(fields) if isinstance(fields, dict) else {}) | {
        "trajectory_id": str(record.get("trajectory_id", path.stem)),
        "round": record["round"] if isinstance(record.get("round"), int) else None,
        "error": str(record.get("error", "no error was recorded")),
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
