"""The cases of a warning, and the words for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.numbers.fields import show


@dataclass(frozen=True)
class CaseList:
    """A warning: its title, and the cases it is about."""

    title: str
    cases: tuple[str, ...]
    anchor: str = ""
    """The anchor that an alarm links to; empty if no alarm does."""


def list_cases(singular: str, plural: str, cases: Sequence[str], anchor: str = "") -> list[CaseList]:
    """The warning about some cases, its title headed by their number; none without cases."""
    title = f"{len(cases)} {singular if len(cases) == 1 else plural}"
    return [CaseList(title, tuple(cases), anchor)] if cases else []


def groups(rows: pd.DataFrame, settings: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows of each setting, data set, strategy and train attack, with what tells them apart."""
    names = ["dataset", "strategy", "train_attack", *settings]
    for key, part in rows.groupby(names, dropna=False, observed=True):
        yield layout.label(dict(zip(names, key, strict=True))), part


def worst(weak: pd.DataFrame, settings: list[str], measure: str, words: str) -> list[str]:
    """A line for each group: how many measurements exceed the limit, and by how much the worst does, in %."""
    cases = []
    for group, part in groups(weak, settings):
        row = part.sort_values(measure).iloc[-1]
        times = f"{len(part)} measurement{'' if len(part) == 1 else 's'}"
        cases.append(f"{group}: {times}, {words.format(row[measure] * 100)} ({_where(row)})")
    return cases


def describe_trajectory(row: dict[Any, Any], settings: list[str]) -> str:
    """A trajectory by what tells it from others, with its id."""
    words = [str(row[name]) for name in ("dataset", "strategy") if not pd.isna(row[name])]
    names = ["train_attack", *settings, "seed"]
    words += [f"{name.replace('_', ' ')} {show(row[name])}" for name in names if not pd.isna(row[name])]
    return f"{', '.join(words) or 'trajectory'} ({row['trajectory_id']})"


def _where(row: "pd.Series[Any]") -> str:
    return f"round {row['round']}, {row['moment'].replace('_', ' ')}, {row['split']}, seed {row['seed']}"
