"""A misuse of the library is an error of one line that says what was passed and what to pass."""

import pandas as pd
import pytest

from lthray import analysis
from lthray.analysis import figures
from lthray.analysis.numbers import frames
from lthray.analysis.numbers.curves import CURVES_READ
from tests.analysis import synthetic


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    trajectories = synthetic.grid(train_attack="fgsm", seed=[0, 1], strategy=["reset", "random"])
    return analysis.load(synthetic.write(tmp_path_factory.mktemp("misused") / "results", trajectories))


def summary(results):
    return analysis.summarise(results.rounds)


def means(results):
    return analysis.learning_curves(results.curves(), results.rounds)


MISUSES = {
    "results for rounds": (
        lambda r: analysis.summarise(r),
        TypeError,
        "summarise(rounds): pass results.rounds, not an object of type Results",
    ),
    "a path for rounds": (
        lambda r: analysis.tidy_rounds(rounds="results/paper"),
        TypeError,
        "tidy_rounds(rounds): pass results.rounds, not an object of type str",
    ),
    "rounds for their summary": (
        lambda r: figures.draw_sparsity(r.rounds),
        ValueError,
        "draw_sparsity(summary): pass analysis.summarise(rounds), not results.rounds",
    ),
    "summary for rounds": (
        lambda r: analysis.summarise(summary(r)),
        ValueError,
        "summarise(rounds): pass results.rounds, not analysis.summarise(rounds)",
    ),
    "summary for learning curves": (
        lambda r: figures.draw_accuracy_curves(summary(r)),
        ValueError,
        "draw_accuracy_curves(curves): pass analysis.learning_curves(curves, rounds), not analysis.summarise(rounds)",
    ),
    "curves as read for means": (
        lambda r: figures.draw_loss_curves(r.curves()),
        ValueError,
        "draw_loss_curves(curves): pass analysis.learning_curves(curves, rounds), not results.curves()",
    ),
    "swapped": (
        lambda r: analysis.learning_curves(r.rounds, r.curves()),
        ValueError,
        "learning_curves(curves): pass results.curves(), not results.rounds",
    ),
    "rounds for curves": (
        lambda r: analysis.early_stopping(r.rounds),
        ValueError,
        "early_stopping(curves): pass results.curves(), not results.rounds",
    ),
    "the method, not called": (
        lambda r: analysis.learning_curves(r.curves, r.rounds),
        TypeError,
        "learning_curves(curves): pass results.curves(), not an object of type method",
    ),
    "too few columns": (
        lambda r: analysis.early_stopping(r.curves(list(CURVES_READ))),
        ValueError,
        "early_stopping(curves): pass results.curves(), not a frame without the columns train_attack, "
        "adversarial_weight",
    ),
    "a network alone": (
        lambda r: figures.draw_networks(analysis.networks(summary(r))),
        TypeError,
        "draw_networks(summary): pass analysis.networks(summary), not None",
    ),
    "networks not told apart": (
        lambda r: figures.draw_networks(summary(r)),
        ValueError,
        "draw_networks(summary): pass analysis.networks(summary), not analysis.summarise(rounds)",
    ),
    "masks for rounds": (
        lambda r: analysis.layer_density(r.masks(), r.rounds),
        TypeError,
        "layer_density(rounds): pass results.rounds, not an object of type dict",
    ),
    "curves for rounds": (
        lambda r: analysis.overlaps(means(r), {}),
        ValueError,
        "overlaps(rounds): pass results.rounds, not analysis.learning_curves(curves, rounds)",
    ),
    "densities not summarised": (
        lambda r: figures.draw_layer_density(analysis.layer_density(r.rounds, {})),
        ValueError,
        "draw_layer_density(density): pass analysis.summarise_density(density), not "
        "analysis.layer_density(rounds, masks)",
    ),
    "overlaps not summarised": (
        lambda r: figures.draw_overlap(analysis.overlaps(r.rounds, {})),
        ValueError,
        "draw_overlap(overlap): pass analysis.summarise_overlaps(pairs), not analysis.overlaps(rounds, masks)",
    ),
    "overlaps for densities": (
        lambda r: analysis.summarise_density(analysis.overlaps(r.rounds, {})),
        ValueError,
        "summarise_density(density): pass analysis.layer_density(rounds, masks), not analysis.overlaps(rounds, masks)",
    ),
    "densities for overlaps": (
        lambda r: analysis.summarise_overlaps(analysis.layer_density(r.rounds, {})),
        ValueError,
        "summarise_overlaps(pairs): pass analysis.overlaps(rounds, masks), not analysis.layer_density(rounds, masks)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES)
def test_a_misuse_is_one_line(name, results):
    misuse, kind, line = MISUSES[name]
    with pytest.raises(kind) as caught:
        misuse(results)
    assert str(caught.value) == line


def test_a_frame_of_no_known_kind_lacks_columns():
    with pytest.raises(ValueError, match="not a frame without the columns trajectory_id, dataset, strategy"):
        analysis.summarise(pd.DataFrame({"round": [0]}))


def test_a_wrong_call_stays_a_type_error():
    with pytest.raises(TypeError, match="missing a required argument: 'rounds'"):
        analysis.summarise()


def test_a_checked_function_keeps_its_name_and_docstring():
    assert analysis.summarise.__name__ == "summarise"
    assert "Means over seeds" in analysis.summarise.__doc__


def test_what_the_functions_give_is_of_the_kind_that_the_next_ones_take(results):
    made = {
        frames.ROUNDS: results.rounds,
        frames.CURVES: results.curves(),
        frames.SUMMARY: summary(results),
        frames.MEAN_CURVES: means(results),
    }
    for kind, frame in made.items():
        assert not kind.lacks(frame)
        others = [other for other in made if other is not kind and not other.lacks(frame)]
        assert others == []
