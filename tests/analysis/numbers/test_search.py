import math

import pandas as pd
import pytest

from lthray.analysis.numbers import search
from tests.analysis import synthetic
from tests.analysis.conftest import METRIC


def test_a_sweep_without_a_search_has_none():
    assert search.search_of(None) is None
    assert search.search_of({"name": "x", "grid": {"seed": [0]}}) is None
    assert search.search_of({"name": "x", "search": None}) is None


def test_samples_by_hand(searched):
    _, found, table = searched
    assert (found.seeds, found.scheduler, found.fields) == (2, "asha", ["strategy", "learning_rate", "pgd.steps"])
    rows = {(one["strategy"], one["learning_rate"]): one for one in table.to_dict("records")}
    assert len(table) == 6
    assert {key: (one["state"], one["round"], one["n"]) for key, one in rows.items()} == {
        ("reset", 1e-3): ("complete", 2, 2),
        ("reset", 2e-3): ("complete", 2, 2),
        ("reset", 3e-3): ("stopped", 0, 2),
        ("random", 1e-3): ("complete", 2, 2),
        ("random", 2e-3): ("partial", 1, 2),
        ("random", 3e-3): ("partial", 2, 1),
    }
    best = rows["reset", 2e-3]
    assert best["mean"] == pytest.approx(0.802)
    assert best["sd"] == pytest.approx(math.sqrt(0.02))
    assert (best["test_mean"], best["test_sd"]) == (pytest.approx(0.8), pytest.approx(math.sqrt(0.02)))
    assert best["iterations"] == 2 * 3 * 50_000
    assert rows["reset", 3e-3]["iterations"] == 2 * 50_000
    assert math.isnan(rows["random", 3e-3]["sd"])
    assert best["weights_remaining"] == pytest.approx(0.64, abs=1e-5)


def test_rows_of_other_sweeps_in_the_folder_are_no_samples(searched):
    results, found, table = searched
    others = [
        synthetic.trajectory(strategy="continued", learning_rate=1e-3, train_attack="fgsm", pgd__steps=5),
        synthetic.trajectory(strategy="reset", learning_rate=0.5, train_attack="fgsm", pgd__steps=5),
        synthetic.trajectory(strategy="reset", learning_rate=1e-3, train_attack="fgsm", pgd__steps=7),
    ]
    with_others = pd.concat([results.rounds, *others], ignore_index=True)
    pd.testing.assert_frame_equal(search.samples(with_others, found, results.stopped["searched"]), table)


def test_the_best_are_complete_and_ranked_in_their_cell(searched):
    _, found, table = searched
    best = search.best(table, found)
    shown = best[["strategy", "rank", "learning_rate"]].to_numpy().tolist()
    assert shown == [["reset", 1, 2e-3], ["reset", 2, 1e-3], ["random", 1, 1e-3]]
    least = search.Search(**{**vars(found), "mode": "min"})
    assert search.best(table, least, 1)["learning_rate"].tolist() == [1e-3, 1e-3]
    bare = search.Search(**{**vars(found), "grid": {}})
    assert search.best(table, bare, 2)["learning_rate"].tolist() == [2e-3, 1e-3]


def test_of_the_best_keeps_their_settings_in_every_cell(searched):
    results, found, table = searched
    kept = search.of_the_best(results.rounds, found, table)
    assert set(zip(kept["strategy"], kept["learning_rate"], strict=True)) == {
        ("reset", 1e-3), ("reset", 2e-3), ("random", 1e-3), ("random", 2e-3),
    }  # fmt: skip
    nothing = table.assign(state="partial")
    assert len(search.of_the_best(results.rounds, found, nothing)) == len(results.rounds)


def test_a_metric_is_said_as_people_say_it(searched):
    _, found, _ = searched

    def words(metric):
        return search.Search(**{**vars(found), "metric": metric}).words

    assert words(METRIC) == "FGSM validation accuracy at early stopping"
    assert words("final_none_accuracy_test") == "Natural test accuracy at the end"
    assert words("early_stopping_iteration") == "Early stopping iteration"
