"""Results of a sweep, read and reported without torch, Ray or lthray.

`load` results folders; work on their frames with the pure functions `tidy_rounds`, `summarise`, `early_stopping`,
`learning_curves`, `compare`, `evidence`, `claims`, `layer_density` and `overlaps`; draw `figures.figure_1` and the
others; or have `write_report` do all of it.
"""

from analysis import figures
from analysis.judgement import claims, evidence
from analysis.layout import Layout, LayoutError
from analysis.learning import early_stopping, learning_curves, rounds_shown
from analysis.load import NotResultsError, Results, load
from analysis.masks import layer_density, overlaps, summarise_density, summarise_overlaps
from analysis.pairing import compare
from analysis.report import write_report
from analysis.stats import Panel, networks, panels, summarise, tidy_rounds, varied

__all__ = [
    "Layout",
    "LayoutError",
    "NotResultsError",
    "Panel",
    "Results",
    "claims",
    "compare",
    "early_stopping",
    "evidence",
    "figures",
    "layer_density",
    "learning_curves",
    "load",
    "networks",
    "overlaps",
    "panels",
    "rounds_shown",
    "summarise",
    "summarise_density",
    "summarise_overlaps",
    "tidy_rounds",
    "varied",
    "write_report",
]
