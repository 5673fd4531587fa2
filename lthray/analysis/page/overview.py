"""What was run, how far it got, and what a reader should be warned of."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.load import Results
from lthray.analysis.numbers import attack_audit
from lthray.analysis.numbers.fields import as_floats, field_columns, select, show, sort_key, trajectory_keys, varied
from lthray.analysis.numbers.states import COMPLETE, FAILED, PARTIAL, STOPPED, trajectory_states
from lthray.analysis.numbers.summary import SERIES, Panel, panels

_OFTEN = 0.2


@dataclass(frozen=True)
class CaseList:
    """A warning: its title, and the cases it is about."""

    title: str
    cases: tuple[str, ...]


def sweep_name(results: Results) -> str:
    """The sweep's name, or the folder's where there is none; the labels of several folders."""
    if len(results.folders) > 1:
        return ", ".join(results.folders)
    ((label, sweep),) = results.sweeps.items()
    return str((sweep or {}).get("name") or label)


def list_facts(results: Results) -> dict[str, str]:
    """What was run, in words, by heading."""
    rounds = results.rounds
    table = _trajectories(results)
    counts = {state: int((table["state"] == state).sum()) for state in (COMPLETE, STOPPED, PARTIAL, FAILED)}
    states = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    versions = (("lthray", "lthray_version"), ("torch", "torch_version"), ("Python", "python_version"))
    entries = {
        "Trajectories": f"{len(table):,} ({states})",
        "Rounds measured": f"{len(rounds):,}, up to round {rounds['round'].max()}",
        "Folders": ", ".join(results.folders) if len(results.folders) > 1 else "",
        "Data sets": _values(rounds, "dataset"),
        "Protocols": _values(rounds, "protocol"),
        "Strategies": _values(rounds, "strategy"),
        "Train attacks": _values(rounds, "train_attack"),
        "Seeds": _values(rounds, "seed"),
        "Also varied": ", ".join(varied(rounds)),
        "Devices": _values(rounds, "device"),
        "Versions": "; ".join(f"{tool} {_values(rounds, column)}" for tool, column in versions if column in rounds),
    }
    return {heading: value for heading, value in entries.items() if value}


def list_warnings(results: Results, summary: pd.DataFrame) -> list[CaseList]:
    """What limits the numbers: failures, trajectories cut short, single seeds, training cut short, weak attacks."""
    table = _trajectories(results)
    settings = varied(results.rounds)
    kinds = (
        ("trajectory failed", "trajectories failed", _failed(table, results.failures, settings)),
        (
            "trajectory is not complete: later rounds may rest on fewer seeds",
            "trajectories are not complete: later rounds may rest on fewer seeds",
            _partial(table, settings),
        ),
        (
            "line rests on a single seed and has no spread",
            "lines rest on a single seed and have no spread",
            _single(summary),
        ),
        (
            "group of networks was often still improving at the last iteration: train longer",
            "groups of networks were often still improving at the last iteration: train longer",
            _cut_short(results.rounds, settings),
        ),
        (
            "group of networks looks more robust to PGD than to FGSM: its PGD is too weak to be trusted",
            "groups of networks look more robust to PGD than to FGSM: their PGD is too weak to be trusted",
            _weaker_pgd(results.rounds, settings),
        ),
        (
            "group of networks has inputs without a gradient, which gradient attacks cannot change",
            "groups of networks have inputs without a gradient, which gradient attacks cannot change",
            _no_gradient(results.rounds, settings),
        ),
    )
    return [
        CaseList(f"{len(cases)} {singular if len(cases) == 1 else plural}", tuple(cases))
        for singular, plural, cases in kinds
        if cases
    ]


def list_settings(rounds: pd.DataFrame, panels: Sequence[Panel]) -> list[dict[str, str]]:
    """Every field of the trajectories behind each panel, with its values."""
    fields = field_columns(rounds)
    distinct = rounds.drop_duplicates(trajectory_keys(rounds))
    parts = (select(distinct[distinct["dataset"].isin(panel.summary["dataset"])], panel.setting) for panel in panels)
    return [{field: _values(part, field) for field in fields} for part in parts]


def _trajectories(results: Results) -> pd.DataFrame:
    return trajectory_states(results.rounds, results.failures, set().union(*results.stopped.values()))


def _failed(table: pd.DataFrame, failures: pd.DataFrame, settings: list[str]) -> list[str]:
    keys = trajectory_keys(table)
    errors = failures.drop_duplicates(keys, keep="last")[[*keys, "round", "error"]]
    cases = []
    for row in table[table["state"] == FAILED].merge(errors, on=keys).to_dict("records"):
        when = "" if pd.isna(row["round"]) else f", round {row['round']}"
        cases.append(f"{_describe(row, settings)}{when}: {row['error']}")
    return cases


def _partial(table: pd.DataFrame, settings: list[str]) -> list[str]:
    return [
        f"{_describe(row, settings)}: {row['measured']} of {int(row['rounds']) + 1} rounds"
        for row in table[table["state"] == PARTIAL].to_dict("records")
    ]


def _single(summary: pd.DataFrame) -> list[str]:
    cases = []
    for panel in panels(summary):
        seeds = panel.summary.groupby(list(SERIES), observed=True)["early_stopping_iteration_n"].max()
        for _, train, attack, strategy in seeds[seeds < 2].index:
            cases.append(f"{panel.title}, {strategy}, train {train} → attack {attack}")
    return cases


def _cut_short(rounds: pd.DataFrame, settings: list[str]) -> list[str]:
    # The last evaluation need not be at the very end: released-code evaluates by epoch.
    before = as_floats(rounds, "round_iterations") - as_floats(rounds, "eval_every")
    last = rounds["early_stopping_iteration"] > before
    cases = []
    for group, part in _groups(rounds.assign(_last=last), settings):
        share = float(part["_last"].mean())
        if share > _OFTEN:
            cases.append(f"{group}: in {share:.0%} of {len(part):,} rounds".replace("%", " %"))
    return cases


def _weaker_pgd(rounds: pd.DataFrame, settings: list[str]) -> list[str]:
    return _worst(attack_audit.weaker_pgd(rounds), settings, "excess", "by up to {:.1f} points")


def _no_gradient(rounds: pd.DataFrame, settings: list[str]) -> list[str]:
    return _worst(attack_audit.no_gradient(rounds), settings, "share", "up to {:.1f} % of the inputs")


def _worst(weak: pd.DataFrame, settings: list[str], measure: str, words: str) -> list[str]:
    """A line for each group: how many measurements exceed the limit, and by how much the worst does, in %."""
    cases = []
    for group, part in _groups(weak, settings):
        worst = part.sort_values(measure).iloc[-1]
        times = f"{len(part)} measurement{'' if len(part) == 1 else 's'}"
        cases.append(f"{group}: {times}, {words.format(worst[measure] * 100)} ({_where(worst)})")
    return cases


def _groups(rows: pd.DataFrame, settings: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each setting, data set, strategy and train attack, with what tells them apart."""
    names = ["dataset", "strategy", "train_attack", *settings]
    for key, part in rows.groupby(names, dropna=False, observed=True):
        yield layout.label(dict(zip(names, key, strict=True))), part


def _where(row: "pd.Series[Any]") -> str:
    return f"round {row['round']}, {row['moment'].replace('_', ' ')}, {row['split']}, seed {row['seed']}"


def _describe(row: dict[Hashable, Any], settings: list[str]) -> str:
    """A trajectory by what tells it from others, with its id."""
    words = [str(row[name]) for name in ("dataset", "strategy") if not pd.isna(row[name])]
    names = ["train_attack", *settings, "seed"]
    words += [f"{name.replace('_', ' ')} {show(row[name])}" for name in names if not pd.isna(row[name])]
    return f"{', '.join(words) or 'trajectory'} ({row['trajectory_id']})"


def _values(frame: pd.DataFrame, column: str) -> str:
    """The distinct values of a column in order, whole numbers in a row as a range."""
    if column not in frame:
        return ""
    values = frame[column].dropna().drop_duplicates().sort_values(key=sort_key).tolist()
    if len(values) > 2 and all(isinstance(value, int) for value in values) and values[-1] - values[0] < len(values):
        return f"{values[0]} to {values[-1]}"
    return ", ".join(_show_all(values))


def _show_all(values: Iterable[object]) -> list[str]:
    return [show(value) for value in values]
