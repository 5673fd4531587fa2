import math

import matplotlib as mpl
import pandas as pd
import pytest

from lthray.analysis import Layout, figures, summarise
from tests.analysis import synthetic


def summary(*trajectories):
    return summarise(pd.concat(trajectories, ignore_index=True))


def full(**axes):
    chosen = {"train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1, 2]}
    return summary(*synthetic.grid(**chosen | {"rounds": 12} | axes))


def test_a_row_per_attack_pair_and_a_line_per_strategy():
    figure = figures.draw_sparsity(full())
    figure.canvas.draw()
    assert len(figure.axes) == 2 * 3
    for axes in figure.axes:
        assert [line.get_label() for line in axes.lines] == ["reset", "random", "continued"]
        assert len(axes.collections) == 3
        assert len({line.get_color() for line in axes.lines}) == 3
        assert len({line.get_marker() for line in axes.lines}) == 3
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["train fgsm → attack fgsm", "train pgd → attack pgd"]
    assert len(figure.legends) == 1


def test_weights_run_from_dense_to_sparse_on_a_log_axis():
    figure = figures.draw_sparsity(full())
    figure.canvas.draw()
    for axes in figure.axes:
        left, right = axes.get_xlim()
        assert axes.get_xscale() == "log"
        assert left > 100 > 0.8**12 * 100 > right
    labels = [label.get_text() for label in figure.axes[-1].get_xticklabels()]
    assert labels[0] == "100"
    assert 5 <= len(labels) <= 8


def test_the_lines_are_the_numbers_of_the_summary():
    numbers = summary(
        synthetic.trajectory(train_attack="fgsm", seed=0, rounds=1, stop=[1000, 500], adversarial=[0.5, 0.4]),
        synthetic.trajectory(train_attack="fgsm", seed=1, rounds=1, stop=[3000, 500], adversarial=[0.7, 0.4]),
    )
    stop, adversarial, _ = figures.draw_sparsity(numbers).axes
    assert list(stop.lines[0].get_xdata()) == pytest.approx([100, 80])
    assert list(stop.lines[0].get_ydata()) == [2000, 500]
    assert list(adversarial.lines[0].get_ydata()) == pytest.approx([60, 40])
    low, high = sorted(set(adversarial.collections[0].get_paths()[0].vertices[:, 1].round(6)))[::2]
    assert (low, high) == pytest.approx((40, 60 + 100 * math.sqrt(0.02)))


def test_the_label_is_a_caption_and_nothing_of_it_is_in_the_picture():
    figure = figures.draw_sparsity(full(seed=[0, 1]))
    assert "Mean of 2 seeds" in figure.get_label()
    assert "standard deviation" in figure.get_label()
    assert figure.get_suptitle() == ""


def test_one_seed_has_no_band():
    figure = figures.draw_sparsity(full(seed=[0]))
    assert all(not axes.collections for axes in figure.axes)
    assert "Mean of 1 seed." in figure.get_label()
    assert "deviation" not in figure.get_label()


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_dense_network_alone_is_a_point(seeds):
    figure = figures.draw_sparsity(full(rounds=0, seed=seeds))
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["100"]


def test_a_strategy_missing_from_one_row_and_gaps_are_drawn_around():
    gap = synthetic.trajectory(train_attack="pgd", rounds=3, adversarial=[0.5, math.nan, 0.4, 0.3])
    figure = figures.draw_sparsity(
        summary(*synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], rounds=3), gap)
    )
    figure.canvas.draw()
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 1, 1, 1]


def test_nothing_measured_under_an_attack_still_draws():
    numbers = summary(synthetic.trajectory(train_attack="fgsm", rounds=2))
    numbers["early_stopping_adversarial_accuracy_test_mean"] = math.nan
    figures.draw_sparsity(numbers).canvas.draw()


def test_only_one_panel_at_a_time():
    numbers = summary(*synthetic.grid(dataset=["mnist", "fashion-mnist"], rounds=0))
    with pytest.raises(ValueError, match="not 2"):
        figures.draw_sparsity(numbers)
    with pytest.raises(ValueError, match="not 0"):
        figures.draw_sparsity(numbers.iloc[:0])


def test_drawing_leaves_no_trace_in_matplotlib():
    before = dict(mpl.rcParams)
    figures.draw_sparsity(full(rounds=1))
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        (Layout(colour="pgd.steps"), 6, 3),
        (Layout(row="pgd.steps"), 4, 3),
        (Layout(column="pgd.steps"), 2, 6),
        (Layout(colour="pgd.steps", row="train_attack"), 6, 3),
    ],
)
def test_a_field_on_colour_row_or_column(place, rows, columns):
    figure = figures.draw_sparsity(full(pgd__steps=[7, 40], seed=[0, 1], rounds=2), place)
    figure.canvas.draw()
    assert len(figure.axes) == rows * columns
    assert len(figure.legends[0].get_texts()) == (2 if place.colour == "pgd.steps" else 3)
