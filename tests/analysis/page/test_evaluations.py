"""Accuracies under further attacks: means over seeds by hand, and their tables."""

import pandas as pd

from lthray.analysis import load, write_report
from lthray.analysis.numbers.evaluations import summarise_evaluations
from lthray.analysis.page import evaluations
from tests.analysis import synthetic


def made_up(rounds: pd.DataFrame, attack: str, accuracies: list[float], **changes) -> pd.DataFrame:
    row = {"moment": "final", "iteration": 50_000, "split": "test", "attack": attack, "loss": 1.0, "images": 200}
    return rounds.assign(**row, accuracy=accuracies, seconds=1.0, **changes)


def test_seeds_are_averaged_and_a_seed_counts_once():
    first = synthetic.trajectory(train_attack="fgsm", seed=0, rounds=1)
    second = synthetic.trajectory(train_attack="fgsm", seed=1, rounds=1)
    twin = synthetic.trajectory(train_attack="fgsm", seed=1, rounds=1, eval_attacks="fgsm,pgd")
    other = synthetic.trajectory(train_attack="fgsm", seed=0, rounds=1, strategy="random")
    rounds = pd.concat([first, second, twin, other], ignore_index=True)
    table = pd.concat([
        made_up(first, "autoattack", [0.5, 0.4]), made_up(second, "autoattack", [0.7, 0.6]),
        made_up(twin, "autoattack", [0.7, 0.6]), made_up(other, "autoattack", [0.3, 0.2]),
        made_up(first, "pgd(steps=40)", [0.1, 0.2]),
        made_up(synthetic.trajectory(seed=9), "autoattack", [0.9] * 3),  # of no trajectory of the rounds
    ])  # fmt: skip
    summary = summarise_evaluations(table, rounds)
    found = {
        (row["attack"], row["strategy"], row["round"]): (round(row["accuracy_mean"], 9), row["accuracy_n"])
        for row in summary.to_dict("records")
    }
    assert found == {
        ("autoattack", "reset", 0): (0.6, 2), ("autoattack", "reset", 1): (0.5, 2),
        ("autoattack", "random", 0): (0.3, 1), ("autoattack", "random", 1): (0.2, 1),
        ("pgd(steps=40)", "reset", 0): (0.1, 1), ("pgd(steps=40)", "reset", 1): (0.2, 1),
    }  # fmt: skip
    first_table, second_table = evaluations.page_tables(summary)
    assert (first_table.title, first_table.moment) == ("autoattack", "final, 200 test images")
    assert first_table.headings == ["dataset", "train attack", "round", "weights, %", "reset", "random"]
    assert first_table.rows[1] == ["fashion-mnist", "fgsm", "1", "80.0", "50.0 ± 14.1 (2)", "20.0 (1)"]
    assert second_table.headings[-1] == "reset"


def test_the_report_has_them_where_there_are_any(tmp_path):
    rounds = synthetic.trajectory(train_attack="fgsm", rounds=1)
    synthetic.write(tmp_path, [rounds])
    assert load(tmp_path).evaluations().empty
    assert "Further attacks" not in write_report(load(tmp_path), tmp_path / "report").read_text()
    (tmp_path / "evaluations").mkdir()
    name = f"{rounds['trajectory_id'][0]}.parquet"
    made_up(rounds, "pgd(restarts=10)", [0.25, 0.125]).to_parquet(tmp_path / "evaluations" / name)
    page = write_report(load(tmp_path), tmp_path / "report").read_text()
    assert "Further attacks" in page
    assert "pgd(restarts=10)" in page
    assert "12.5" in page
    assert (tmp_path / "report" / "figures").joinpath("figure-S1-attacks-fashion-mnist.pdf").is_file()
    table = pd.read_csv(tmp_path / "report" / "tables" / "evaluations.csv")
    assert table["accuracy_mean"].tolist() == [0.25, 0.125]
