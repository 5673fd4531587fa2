"""How far a sweep got, and under which settings."""

from collections.abc import Sequence

import pandas as pd

from lthray.analysis.load import Results
from lthray.analysis.numbers.fields import field_columns, select, show, sort_key, trajectory_keys
from lthray.analysis.numbers.states import trajectory_states
from lthray.analysis.numbers.summary import Panel


def sweep_name(results: Results) -> str:
    """The sweep's name, or the folder's where there is none; the labels of several folders."""
    if len(results.folders) > 1:
        return ", ".join(results.folders)
    ((label, sweep),) = results.sweeps.items()
    return str((sweep or {}).get("name") or label)


def list_trajectories(results: Results) -> pd.DataFrame:
    """The `trajectory_states` of results."""
    return trajectory_states(results.rounds, results.failures, set().union(*results.stopped.values()))


def list_settings(rounds: pd.DataFrame, panels: Sequence[Panel]) -> list[dict[str, str]]:
    """Every field of the trajectories behind each panel, with its values."""
    fields = field_columns(rounds)
    distinct = rounds.drop_duplicates(trajectory_keys(rounds))
    parts = (select(distinct[distinct["dataset"].isin(panel.summary["dataset"])], panel.setting) for panel in panels)
    return [{field: list_values(part, field) for field in fields} for part in parts]


def list_values(rounds: pd.DataFrame, column: str) -> str:
    """The distinct values of a column in order, whole numbers in a row as a range; nothing without the column."""
    if column not in rounds:
        return ""
    values = rounds[column].dropna().drop_duplicates().sort_values(key=sort_key).tolist()
    if len(values) > 2 and all(isinstance(value, int) for value in values) and values[-1] - values[0] < len(values):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(map(show, values))
