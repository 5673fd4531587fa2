import math

import matplotlib as mpl
import pandas as pd
import pytest

from lthray.analysis import Layout, LayoutError, figures, learning_curves
from lthray.analysis.figures import layout, style
from lthray.analysis.numbers import summary as stats
from tests.analysis import synthetic


def summary(*trajectories):
    return stats.summarise(pd.concat(trajectories, ignore_index=True))


def full(**axes):
    chosen = {"train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1, 2]}
    return summary(*synthetic.grid(**chosen | {"rounds": 12} | axes))


def test_a_row_per_attack_pair_and_a_line_per_strategy():
    figure = figures.figure_2(full())
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
    figure = figures.figure_2(full())
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
    stop, adversarial, _ = figures.figure_2(numbers).axes
    assert list(stop.lines[0].get_xdata()) == pytest.approx([100, 80])
    assert list(stop.lines[0].get_ydata()) == [2000, 500]
    assert list(adversarial.lines[0].get_ydata()) == pytest.approx([60, 40])
    low, high = sorted(set(adversarial.collections[0].get_paths()[0].vertices[:, 1].round(6)))[::2]
    assert (low, high) == pytest.approx((40, 60 + 100 * math.sqrt(0.02)))


def test_title_states_data_set_setting_and_seeds():
    numbers = summary(*synthetic.grid(train_attack="pgd", pgd__steps=[7, 40], seed=[0, 1], rounds=1))
    panel = next(iter(stats.panels(numbers)))
    title = figures.figure_2(panel.summary).get_suptitle()
    assert "fashion-mnist · pgd.steps 7" in title
    assert "2 seeds" in title
    assert "standard deviation" in title


def test_one_seed_has_no_band():
    figure = figures.figure_2(full(seed=[0]))
    assert all(not axes.collections for axes in figure.axes)
    assert "1 seed" in figure.get_suptitle()
    assert "deviation" not in figure.get_suptitle()


@pytest.mark.parametrize("seeds", [[0], [0, 1]])
def test_a_dense_network_alone_is_a_point(seeds):
    figure = figures.figure_2(full(rounds=0, seed=seeds))
    figure.canvas.draw()
    assert [label.get_text() for label in figure.axes[-1].get_xticklabels()] == ["100"]


def test_a_strategy_missing_from_one_row_and_gaps_are_drawn_around():
    gap = synthetic.trajectory(train_attack="pgd", rounds=3, adversarial=[0.5, math.nan, 0.4, 0.3])
    figure = figures.figure_2(
        summary(*synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], rounds=3), gap)
    )
    figure.canvas.draw()
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 1, 1, 1]


def test_nothing_measured_under_an_attack_still_draws():
    numbers = summary(synthetic.trajectory(train_attack="fgsm", rounds=2))
    numbers["early_stopping_adversarial_accuracy_test_mean"] = math.nan
    figures.figure_2(numbers).canvas.draw()


def test_only_one_panel_at_a_time():
    numbers = summary(*synthetic.grid(dataset=["mnist", "fashion-mnist"], rounds=0))
    with pytest.raises(ValueError, match="not 2"):
        figures.figure_2(numbers)
    with pytest.raises(ValueError, match="not 0"):
        figures.figure_2(numbers.iloc[:0])


def test_drawing_leaves_no_trace_in_matplotlib():
    before = dict(mpl.rcParams)
    figures.figure_2(full(rounds=1))
    assert dict(mpl.rcParams) == before


def test_ticks_are_rounds_own_and_apart():
    percents = [100 * 0.8**number for number in range(21)]
    ticks = style.weight_ticks(percents)
    assert [style.percent_label(tick) for tick in ticks] == ["100", "51.2", "26.2", "13.4", "6.9", "3.5", "1.8"]
    assert style.weight_ticks([100.0]) == [100]
    assert style.weight_ticks([100.0, 80.0]) == [100, 80]
    assert [style.percent_label(value) for value in (0.515, 2.0)] == ["0.52", "2"]


def learned(**axes):
    chosen = {"train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1]}
    frames = synthetic.grid(**chosen | {"rounds": 9} | axes)
    trained = pd.concat([synthetic.curves(frame) for frame in frames], ignore_index=True)
    return learning_curves(trained, pd.concat(frames, ignore_index=True))


def test_figure_1_has_the_posters_panels():
    figure = figures.figure_1(learned())
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == [
        "reset",
        "reset (solid), random (dashed)",
        "reset (solid), continued (dashed)",
    ]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["train fgsm → attack fgsm", "train pgd → attack pgd"]
    assert [len(axes.lines) for axes in figure.axes] == [4, 8, 8] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["100", "51.2", "16.8", "13.4"]
    alone = figure.axes[0]
    assert len({(line.get_color(), line.get_marker()) for line in alone.lines}) == 4
    assert len(alone.collections) == 4
    assert not figure.axes[1].collections


def test_figures_1_and_3_draw_the_means():
    curves = learned(train_attack="fgsm", strategy="reset")
    line = figures.figure_1(curves).axes[0].lines[0]
    assert list(line.get_xdata()) == [0, 500, 1000]
    assert list(line.get_ydata()) == pytest.approx([10, 35, 60])
    assert list(figures.figure_3(curves).axes[0].lines[0].get_ydata()) == pytest.approx([2.3, 1.8, 1.3])


def test_one_seed_has_no_band_in_figure_1():
    assert not figures.figure_1(learned(seed=[0])).axes[0].collections


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        (Layout(colour="pgd.steps"), 6, 3),
        (Layout(row="pgd.steps"), 4, 3),
        (Layout(column="pgd.steps"), 2, 6),
        (Layout(colour="pgd.steps", row="train_attack"), 6, 3),
    ],
)
def test_a_field_on_colour_row_or_column_of_figure_2(place, rows, columns):
    figure = figures.figure_2(full(pgd__steps=[7, 40], seed=[0, 1], rounds=2), place)
    figure.canvas.draw()
    assert len(figure.axes) == rows * columns
    assert len(figure.legends[0].get_texts()) == (2 if place.colour == "pgd.steps" else 3)


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [(Layout(colour="pgd.steps"), 4, 3), (Layout(row="pgd.steps"), 4, 3), (Layout(column="pgd.steps"), 6, 2)],
)
def test_a_field_on_row_or_column_of_figure_1(place, rows, columns):
    figure = figures.figure_1(learned(pgd__steps=[7, 40], rounds=2), place)
    figure.canvas.draw()
    assert len(figure.axes) == rows * columns


def test_many_values_stay_apart():
    looks = style.styles("epsilon", [value / 10 for value in range(9)])
    assert len(set(looks.values())) == 9
    assert style.styles("strategy", ["reset", "late"])["reset"] == style.styles("strategy", ["reset"])["reset"]


def test_layouts_are_read_from_the_command_line():
    allowed = ["pgd.steps", "strategy", "dataset"]
    assert layout.parse([], allowed) == Layout()
    assert layout.parse(["pgd.steps"], allowed) == Layout(colour="pgd.steps")
    assert layout.parse(["row=dataset", "column=pgd.steps"], allowed) == Layout(row="dataset", column="pgd.steps")
    for texts, said in (
        (["seed"], "does not vary"),
        (["side=dataset"], "no place 'side'"),
        (["pgd.steps", "colour=dataset"], "shows pgd.steps already"),
        (["row=strategy"], "strategy is on colour"),
    ):
        with pytest.raises(LayoutError, match=said):
            layout.parse(texts, allowed)
