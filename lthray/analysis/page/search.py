"""The section on a search: its figures, its best settings, and what limits them."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis import figures
from lthray.analysis.figures import layout
from lthray.analysis.files import replace_file
from lthray.analysis.load import Results
from lthray.analysis.numbers.fields import show
from lthray.analysis.numbers.search import (
    ATTACK_FIELDS,
    COMPLETE,
    STOPPED,
    Search,
    best,
    of_the_best,
    rows_of,
    samples,
    search_of,
)
from lthray.analysis.page import drawing
from lthray.analysis.page.tables import csv, format_cell

_DIGITS = "{:.4g}"


@dataclass(frozen=True)
class SearchSection:
    """A search on the page."""

    anchor: str
    title: str
    notes: list[str]
    drawings: list[drawing.Drawing]
    headings: list[str]
    rows: list[list[str]]
    """The best settings as printed."""


def sections(results: Results, album: drawing.Album) -> tuple[list[SearchSection], pd.DataFrame]:
    """The searches among results, and the table of rounds in which only their best settings are left.

    Writes their figures into the album, and `tables/search-*.csv` beside its folder.
    """
    several = len(results.folders) > 1
    made: list[SearchSection] = []
    kept: list[pd.DataFrame] = []
    for label, sweep in results.sweeps.items():
        rounds = results.rounds[results.rounds["folder"] == label] if several else results.rounds
        search = search_of(sweep)
        table = samples(rounds, search, results.stopped.get(label, ())) if search else pd.DataFrame()
        if search is None or table.empty:
            kept.append(rounds)
            continue
        name = "search" if not several else f"search-{len(made) + 1}"
        made.append(_section(search, rounds, table, name, f"Search: {label}" if several else "Search", album))
        kept.append(of_the_best(rounds, search, table))
    return made, pd.concat(kept, ignore_index=True) if made else results.rounds


def notes(search: Search, rounds: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """What was searched and what limits it, in sentences."""
    done, stopped = (int((table["state"] == state).sum()) for state in (COMPLETE, STOPPED))
    cells = len(layout.facets(table, list(search.grid)))
    aim = "larger" if search.mode == "max" else "smaller"
    sentences = [
        f"{len(table):,} samples of {', '.join(search.space)} in {_count(cells, 'cell')} of the grid, each trained with"
        f" {_count(search.seeds, 'seed')}; {done:,} are complete. The metric is {search.metric} after a sample's last"
        f" round, as a mean over seeds; the {aim}, the better.",
    ]
    if search.scheduler:
        spent, whole = _iterations(rows_of(rounds, search), search, len(table))
        sentences.append(
            f"{search.scheduler} stopped {stopped:,} of them between rounds, so that {spent:,} iterations were trained"
            f" instead of {whole:,}. The metric of a stopped sample is that of an earlier, denser round."
        )
    if cells > 1:
        sentences.append(
            "All cells of the grid have the same samples and can be compared setting by setting."
            if search.searcher == "random"
            else f"{search.searcher} drew the samples of each cell separately: settings are not paired, and verdicts"
            " can compare strategies only where both happen to have the same setting."
        )
    easier = [name for name in search.space if name in ATTACK_FIELDS]
    if easier and "_none_accuracy_" not in search.metric and "_accuracy_" in search.metric:
        sentences.append(
            f"{' and '.join(easier)} shape the attack that the metric is measured under, not only the train attack: a"
            " setting can be best because its attack is weak. To compare robustness, fix the attack's strength."
        )
    if search.metric.endswith("_test"):
        sentences.append(
            "The metric is measured on test images: by chance, the best of many samples does better there than on new"
            " images."
        )
    return sentences


def printed(table: pd.DataFrame, search: Search) -> tuple[list[str], list[list[str]]]:
    """The best settings as a table of text: headings and rows; `table` is what `best` gives."""
    twin = table["test_mean"].notna().any()
    unit = ", %" if search.percent else ""
    named = [f"{search.words}{unit}", *([f"{search.words.replace('validation', 'test')}{unit}"] if twin else [])]
    headings = ["Rank", *(name.replace("_", " ") for name in search.fields), "Weights, %", *named]
    rows = []
    for row in table.to_dict("records"):
        fields = [_value(row[name]) for name in search.fields]
        measured = [_measured(row, "", search), *([_measured(row, "test_", search)] if twin else [])]
        rows.append([str(row["rank"]), *fields, f"{100 * row['weights_remaining']:.1f}", *measured])
    return headings, rows


def _section(
    search: Search, rounds: pd.DataFrame, table: pd.DataFrame, name: str, title: str, album: drawing.Album
) -> SearchSection:
    numbers = f"{name}.csv"
    replace_file(album.folder.parent / "tables" / numbers, csv(table))
    drawings = [
        drawing.write_figure(kind, draw(table, search, width=album.width), album, title, name, numbers)
        for kind, draw in (
            ("parameters", figures.draw_parameters), ("parallel-coordinates", figures.draw_parallel_coordinates)
        )
    ]  # fmt: skip
    headings, rows = printed(best(table, search), search)
    return SearchSection(name, title, notes(search, rounds, table), drawings, headings, rows)


def _iterations(rounds: pd.DataFrame, search: Search, count: int) -> tuple[int, int]:
    """The iterations spent, and those of all samples to their end."""
    lengths = rounds.groupby("trajectory_id")[["rounds", "iterations", "retrain.iterations"]].max()
    whole = (lengths["iterations"] + lengths["rounds"] * lengths["retrain.iterations"]).mean() * count * search.seeds
    return int(rounds["round_iterations"].sum()), round(float(whole))


def _measured(row: dict[Hashable, Any], prefix: str, search: Search) -> str:
    mean, deviation = row[f"{prefix}mean"], row[f"{prefix}sd"]
    if search.percent:
        return str(format_cell(mean, deviation, row["n"], percent=True) or "–")
    spread = "" if pd.isna(deviation) else f" ± {_DIGITS.format(deviation)}"
    return f"{_DIGITS.format(mean)}{spread} ({row['n']})"


def _value(value: object) -> str:
    return _DIGITS.format(value) if isinstance(value, float) else show(value)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
