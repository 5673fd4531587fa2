import numpy as np
import pytest

from lthray import analysis
from lthray.analysis import figures, load
from lthray.analysis.figures import layout
from tests.analysis import synthetic
from tests.analysis.tickets import SHAPES, with_tickets


def test_a_figure_has_a_column_per_layer_and_draws_the_means(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(train_attack=["fgsm", "pgd"], strategy=["reset", "random"], seed=[0, 1])
    )
    results = load(folder)
    summary = analysis.summarise_density(analysis.layer_density(results.rounds, results.masks()))
    figure = figures.draw_layer_density(summary)
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == list(SHAPES)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["train fgsm", "train pgd"]
    first = summary[
        (summary["train_attack"] == "fgsm") & (summary["strategy"] == "reset") & (summary["layer"] == "hidden_1")
    ]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), 100 * first["density_mean"])
    pairs = analysis.summarise_overlaps(analysis.overlaps(results.rounds, results.masks()))
    for between, rows, lines in (("strategy", 2, 1), ("seed", 2, 2), ("train_attack", 1, 2)):
        part = pairs[pairs["between"] == between]
        figure = figures.draw_overlap(part)
        assert len(figure.axes) == 3 * rows
        assert len(figure.axes[0].lines) == 2 * lines  # each with what is expected of random masks
    with pytest.raises(ValueError, match="one thing"):
        figures.draw_overlap(pairs)


def test_of_many_pairs_those_with_the_first_strategy_are_drawn(tmp_path):
    names = ["reset", "random", "continued", "shuffled", "kept-signs"]
    folder, _ = with_tickets(tmp_path, synthetic.grid(strategy=names))
    results = load(folder)
    pairs = analysis.summarise_overlaps(analysis.overlaps(results.rounds, results.masks()))
    figure = figures.draw_overlap(pairs)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        *(f"reset – {name}" for name in ("random", "continued", "kept-signs", "shuffled")),
        "independent random masks",
    ]
    assert "6 more pairs, without the first strategy, are in the CSV file" in figure.get_label()


def test_criteria_can_be_placed_on_colour(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(prune__criterion=["magnitude", "random"], strategy=["reset", "random"])
    )
    results = load(folder)
    summary = analysis.summarise_density(analysis.layer_density(results.rounds, results.masks()))
    figure = figures.draw_layer_density(summary, layout.Layout(colour="prune.criterion"))
    assert len(figure.axes) == 3 * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "prune.criterion magnitude",
        "prune.criterion random",
    ]
