"""Figures for paper: how wide they are, how high their letters, and that nothing lies on anything else."""

import itertools

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from lthray.analysis import figures, learning_curves, networks, summarise
from lthray.analysis.figures import style
from lthray.analysis.figures.grid import make_grid
from tests.analysis import synthetic
from tests.analysis.figures.test_networks import MLPS, trajectories

WIDTHS = {"column": 3.3, "text": 6.9, "page": 11.0}


@pytest.mark.parametrize(
    ("rows", "columns", "width", "lines", "is_transposed"),
    [
        (4, 3, "page", [3, 3, 3, 3], False),
        (4, 3, "text", [3, 3, 3, 3], False),
        (1, 3, "column", [1, 1, 1], False),
        (4, 3, "column", [2] * 6, True),
        (3, 2, "column", [2, 2, 2], False),
        (2, 5, "text", [2] * 5, True),
        (1, 5, "text", [3, 2], False),
        (1, 6, "page", [6], False),
    ],
)
def test_panels_lie_as_the_width_allows(rows, columns, width, lines, is_transposed):
    with style.settings(width):
        grid = make_grid(rows, columns, width)
        grid.name([f"row {row}" for row in range(rows)], [f"column {column}" for column in range(columns)])
        grid.label_x("across")
    assert [len(line) for line in grid.lines] == lines
    assert grid.is_transposed == is_transposed
    assert [len(row) for row in grid.rows] == [columns] * rows
    assert len({id(axes) for axes in grid.panels}) == rows * columns
    assert grid.figure.get_figwidth() == max(WIDTHS[width], 2.6 * columns if width == "page" else 0)
    beside = [line[0].get_ylabel() for line in grid.lines]
    assert len(set(beside)) == (columns if is_transposed else rows)
    assert grid.panels[-1].get_xlabel() == "across"


def drawn():
    """Every figure of the poster with all its rows, and that of networks."""
    axes = {"train_attack": ["none", "fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1]}
    frames = synthetic.grid(**axes, rounds=18)
    rounds = pd.concat(frames, ignore_index=True)
    curves = learning_curves(pd.concat(map(synthetic.curves, frames), ignore_index=True), rounds)
    compared = networks(summarise(pd.concat(trajectories(MLPS, seed=[0, 1]), ignore_index=True)))
    return {
        figures.draw_accuracy_curves: curves, figures.draw_sparsity: summarise(rounds),
        figures.draw_loss_curves: curves, figures.draw_networks: compared,
    }  # fmt: skip


@pytest.fixture(scope="module")
def frames():
    return drawn()


def letters(figure):
    """The visible texts of a figure that is drawn, but for a panel's own labels behind its curves."""
    parts = [
        part for axes in figure.axes for part in (axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label)
    ]
    ticks = [
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]
    legends = [text for legend in figure.legends for text in legend.get_texts()]
    return [text for text in [*parts, *ticks, *legends] if text.get_visible() and text.get_text()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(
    "draw", [figures.draw_accuracy_curves, figures.draw_sparsity, figures.draw_loss_curves, figures.draw_networks]
)
def test_letters_can_be_read_and_lie_within_the_figure_and_apart(draw, width, frames):
    figure = draw(frames[draw], width=width)
    FigureCanvasAgg(figure).draw()
    assert figure.get_figwidth() == WIDTHS[width]
    assert {text.get_fontsize() for text in letters(figure)} == {{"column": 7.0, "text": 7.5, "page": 9.5}[width]}
    boxes = [(text.get_text(), text.get_window_extent()) for text in letters(figure)]
    boxes = [(text, box) for text, box in boxes if figure.bbox.fully_overlaps(box)]
    assert len(boxes) > 15
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.x1 <= figure.bbox.x1, text
        assert box.y0 >= 0, text
        assert box.y1 <= figure.bbox.y1, text
    for (text, box), (neighbour, beside) in itertools.combinations(boxes, 2):
        assert not box.padded(-1).overlaps(beside.padded(-1)), (text, neighbour)
