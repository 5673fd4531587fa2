"""The figures' numbers as text: tables of the page, and a table of accuracies as CSV, Markdown and LaTeX."""

import io
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv

from lthray.analysis.figures import layout
from lthray.analysis.numbers.curves import rounds_shown
from lthray.analysis.numbers.fields import select, show
from lthray.analysis.numbers.summary import SERIES, list_strategies, setting_keys

ACCURACIES = {
    "early_stopping_natural_accuracy_test": "natural, early stopping",
    "early_stopping_adversarial_accuracy_test": "adversarial, early stopping",
    "final_natural_accuracy_test": "natural, end",
    "final_adversarial_accuracy_test": "adversarial, end",
}
"""The measures of the table of accuracies, and how they are called."""


@dataclass(frozen=True)
class Cell:
    """A mean with its standard deviation and the number of seeds, ready to print."""

    mean: str
    deviation: str
    """Empty where a single seed leaves none."""
    seeds: int

    def __str__(self) -> str:
        spread = f" ± {self.deviation}" if self.deviation else ""
        return f"{self.mean}{spread} ({self.seeds})"


@dataclass(frozen=True)
class Row:
    """A round: its number, the weights remaining in %, and a cell per measure and strategy (None without numbers)."""

    round: int
    weights: str
    cells: tuple[Cell | None, ...]


@dataclass(frozen=True)
class Table:
    """The numbers of one row of Figure 2; `measures` and `strategies` head the cells, measures outermost."""

    title: str
    moment: str
    measures: tuple[str, ...]
    strategies: tuple[str, ...]
    rows: tuple[Row, ...]


def csv(frame: pd.DataFrame) -> bytes:
    """A frame as a CSV file."""
    buffer = io.BytesIO()
    pacsv.write_csv(pa.Table.from_pandas(frame, preserve_index=False), buffer)
    return buffer.getvalue()


def page_tables(summary: pd.DataFrame, placed: Sequence[str] = ()) -> list[Table]:
    """The numbers of a figure: tables at early stopping and at the end for each pair of attacks.

    Args:
        summary: The rows of `summarise` for one data set and one setting, apart from placed fields.
        placed: The fields that the figure shows itself; each of their values has its own tables.
    """
    fields = [*layout.ATTACKS, *(name for name in placed if name not in (*layout.ATTACKS, "strategy"))]
    return [
        _table(select(summary, facet), _title(facet), moment, dict(measures))
        for facet in layout.facets(summary, fields)
        for moment, measures in layout.MOMENTS
    ]


def accuracies(summary: pd.DataFrame) -> pd.DataFrame:
    """The table of accuracies: mean, standard deviation and number of seeds, at early stopping and at the end.

    Args:
        summary: The rows of `summarise`.

    Returns:
        One row per setting, data set, train attack, eval attack, strategy and round: their columns,
        `weights_remaining` ((0, 1]), and `<measure>_mean`, `<measure>_sd` (shares of [0, 1]) and `<measure>_n` for each
        of `ACCURACIES`.
    """
    measured = [f"{measure}_{part}" for measure in ACCURACIES for part in ("mean", "sd", "n")]
    return summary[[*setting_keys(summary), *SERIES, "round", "weights_remaining", *measured]]


def printed(table: pd.DataFrame) -> pd.DataFrame:
    """`accuracies` as text: weights and accuracies in %, mean ± standard deviation (seeds)."""
    keys = [*setting_keys(table), *SERIES, "round"]
    text = pd.DataFrame({name.replace("_", " "): [show(value) for value in table[name]] for name in keys})
    text["weights, %"] = [percent(share) for share in table["weights_remaining"]]
    for measure, name in ACCURACIES.items():
        values = zip(*(table[f"{measure}_{part}"] for part in ("mean", "sd", "n")), strict=True)
        cells = (format_cell(float(mean), float(deviation), int(n), percent=True) for mean, deviation, n in values)
        text[f"{name}, %"] = ["–" if cell is None else str(cell) for cell in cells]
    return text


def markdown(text: pd.DataFrame) -> str:
    """A table of text in Markdown."""
    rows = [list(text.columns), ["---"] * len(text.columns), *text.to_numpy().tolist()]
    return "".join(f"| {' | '.join(value.replace('|', '&#124;') for value in row)} |\n" for row in rows)


