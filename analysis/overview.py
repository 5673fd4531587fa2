"""What was run, how far it came, and what a reader should be warned of."""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis import stats
from analysis.load import Results

COMPLETE, PARTIAL, FAILED = "complete", "partial", "failed"


@dataclass(frozen=True)
class Warned:
    """A warning: what is the matter, and each case of it."""

    title: str
    cases: tuple[str, ...]


def name(results: Results) -> str:
    """The sweep's name, or the folder's where there is none."""
    said = (results.sweep or {}).get("name")
    return str(said) if said else results.folder.resolve().name


def trajectories(rounds: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """One row per trajectory that left a trace.

    Returns:
        `trajectory_id`, every field, `measured` (rounds measured, 0 where it failed before its first), and `state`:
        complete (rounds 0 to `rounds` are all there), failed (it is not, and it is among the failures), or partial.
    """
    fields = stats.fields(rounds)
    grouped = rounds.groupby("trajectory_id", sort=True)
    table = grouped[fields].last()
    table["rounds"] = grouped["rounds"].max()
    table["measured"] = grouped["round"].nunique()
    lost = failures[~failures["trajectory_id"].isin(table.index)].drop_duplicates("trajectory_id")
    if len(lost):
        bare = lost.set_index("trajectory_id").reindex(columns=fields).assign(measured=0)
        table = pd.concat([table.astype(object), bare.astype(object)])
    done = table["measured"] > table["rounds"].fillna(float("inf")).astype(float)
    failed = table.index.isin(failures["trajectory_id"])
    table["state"] = [_state(bool(is_done), bool(is_failed)) for is_done, is_failed in zip(done, failed, strict=True)]
    return table.rename_axis("trajectory_id").reset_index()


def facts(results: Results) -> dict[str, str]:
    """What was run, in words, by heading."""
    rounds = results.rounds
    table = trajectories(rounds, results.failures)
    counts = {state: int((table["state"] == state).sum()) for state in (COMPLETE, PARTIAL, FAILED)}
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    versions = (("lthray", "lthray_version"), ("torch", "torch_version"), ("Python", "python_version"))
    said = {
        "Trajectories": f"{len(table):,} ({states})",
        "Rounds measured": f"{len(rounds):,}, up to round {rounds['round'].max()}",
        "Data sets": _values(rounds, "dataset"),
        "Protocols": _values(rounds, "protocol"),
        "Strategies": _values(rounds, "strategy"),
        "Train attacks": _values(rounds, "train_attack"),
        "Seeds": _values(rounds, "seed"),
        "Also varied": ", ".join(stats.varied(rounds)),
        "Devices": _values(rounds, "device"),
        "Versions": "; ".join(f"{tool} {_values(rounds, column)}" for tool, column in versions if column in rounds),
    }
    return {heading: value for heading, value in said.items() if value}


def warnings(results: Results, summary: pd.DataFrame) -> list[Warned]:
    """What limits the numbers: failures, trajectories cut short, and lines of a single seed."""
    table = trajectories(results.rounds, results.failures)
    settings = stats.varied(results.rounds)
    found = (
        ("failed", "trajectories failed", _failed(table, results.failures, settings)),
        (
            "partial",
            "trajectories are not complete, so that later rounds may rest on fewer seeds",
            _partial(table, settings),
        ),
        ("single", "lines rest on a single seed, so that they have no spread", _single(summary)),
    )
    return [Warned(f"{len(cases)} {_one(text, len(cases))}", tuple(cases)) for _, text, cases in found if cases]


def setting(rounds: pd.DataFrame, panel: stats.Panel) -> dict[str, str]:
    """Every field of the trajectories behind a panel, with its values."""
    part = rounds[rounds["dataset"] == panel.dataset]
    for field, value in panel.setting.items():
        part = part[part[field].isna() if pd.isna(value) else part[field] == value]
    return {field: _values(part, field) for field in stats.fields(rounds)}


def _state(done: bool, failed: bool) -> str:
    if done:
        return COMPLETE
    return FAILED if failed else PARTIAL


def _failed(table: pd.DataFrame, failures: pd.DataFrame, settings: list[str]) -> list[str]:
    errors = failures.drop_duplicates("trajectory_id", keep="last").set_index("trajectory_id")
    cases = []
    for row in table[table["state"] == FAILED].to_dict("records"):
        at, error = errors.loc[row["trajectory_id"], ["round", "error"]]
        when = "" if pd.isna(at) else f", round {at}"
        cases.append(f"{_described(row, settings)}{when}: {error}")
    return cases


def _partial(table: pd.DataFrame, settings: list[str]) -> list[str]:
    return [
        f"{_described(row, settings)}: {row['measured']} of {int(row['rounds']) + 1} rounds"
        for row in table[table["state"] == PARTIAL].to_dict("records")
    ]


def _single(summary: pd.DataFrame) -> list[str]:
    cases = []
    for panel in stats.panels(summary):
        seeds = panel.summary.groupby(list(stats.SERIES), observed=True)["early_stopping_iteration_n"].max()
        for _, train, attack, strategy in seeds[seeds < 2].index:
            cases.append(f"{panel.title}, {strategy}, train {train} → attack {attack}")
    return cases


def _described(row: dict[Hashable, Any], settings: list[str]) -> str:
    """A trajectory as its reader knows it, with its id."""
    known = [str(row[name]) for name in ("dataset", "strategy") if not pd.isna(row[name])]
    names = ["train_attack", *settings, "seed"]
    known += [f"{name.replace('_', ' ')} {stats.show(row[name])}" for name in names if not pd.isna(row[name])]
    return f"{', '.join(known) or 'trajectory'} ({row['trajectory_id']})"


def _values(frame: pd.DataFrame, column: str) -> str:
    """The distinct values of a column in order, whole numbers in a row as a range."""
    if column not in frame:
        return ""
    values = frame[column].dropna().drop_duplicates().sort_values(key=stats.ranks).tolist()
    if len(values) > 2 and all(isinstance(value, int) for value in values) and values[-1] - values[0] < len(values):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(_shown(values))


def _shown(values: Iterable[object]) -> list[str]:
    return [stats.show(value) for value in values]


def _one(text: str, count: int) -> str:
    """The wording for one case rather than several."""
    if count != 1:
        return text
    singular = (("trajectories are", "trajectory is"), ("trajectories", "trajectory"), ("lines rest", "line rests"))
    for several, one in singular:
        text = text.replace(several, one)
    return text.replace("so that they have", "so that it has")
