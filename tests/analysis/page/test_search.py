import json

import pandas as pd

from lthray.analysis import load, write_report
from lthray.analysis.numbers.search import Search
from lthray.analysis.page import search
from tests.analysis import synthetic
from tests.helpers import Page


def test_notes_say_what_was_saved_and_what_limits_it(searched):
    results, found, table = searched
    said = search.notes(found, results.rounds, table)
    assert "6 samples of learning_rate, pgd.steps in 2 cells of the grid, each trained with 2 seeds; 3 are" in said[0]
    spent = (3 * 2 + 3 * 2 + 2 + 3 * 2 + 2 * 2 + 3) * 50_000
    assert (
        f"asha stopped 1 of them between rounds, so that {spent:,} iterations were trained instead of 1,800,000"
        in said[1]
    )
    assert "setting by setting" in said[2]
    assert "pgd.steps shape the attack" in said[3]
    other = Search(**{**vars(found), "searcher": "optuna", "scheduler": None, "metric": "final_none_accuracy_test"})
    said = search.notes(other, results.rounds, table)
    assert len(said) == 3
    assert "not paired" in said[1]
    assert "test images" in said[2]


def test_the_page_of_a_search(search_folder):
    page = write_report(load(search_folder), search_folder / "report")
    text = page.read_text(encoding="utf-8")
    seen = Page(text)
    assert len(seen.pictures()) == 2 + 2 * 3  # those of the search, and the poster's for the two best settings
    assert "Best settings" in seen.text
    assert "80.2 ± 14.1 (2)" in seen.text
    assert "11 (7 complete, 2 stopped, 2 partial)" in seen.text
    assert "2 trajectories are not complete" in seen.text
    assert sorted(one.name for one in (search_folder / "report" / "figures").glob("figure-S*.svg")) == [
        "figure-S1-parameters-search.svg", "figure-S2-parallel-coordinates-search.svg",
    ]  # fmt: skip
    table = pd.read_csv(search_folder / "report" / "tables" / "search.csv")
    assert len(table) == 6
    judged = json.loads((search_folder / "report" / "claims.json").read_text())["claims"]
    assert {one["setting"]["learning_rate"] for one in judged} == {1e-3, 2e-3}


def test_a_search_beside_a_grid(search_folder, tmp_path):
    plain = synthetic.write(tmp_path / "plain", synthetic.grid(train_attack="fgsm", seed=[0, 1], rounds=2))
    page = write_report(load(search_folder, plain), tmp_path / "report")
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Search: searched" in text
    assert (tmp_path / "report" / "tables" / "search-1.csv").exists()
