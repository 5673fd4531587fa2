"""A search in the report: its numbers by hand, its figures, and its section of the page."""

import json
import math

import pandas as pd
import pytest
import yaml

from lthray.analysis import figures, load, write_report
from lthray.analysis.numbers import search
from lthray.analysis.page import overview, search_page
from tests.analysis import synthetic
from tests.helpers import Page

METRIC = "early_stopping_fgsm_accuracy_validation"
SWEEP = {
    "name": "searched",
    "protocol": "paper",
    "grid": {"strategy": ["reset", "random"], "seed": [0, 1]},
    "search": {
        "space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "pgd.steps": {"choice": [5, 10]}},
        "samples": 3,
        "searcher": "random",
        "metric": METRIC,
        "mode": "max",
        "scheduler": {"asha": {"grace_period": 1, "reduction_factor": 4}},
        "seed": 0,
    },
}


def sample(strategy, rate, accuracies, *, steps=5, upto=None, seeds=(0, 1)):
    """A sample's trajectories of three rounds; `accuracies` are its adversarial test accuracies, one a seed.

    The synthetic validation accuracy is that of the test images and 0.002.
    """
    return [
        synthetic.trajectory(
            strategy=strategy, learning_rate=rate, pgd__steps=steps, seed=seed, train_attack="fgsm", upto=upto,
            adversarial=accuracy, rounds=2,
        )
        for seed, accuracy in zip(seeds, accuracies, strict=True)
    ]  # fmt: skip


@pytest.fixture
def trajectories():
    return [
        *sample("reset", 1e-3, [0.5, 0.6]),
        *sample("reset", 2e-3, [0.7, 0.9], steps=10),
        *sample("reset", 3e-3, [0.2, 0.2], upto=0),
        *sample("random", 1e-3, [0.4, 0.4]),
        *sample("random", 2e-3, [0.3, 0.5], steps=10, upto=1),
        *sample("random", 3e-3, [0.35], seeds=[0]),
    ]


