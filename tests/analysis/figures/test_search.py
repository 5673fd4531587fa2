import math

import pytest

from lthray.analysis import figures
from lthray.analysis.numbers import search
from tests.analysis import synthetic
from tests.analysis.conftest import SWEEP


def test_parameters_have_a_point_a_sample_and_a_log_axis_where_the_space_is(searched):
    _, found, table = searched
    figure = figures.draw_parameters(table, found)
    figure.canvas.draw()
    rate, steps = figure.axes
    assert (rate.get_xscale(), steps.get_xscale()) == ("log", "linear")
    assert [one.get_text() for one in steps.get_xticklabels()] == ["5", "10"]
    points = {(x, round(y, 6)) for line in rate.lines for x, y in zip(*line.get_data(), strict=True)}
    assert points == {(one["learning_rate"], round(100 * one["mean"], 6)) for one in table.to_dict("records")}
    assert [one.get_text() for one in figure.legends[0].get_texts()] == [
        "reset", "random", "stopped or partial: an earlier round",
    ]  # fmt: skip
    low, high = rate.get_xlim()
    assert 0.8e-4 < low < 1e-4 < 1e-2 < high < 1.3e-2


def test_parallel_coordinates_have_a_line_a_sample_that_ends_at_its_metric(searched):
    _, found, table = searched
    figure = figures.draw_parallel_coordinates(table, found)
    figure.canvas.draw()
    reset, random = figure.axes
    lines = [line for line in reset.lines if len(line.get_xdata()) == 3 and line.get_linewidth() > 1]
    ends = sorted(float(line.get_ydata()[-1]) for line in lines)
    assert ends == pytest.approx([(0.552 - 0.402) / (0.802 - 0.402), 1.0])
    (best,) = (line for line in lines if line.get_linewidth() > 2)
    assert list(best.get_ydata()) == pytest.approx([math.log(20) / math.log(100), 1.0, 1.0])
    grey = [line for line in random.lines if line.get_linewidth() == 0.9]
    assert [len(line.get_xdata()) for line in grey] == [2, 2]


def test_figures_of_one_sample_one_parameter_and_no_grid():
    one = synthetic.trajectory(seed=0, train_attack="fgsm", learning_rate=1e-3)
    section = SWEEP["search"] | {"space": {"learning_rate": {"uniform": [1e-3, 2e-3]}}, "samples": 1, "scheduler": {}}
    found = search.search_of({"search": section})
    table = search.samples(one.assign(round_iterations=one["iterations"]), found)
    assert table["state"].tolist() == ["complete"]
    for draw in (figures.draw_parameters, figures.draw_parallel_coordinates):
        draw(table, found).canvas.draw()
        with pytest.raises(ValueError, match="without samples"):
            draw(table.iloc[:0], found)
