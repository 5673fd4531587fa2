"""Results of a sweep, read and reported without torch, Ray or lthray.

`load` a results folder, work on its frames with `tidy_rounds`, `summarise` and `panels`, draw `figure_2`, or have
`write_report` do all of it.
"""

from analysis.figures import figure_2
from analysis.load import NotResultsError, Results, load
from analysis.report import write_report
from analysis.stats import Panel, panels, summarise, tidy_rounds, varied

__all__ = [
    "NotResultsError",
    "Panel",
    "Results",
    "figure_2",
    "load",
    "panels",
    "summarise",
    "tidy_rounds",
    "varied",
    "write_report",
]
