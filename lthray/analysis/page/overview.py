"""How far a sweep got, and under which settings."""

from collections.abc import Collection, Sequence

import pandas as pd

from lthray.analysis.load import Results
from lthray.analysis.numbers.fields import field_columns, select, show, sort_key, trajectory_keys
from lthray.analysis.numbers.summary import Panel

COMPLETE, PARTIAL, FAILED, STOPPED = "complete", "partial", "failed", "stopped"


def sweep_name(results: Results) -> str:
    """The sweep's name, or the folder's where there is none; the labels of several folders."""
    if len(results.folders) > 1:
        return ", ".join(results.folders)
    ((label, sweep),) = results.sweeps.items()
    return str((sweep or {}).get("name") or label)


def trajectory_states(rounds: pd.DataFrame, failures: pd.DataFrame, stopped: Collection[str] = ()) -> pd.DataFrame:
    """One row per trajectory that left a trace.

    Returns:
        `folder` where there are several, `trajectory_id`, every field, `measured` (rounds measured, 0 where it failed
        before its first), and `state`: complete (rounds 0 to `rounds` are all there), failed (it is not, and it is
        among the failures), stopped (it is not, and a search's scheduler stopped it), or partial.
    """
    fields = field_columns(rounds)
    keys = trajectory_keys(rounds)
    grouped = rounds.groupby(keys, sort=True)
    table = grouped[[name for name in fields if name not in keys]].last()
    table["rounds"] = grouped["rounds"].max()
    table["measured"] = grouped["round"].nunique()
    failed = failures.drop_duplicates(keys).set_index(keys)
    lost = failed[~failed.index.isin(table.index)]
    if len(lost):
        bare = lost.reindex(columns=table.columns).assign(measured=0)
        table = pd.concat([table.astype(object), bare.astype(object)])
    done = table["measured"] > table["rounds"].fillna(float("inf")).astype(float)
    ids = table.index.get_level_values("trajectory_id")
    states = zip(done, table.index.isin(failed.index), ids.isin(list(stopped)), strict=True)
    table["state"] = [_state(*map(bool, state)) for state in states]
    return table.rename_axis(keys).reset_index()


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


def _state(done: bool, failed: bool, stopped: bool) -> str:
    if done:
        return COMPLETE
    return STOPPED if stopped else FAILED if failed else PARTIAL