def latex(text: pd.DataFrame) -> str:
    """A table of text in LaTeX, over as many pages as it takes; needs the packages booktabs and longtable."""
    numbers = sum(name.endswith(", %") for name in text.columns)
    form = "l" * (len(text.columns) - numbers) + "r" * numbers
    lines = [_latex_row(row) for row in [list(text.columns), *text.to_numpy().tolist()]]
    head, *body = lines
    return "".join((
        "% needs \\usepackage{booktabs,longtable}\n", f"\\begin{{longtable}}{{{form}}}\n", "\\toprule\n", head,
        "\\midrule\n\\endhead\n\\bottomrule\n\\endfoot\n", *body, "\\end{longtable}\n",
    ))  # fmt: skip


def latex_column(table: pd.DataFrame) -> str:
    """Accuracies at early stopping as tables that fit a column of a paper; needs the package booktabs.

    A `tabular` for each data set, setting and pair of attacks, with the rounds that Figures 1 and 3 show: weights
    remaining, strategy, natural and adversarial accuracy in %, mean ± standard deviation.

    Args:
        table: What `accuracies` returns.
    """
    shown = table[table["round"].isin(rounds_shown(table))]
    keys = [*setting_keys(table), *layout.ATTACKS]
    parts = ["% needs \\usepackage{booktabs}; mean \\pm standard deviation over seeds, at early stopping\n"]
    for facet in layout.facets(shown, ["dataset", *keys]):
        rows = select(shown, facet).sort_values("round", kind="stable")
        parts.append(f"\n% {layout.label(facet)}\n{{\\footnotesize\\setlength{{\\tabcolsep}}{{4pt}}%\n")
        parts.append(
            "\\begin{tabular}{rlrr}\n\\toprule\n"
            + _latex_row(["weights, %", "strategy", "natural, %", "adversarial, %"])
        )
        before = None
        for row in rows.to_dict("records"):
            weights = percent(row["weights_remaining"])
            rule, first = ("\\midrule\n", weights) if row["round"] != before else ("", "")
            before = row["round"]
            cells = [_short(row, f"early_stopping_{kind}_accuracy_test") for kind in ("natural", "adversarial")]
            parts.append(rule + _latex_row([first, str(row["strategy"]), *cells]))
        parts.append("\\bottomrule\n\\end{tabular}}\n")
    return "".join(parts)


def format_cell(mean: float, deviation: float, seeds: int, *, percent: bool) -> Cell | None:
    """Mean and deviation as printed: shares in % with one decimal, iterations as whole numbers."""
    if seeds == 0 or math.isnan(mean):
        return None
    scale, form = (100, ".1f") if percent else (1, ",.0f")
    spread = "" if math.isnan(deviation) else format(deviation * scale, form)
    return Cell(format(mean * scale, form), spread, seeds)


_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "–": "--",
})  # fmt: skip


def _latex_row(values: Sequence[str]) -> str:
    return " & ".join(value.translate(_LATEX) for value in values) + " \\\\\n"


def _short(row: dict[Hashable, Any], measure: str) -> str:
    """A cell without the number of seeds."""
    cell = _cell(row, measure)
    return "–" if cell is None else f"{cell.mean} ± {cell.deviation}" if cell.deviation else cell.mean


def _title(facet: layout.Facet) -> str:
    train, attack = facet["train_attack"], facet["eval_attack"]
    words = [f"Trained {'without attack' if train == 'none' else f'against {train}'}, attacked with {attack}"]
    rest = {name: value for name, value in facet.items() if name not in layout.ATTACKS}
    return ", ".join([*words, *([layout.label(rest)] if rest else [])])


def _table(part: pd.DataFrame, title: str, moment: str, measures: dict[str, str]) -> Table:
    strategies = list_strategies(part)
    by_round: dict[int, dict[str, dict[Hashable, Any]]] = {}
    for row in part.to_dict("records"):
        by_round.setdefault(int(row["round"]), {})[str(row["strategy"])] = row
    rows = tuple(_row(number, by_round[number], strategies, list(measures)) for number in sorted(by_round))
    return Table(title, moment, tuple(measures.values()), tuple(strategies), rows)


def _row(number: int, by_strategy: dict[str, dict[Hashable, Any]], strategies: list[str], measures: list[str]) -> Row:
    cells = tuple(_cell(by_strategy.get(strategy), measure) for measure in measures for strategy in strategies)
    weights = [row["weights_remaining"] for row in by_strategy.values()]
    return Row(number, percent(sum(weights) / len(weights)), cells)


def percent(share: float) -> str:
    """Weights remaining as printed, in %."""
    return format(share * 100, ".1f" if share >= 0.01 else ".2f")


def _cell(row: dict[Hashable, Any] | None, measure: str) -> Cell | None:
    if row is None:
        return None
    mean, deviation, seeds = (row[f"{measure}_{part}"] for part in ("mean", "sd", "n"))
    return format_cell(float(mean), float(deviation), int(seeds), percent=not measure.endswith("_iteration"))
