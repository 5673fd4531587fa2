import pandas as pd
import pytest

from lthray.analysis import Layout, figures, learning_curves
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
    assert [len(axes.lines) for axes in figure.axes] == [4, 8, 8] * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["100", "51.2", "16.8", "13.4"]
    alone = figure.axes[0]
    assert len({(line.get_color(), line.get_marker()) for line in alone.lines}) == 4
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
