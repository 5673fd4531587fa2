import itertools

import pandas as pd
import pytest

from lthray.analysis import Layout, figures, learning_curves
from lthray.analysis.figures.series import series_lines
from tests.analysis import synthetic


def learned(**axes):
    chosen = {"train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1]}
    frames = synthetic.grid(**chosen | {"rounds": 9} | axes)
    trained = pd.concat([synthetic.curves(frame) for frame in frames], ignore_index=True)
    return learning_curves(trained, pd.concat(frames, ignore_index=True))


def test_accuracy_curves_have_the_posters_panels():
    figure = figures.draw_accuracy_curves(learned())
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == [
        "reset",
        "reset (solid), random (dashed)",
        "reset (solid), continued (dashed)",
    ]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["train fgsm → attack fgsm", "train pgd → attack pgd"]
    assert [len(series_lines(axes)) for axes in figure.axes] == [4, 8, 8] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["100", "51.2", "16.8", "13.4"]
    alone = figure.axes[0]
    assert len({(line.get_color(), line.get_marker()) for line in series_lines(alone)}) == 4
    assert len(alone.collections) == 4
    assert not figure.axes[1].collections


def test_both_figures_draw_the_means():
    curves = learned(train_attack="fgsm", strategy="reset")
    line = figures.draw_accuracy_curves(curves).axes[0].lines[0]
    assert list(line.get_xdata()) == [0, 500, 1000]
    assert list(line.get_ydata()) == pytest.approx([10, 35, 60])
    assert list(figures.draw_loss_curves(curves).axes[0].lines[0].get_ydata()) == pytest.approx([2.3, 1.8, 1.3])


def test_one_seed_has_no_band():
    assert not figures.draw_accuracy_curves(learned(seed=[0])).axes[0].collections


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [(Layout(colour="pgd.steps"), 4, 3), (Layout(row="pgd.steps"), 4, 3), (Layout(column="pgd.steps"), 6, 2)],
)
def test_a_field_on_row_or_column(place, rows, columns):
    figure = figures.draw_accuracy_curves(learned(pgd__steps=[7, 40], rounds=2), place)
    figure.canvas.draw()
    assert len(figure.axes) == rows * columns


def test_a_strategy_alone_has_its_weights_at_the_ends_of_its_curves():
    figure = figures.draw_accuracy_curves(learned(train_attack="fgsm"))
    written = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert written == [["chance", "100", "51.2", "16.8", "13.4"], ["chance"], ["chance"]]
    places = [text.xy[1] for text in figure.axes[0].texts[1:]]
    low, high = figure.axes[0].get_ylim()
    gaps = [upper - lower for lower, upper in itertools.pairwise(sorted(places))]
    assert min(gaps) > 0.05 * (high - low)
    assert low < min(places) < max(places) < high


def test_rows_share_their_vertical_axis_unless_that_flattens_one():
    curves = learned(strategy="reset")
    figure = figures.draw_accuracy_curves(curves)
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert "not shared" not in figure.get_label()
    weak = curves["train_attack"] == "pgd"
    curves.loc[weak, "accuracy_test_mean"] *= 0.01
    figure = figures.draw_accuracy_curves(curves)
    assert len({axes.get_ylim() for axes in figure.axes}) == 2
    assert figure.get_label().endswith("those of adversarial test accuracy differ between panels.")
