import pandas as pd
import pytest

from lthray.analysis import figures, summarise_evaluations
from tests.analysis import synthetic

STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"


@pytest.fixture
def means():
    rounds = pd.concat(
        synthetic.grid(train_attack=["fgsm", "pgd"], strategy=["reset", "random"], seed=[0, 1]), ignore_index=True
    )
    parts = [
        synthetic.evaluations(rounds, STRONG, 0.4 - rounds["round"] / 10),
        synthetic.evaluations(rounds, "autoattack", 0.3, moment="final", images=200),
    ]
    return summarise_evaluations(pd.concat(parts), rounds)


def test_a_column_for_each_attack_a_row_for_each_train_attack_and_a_line_for_each_strategy(means):
    figure = figures.draw_attacks(means)
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in figure.axes]
    assert [title.startswith("AutoAttack at the end, 200 images") for title in titles[:2]] == [True, False]
    assert titles[1].startswith("PGD (50 steps of 0.015, 3 restarts, away from the true label)")
    assert len(figure.axes) == 4
    reset = figure.axes[1].get_lines()[0]
    assert list(reset.get_ydata()) == pytest.approx([40, 30, 20])
    assert [axes.get_ylabel() for axes in figure.axes[::2]] == ["train fgsm", "train pgd"]
    assert "Mean of 2 seeds" in figure.get_label()


def test_it_asks_for_means(means):
    with pytest.raises(ValueError, match=r"pass analysis.summarise_evaluations\(evaluations, rounds\)"):
        figures.draw_attacks(means.drop(columns="accuracy_mean"))
