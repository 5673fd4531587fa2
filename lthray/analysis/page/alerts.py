"""What a reader should be warned of, and what the audit of the attacks found."""

from dataclasses import dataclass

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.load import Results
from lthray.analysis.numbers import consistency
from lthray.analysis.numbers.fields import show, trajectory_keys, varied
from lthray.analysis.numbers.states import FAILED, PARTIAL
from lthray.analysis.numbers.stopping import OFTEN, at_cap
from lthray.analysis.numbers.summary import SERIES, panels
from lthray.analysis.page.audit import Alarm, audit
from lthray.analysis.page.cases import CaseList, describe_trajectory, groups, list_cases
from lthray.analysis.page.overview import list_trajectories


@dataclass(frozen=True)
class Review:
    """What limits the numbers of a page."""

    alarms: list[Alarm]
    warnings: list[CaseList]
    audited: str
    """What the audit could check, in a sentence without its full stop."""


def review(results: Results, evaluations: pd.DataFrame, summary: pd.DataFrame) -> Review:
    """Weak attacks, failures, trajectories cut short, single seeds, training cut short, networks that are no pairs.

    Args:
        results: The results of the page.
        evaluations: Its `Results.evaluations()`.
        summary: What the page's figures show (`summarise`).
    """
    rounds = results.rounds
    settings = varied(rounds)
    table = list_trajectories(results)
    audited = audit(rounds, evaluations, settings)
    warnings = [
        *list_cases("trajectory failed", "trajectories failed", _failed(table, results.failures, settings)),
        *list_cases(
            "trajectory is not complete: later rounds may rest on fewer seeds",
            "trajectories are not complete: later rounds may rest on fewer seeds",
            _partial(table, settings),
        ),
        *list_cases(
            "line rests on a single seed and has no spread",
            "lines rest on a single seed and have no spread",
            _single(summary),
        ),
        *list_cases(
            "group of networks was often still improving at the last iteration: train longer",
            "groups of networks were often still improving at the last iteration: train longer",
            _cut_short(rounds, settings),
        ),
        *list_cases(
            "trajectory differs in round 0 from one that starts alike: device, versions, threads or data differed",
            "trajectories differ in round 0 from one that starts alike: devices, versions, threads or data differed",
            _differing_starts(rounds, settings),
        ),
        *list_cases(
            "comparison mixes networks of several devices or versions",
            "comparisons mix networks of several devices or versions",
            _mixed(rounds, settings),
        ),
    ]
    return Review(audited.alarms, [*audited.warnings, *warnings], audited.checked)


def _failed(table: pd.DataFrame, failures: pd.DataFrame, settings: list[str]) -> list[str]:
    keys = trajectory_keys(table)
    errors = failures.drop_duplicates(keys, keep="last")[[*keys, "round", "error"]]
    cases = []
    for row in table[table["state"] == FAILED].merge(errors, on=keys).to_dict("records"):
        when = "" if pd.isna(row["round"]) else f", round {row['round']}"
        cases.append(f"{describe_trajectory(row, settings)}{when}: {row['error']}")
    return cases


def _partial(table: pd.DataFrame, settings: list[str]) -> list[str]:
    return [
        f"{describe_trajectory(row, settings)}: {row['measured']} of {int(row['rounds']) + 1} rounds"
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
    cases = []
    for group, part in groups(rounds.assign(_at_cap=at_cap(rounds)), settings):
        share = float(part["_at_cap"].mean())
        if share > OFTEN:
            cases.append(f"{group}: in {share:.0%} of {len(part):,} rounds".replace("%", " %"))
    return cases


def _differing_starts(rounds: pd.DataFrame, settings: list[str]) -> list[str]:
    cases = []
    for difference in consistency.differing_starts(rounds):
        row, reference, measure = difference.row, difference.reference, difference.columns[0]
        pair = " against ".join(describe_trajectory(each, settings) for each in (row, reference))
        differing = {measure: measure.replace("_", " "), **consistency.PROVENANCE}
        values = ", ".join(
            f"{words} {show(row[column])} against {show(reference[column])}"
            for column, words in differing.items()
            if column in row and row[column] != reference[column]
        )
        more = len(difference.columns) - 1
        cases.append(f"{pair}: {values}" + (f", and {more} more measure{'s' if more > 1 else ''}" if more else ""))
    return cases


def _mixed(rounds: pd.DataFrame, settings: list[str]) -> list[str]:
    mixed = consistency.mixed_provenance(rounds)
    keys = ["dataset", "train_attack", *settings]
    cases = []
    for key, part in mixed.groupby([*keys, "column"], dropna=False, sort=False):
        counts = zip(part["value"], part["rounds"], strict=True)
        values = ", ".join(f"{value} in {count:,} rounds" for value, count in counts)
        cases.append(
            f"{layout.label(dict(zip(keys, key[:-1], strict=True)))}: {consistency.PROVENANCE[str(key[-1])]} {values}"
        )
    return cases
