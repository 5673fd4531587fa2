"""Read and report the results of sweeps, without torch, Ray or the rest of lthray.

`load` results folders; work on their frames with the pure functions `tidy_rounds`, `summarise`, `early_stopping`,
`learning_curves`, `compare`, `judge`, `layer_density` and `overlaps`; draw `figures.draw_sparsity` and
the others; or have `write_report` do all of it.
"""

from lthray.analysis import figures
from lthray.analysis.figures.layout import Layout, LayoutError
from lthray.analysis.load import Results, load
from lthray.analysis.numbers.curves import early_stopping, learning_curves, rounds_shown
from lthray.analysis.numbers.evaluations import summarise_evaluations
from lthray.analysis.numbers.fields import varied
from lthray.analysis.numbers.masks import layer_density, overlaps, summarise_density, summarise_overlaps
from lthray.analysis.numbers.paired_tests import compare
from lthray.analysis.numbers.summary import Panel, networks, panels, summarise, tidy_rounds
from lthray.analysis.numbers.verdicts import Judgement, judge
from lthray.analysis.page.report import write_report
from lthray.analysis.parquet import NotResultsError

__all__ = [
    "Judgement",
    "Layout",
    "LayoutError",
    "NotResultsError",
    "Panel",
    "Results",
    "compare",
    "early_stopping",
    "figures",
    "judge",
    "layer_density",
    "learning_curves",
    "load",
    "networks",
    "overlaps",
    "panels",
    "rounds_shown",
    "summarise",
    "summarise_density",
    "summarise_evaluations",
    "summarise_overlaps",
    "tidy_rounds",
    "varied",
    "write_report",
]
