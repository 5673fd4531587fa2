"""What should be the same in networks that are compared: the dense round of a seed, the device and the versions."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.numbers.fields import field_columns, sort_key, trajectory_keys, varied

PROVENANCE = {"device": "device", "lthray_version": "lthray", "torch_version": "torch", "python_version": "Python"}
"""The columns that say where and with what a round was trained, with what to call them."""

_LATER = ("strategy", "rounds", "rewind_to", "eval_attacks", "eval_attacks_at", "end_attacks", "end_images")
_LATER_GROUPS = ("prune.", "retrain.")
"""Fields, and prefixes of fields, that are ignored: they change no number that both round 0s have."""
_MEASURES = ("early_stopping_", "final_")


@dataclass(frozen=True)
class Difference:
    """A trajectory whose round 0 is not that of another with the same start."""

    row: dict[str, Any]
    """Its row of round 0."""
    reference: dict[str, Any]
    """The row of round 0 that most trajectories with this start share; of several, the first strategy's."""
    columns: tuple[str, ...]
    """The measures that differ."""


def differing_starts(rounds: pd.DataFrame) -> list[Difference]:
    """The trajectories whose round 0 differs, although every field that acts on it is the same.

    Round 0 is dense, and starts from the same θ0 under every strategy of a seed. A difference means that devices,
    versions, numbers of threads or data were not the same, and that pairs of a seed are not quite pairs.

    Args:
        rounds: A table of rounds (`load`).
    """
    dense = rounds[rounds["round"] == 0].reset_index(drop=True)
    measures = [str(name) for name in dense.columns if str(name).startswith(_MEASURES)]
    fields = [name for name in field_columns(rounds) if name not in _LATER and not name.startswith(_LATER_GROUPS)]
    start = dense.groupby(fields, dropna=False, observed=True).ngroup()
    values = dense[measures].astype("float64").groupby(start)
    # Comparisons with a missing value are false: a measure that nobody has differs nowhere.
    differs = (values.transform("min") < values.transform("max")).any(axis=1)
    suspects = dense[differs].sort_values(["strategy", *trajectory_keys(rounds)], key=sort_key)
    return [
        difference for _, same in suspects.groupby(start, sort=False) for difference in _compare_starts(same, measures)
    ]


def mixed_provenance(rounds: pd.DataFrame) -> pd.DataFrame:
    """Groups of networks that are compared, although several devices or versions trained them.

    Args:
        rounds: A table of rounds.

    Returns:
        One row per setting, data set and train attack, column of `PROVENANCE` with several values, and value: the
        fields that vary, `dataset`, `train_attack`, `column`, `value`, and `rounds` (how many have it).
    """
    keys = [*varied(rounds), "dataset", "train_attack"]
    parts = []
    for column in (name for name in PROVENANCE if name in rounds.columns):
        known = rounds[rounds[column].notna()]
        counts = known.groupby([*keys, column], dropna=False, observed=True).size().rename("rounds").reset_index()
        several = counts.groupby(keys, dropna=False, observed=True)[column].transform("size") > 1
        parts.append(counts[several].rename(columns={column: "value"}).assign(column=column))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=[*keys, "column", "value", "rounds"])


def _compare_starts(same: pd.DataFrame, measures: list[str]) -> Iterator[Difference]:
    """The trajectories of one start that differ from the one with which most agree."""
    rows = [{str(name): value for name, value in row.items()} for row in same.to_dict("records")]
    reference = max(rows, key=lambda row: sum(not _differing(row, each, measures) for each in rows))
    for row in rows:
        if columns := _differing(row, reference, measures):
            yield Difference(row, reference, columns)


def _differing(row: dict[str, Any], reference: dict[str, Any], measures: list[str]) -> tuple[str, ...]:
    """The measures that both rows have and that differ."""
    both = (name for name in measures if not pd.isna(row[name]) and not pd.isna(reference[name]))
    return tuple(name for name in both if row[name] != reference[name])