@pytest.fixture
def folder(tmp_path, trajectories):
    """Results of a search: of reset one sample was stopped; of random one is partial, one lacks a seed."""
    path = synthetic.write(tmp_path / "searched", trajectories, name=None)
    (path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    (path / "stopped").mkdir()
    for one in trajectories[4:6]:
        name = one["trajectory_id"].iloc[0]
        (path / "stopped" / f"{name}.json").write_text(json.dumps({"trajectory_id": name, "round": 0}))
    return path


@pytest.fixture
def numbers(folder):
    results = load(folder)
    found = search.search_of(results.sweeps["searched"])
    return results, found, search.samples(results.rounds, found, results.stopped["searched"])


def test_a_sweep_without_a_search_has_none():
    assert search.search_of(None) is None
    assert search.search_of({"name": "x", "grid": {"seed": [0]}}) is None
    assert search.search_of({"name": "x", "search": None}) is None


def test_samples_by_hand(numbers):
    _, found, table = numbers
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


def test_rows_of_other_sweeps_in_the_folder_are_no_samples(numbers):
    results, found, table = numbers
    others = [
        synthetic.trajectory(strategy="continued", learning_rate=1e-3, train_attack="fgsm", pgd__steps=5),
        synthetic.trajectory(strategy="reset", learning_rate=0.5, train_attack="fgsm", pgd__steps=5),
        synthetic.trajectory(strategy="reset", learning_rate=1e-3, train_attack="fgsm", pgd__steps=7),
    ]
    with_others = pd.concat([results.rounds, *others], ignore_index=True)
    pd.testing.assert_frame_equal(search.samples(with_others, found, results.stopped["searched"]), table)


def test_the_best_are_complete_and_ranked_in_their_cell(numbers):
    _, found, table = numbers
    best = search.best(table, found)
    shown = best[["strategy", "rank", "learning_rate"]].to_numpy().tolist()
    assert shown == [["reset", 1, 2e-3], ["reset", 2, 1e-3], ["random", 1, 1e-3]]
    least = search.Search(**{**vars(found), "mode": "min"})
    assert search.best(table, least, 1)["learning_rate"].tolist() == [1e-3, 1e-3]
    bare = search.Search(**{**vars(found), "grid": {}})
    assert search.best(table, bare, 2)["learning_rate"].tolist() == [2e-3, 1e-3]


def test_of_the_best_keeps_their_settings_in_every_cell(numbers):
    results, found, table = numbers
    kept = search.of_the_best(results.rounds, found, table)
    assert set(zip(kept["strategy"], kept["learning_rate"], strict=True)) == {
        ("reset", 1e-3), ("reset", 2e-3), ("random", 1e-3), ("random", 2e-3),
    }  # fmt: skip
    nothing = table.assign(state="partial")
    assert len(search.of_the_best(results.rounds, found, nothing)) == len(results.rounds)


def test_a_metric_is_said_as_people_say_it(numbers):
    _, found, _ = numbers

    def words(metric):
        return search.Search(**{**vars(found), "metric": metric}).words

    assert words(METRIC) == "FGSM validation accuracy at early stopping"
    assert words("final_none_accuracy_test") == "Natural test accuracy at the end"
    assert words("early_stopping_iteration") == "Early stopping iteration"


def test_notes_say_what_was_saved_and_what_limits_it(numbers):
    results, found, table = numbers
    said = search_page.notes(found, results.rounds, table)
    assert "6 samples of learning_rate, pgd.steps in 2 cells of the grid, each trained with 2 seeds; 3 are" in said[0]
    spent = (3 * 2 + 3 * 2 + 2 + 3 * 2 + 2 * 2 + 3) * 50_000
    assert f"asha stopped 1 of them between rounds: {spent:,} iterations were spent of the 1,800,000" in said[1]
    assert "setting by setting" in said[2]
    assert "pgd.steps shape the attack" in said[3]
    other = search.Search(
        **{**vars(found), "searcher": "optuna", "scheduler": None, "metric": "final_none_accuracy_test"}
    )
    said = search_page.notes(other, results.rounds, table)
    assert len(said) == 3
    assert "not paired" in said[1]
    assert "test images" in said[2]


def test_figure_4_has_a_point_a_sample_and_a_log_axis_where_the_space_is(numbers):
    _, found, table = numbers
    figure = figures.figure_4(table, found)
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


def test_figure_5_has_a_line_a_sample_that_ends_at_its_metric(numbers):
    _, found, table = numbers
    figure = figures.figure_5(table, found)
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
    for draw in (figures.figure_4, figures.figure_5):
        draw(table, found).canvas.draw()
        with pytest.raises(ValueError, match="without samples"):
            draw(table.iloc[:0], found)


def test_the_page_of_a_search(folder):
    page = write_report(load(folder), folder / "report")
    text = page.read_text(encoding="utf-8")
    seen = Page(text)
    assert len(seen.all("img")) == 2 + 2 * 3  # those of the search, and the poster's for the two best settings
    assert "Best settings" in seen.text
    assert "80.2 ± 14.1 (2)" in seen.text
    assert overview.facts(load(folder))["Trajectories"] == "11 (7 complete, 2 stopped, 2 partial)"
    assert "2 trajectories are not complete" in seen.text
    assert sorted(one.name for one in (folder / "report" / "figures").glob("figure-[45]*")) == [
        "figure-4-search.png", "figure-4-search.svg", "figure-5-search.png", "figure-5-search.svg",
    ]  # fmt: skip
    table = pd.read_csv(folder / "report" / "tables" / "search.csv")
    assert len(table) == 6
    judged = json.loads((folder / "report" / "claims.json").read_text())["claims"]
    assert {one["setting"]["learning_rate"] for one in judged} == {1e-3, 2e-3}


def test_a_search_beside_a_grid(folder, tmp_path):
    plain = synthetic.write(tmp_path / "plain", synthetic.grid(train_attack="fgsm", seed=[0, 1], rounds=2))
    page = write_report(load(folder, plain), tmp_path / "report")
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Search: searched" in text
    assert (tmp_path / "report" / "tables" / "search-1.csv").exists()
