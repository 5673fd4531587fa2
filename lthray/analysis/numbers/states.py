"""How far each trajectory is."""

from collections.abc import Collection

import pandas as pd

from lthray.analysis.numbers.fields import field_columns, trajectory_keys

COMPLETE, PARTIAL, FAILED, STOPPED = "complete", "partial", "failed", "stopped"


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


def _state(done: bool, failed: bool, stopped: bool) -> str:
    if done:
        return COMPLETE
    return STOPPED if stopped else FAILED if failed else PARTIAL
