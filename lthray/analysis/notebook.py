"""What results and figures look like as the last expression of a notebook's cell."""

import io
from collections.abc import Collection, Mapping
from html import escape

import pandas as pd
from matplotlib.figure import Figure

from lthray.analysis.numbers.fields import distinct, show, varied
from lthray.analysis.numbers.states import COMPLETE, FAILED, PARTIAL, STOPPED, trajectory_states

_SHARPNESS = 2
"""Pixels of the picture for each pixel of the page, which screens of high density show."""
_NEXT = (
    ("results.rounds", "a row per trajectory and round"),
    ("analysis.summarise(results.rounds)", "means over seeds"),
    ("analysis.judge(results.rounds, results.evaluations()).verdicts", "verdicts on the poster's claims"),
    ("results.curves()", "learning curves"),
    ('analysis.write_report(results, "report")', "figures, tables and verdicts on a page, report/index.html"),
)
"""Calls to make next, and what each gives."""


class NotebookFigure(Figure):
    """A figure that shows itself in a notebook, also without `%matplotlib inline`, which needs pyplot."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture, and its width and height on the page in pixels."""
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=self.dpi * _SHARPNESS)
        width, height = self.get_size_inches() * self.dpi
        return content.getvalue(), {"width": round(width), "height": round(height)}


def describe_results(
    folders: Mapping[str, object], rounds: pd.DataFrame, failures: pd.DataFrame, stopped: Collection[str]
) -> dict[str, str]:
    """What was run and how far it got, in words, by heading.

    Args:
        folders: The results folders by label.
        rounds: The table of rounds.
        failures: The trajectories that failed.
        stopped: Ids of the trajectories that a search's scheduler stopped.
    """
    states = trajectory_states(rounds, failures, stopped)["state"]
    counts = {state: int((states == state).sum()) for state in (COMPLETE, STOPPED, PARTIAL, FAILED)}
    fields = {
        "Data sets": "dataset",
        "Strategies": "strategy",
        "Train attacks": "train_attack",
        "Seeds": "seed",
    } | {name: name for name in varied(rounds) if name != "folder"}
    return {
        "Folder" if len(folders) == 1 else "Folders": ", ".join(map(str, folders.values())),
        "Trajectories": ", ".join(f"{count:,} {state}" for state, count in counts.items() if count),
        "Rounds measured": f"{len(rounds):,}, up to round {rounds['round'].max()}",
    } | {heading: _values(rounds, name) for heading, name in fields.items()}


def results_html(title: str, facts: Mapping[str, str]) -> str:
    """Facts as a table, with the calls to make next. It takes the notebook's colours, light or dark."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(heading)}</th><td style="text-align:left">{escape(value)}</td></tr>'
        for heading, value in facts.items()
    )
    calls = "".join(f"<li><code>{escape(call)}</code> – {escape(gives)}</li>" for call, gives in _NEXT)
    return f"<div><strong>{escape(title)}</strong><table>{rows}</table>Next:<ul>{calls}</ul></div>"


def _values(rounds: pd.DataFrame, name: str) -> str:
    return ", ".join(show(value) for (value,) in distinct(rounds, [name]))
