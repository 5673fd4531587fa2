import math

import pandas as pd
import pytest

from lthray.analysis.numbers.fields import varied
from lthray.analysis.numbers.summary import (
    MEASURES,
    list_attack_pairs,
    list_strategies,
    panels,
    setting_keys,
    summarise,
    tidy_rounds,
)
from tests.analysis import synthetic

ADVERSARIAL = "early_stopping_adversarial_accuracy_test"
NATURAL = "early_stopping_natural_accuracy_test"


def rounds(*trajectories):
    return pd.concat(trajectories, ignore_index=True)


def only(summary, **values):
    for name, value in values.items():
        summary = summary[summary[name] == value]
    assert len(summary) == 1
    return summary.iloc[0]


def test_tidy_gives_an_untrained_defence_a_row_per_attack_and_a_trained_one_its_own():
    tidy = tidy_rounds(
        rounds(synthetic.trajectory(train_attack="none"), synthetic.trajectory(train_attack="pgd", rounds=1))
    )
    counts = tidy.groupby(["train_attack", "eval_attack"]).size().to_dict()
    assert counts == {("none", "fgsm"): 3, ("none", "pgd"): 3, ("pgd", "pgd"): 2}


def test_tidy_takes_each_accuracy_from_its_own_column():
    frame = synthetic.trajectory(train_attack="none", rounds=0)
    row = only(tidy_rounds(frame), eval_attack="pgd")
    source = frame.iloc[0]
    for moment in ("early_stopping", "final"):
        for split in ("validation", "test"):
            assert row[f"{moment}_adversarial_accuracy_{split}"] == source[f"{moment}_pgd_accuracy_{split}"]
            assert row[f"{moment}_natural_accuracy_{split}"] == source[f"{moment}_none_accuracy_{split}"]
    assert row["weights_remaining"] == 1
    assert row["early_stopping_iteration"] == source["early_stopping_iteration"]


def test_tidy_does_without_the_columns_of_an_attack_never_measured():
    frame = synthetic.trajectory(train_attack="fgsm", rounds=1)
    frame = frame.drop(columns=[name for name in frame.columns if "_pgd_" in name])
    assert set(tidy_rounds(frame)["eval_attack"]) == {"fgsm"}


def test_three_seeds_by_hand():
    summary = summarise(
        rounds(
            synthetic.trajectory(train_attack="fgsm", seed=0, rounds=0, stop=1000, adversarial=0.70, natural=0.80),
            synthetic.trajectory(train_attack="fgsm", seed=1, rounds=0, stop=2000, adversarial=0.74, natural=0.80),
            synthetic.trajectory(train_attack="fgsm", seed=2, rounds=0, stop=4500, adversarial=0.75, natural=0.83),
        )
    )
    row = only(summary, round=0)
    assert row["early_stopping_iteration_mean"] == 2500  # 7500 / 3
    assert row["early_stopping_iteration_sd"] == pytest.approx(math.sqrt(3_250_000))  # (1500² + 500² + 2000²) / 2
    assert row[f"{ADVERSARIAL}_mean"] == pytest.approx(0.73)
    assert row[f"{ADVERSARIAL}_sd"] == pytest.approx(math.sqrt(0.0007))  # (0.03² + 0.01² + 0.02²) / 2
    assert row[f"{NATURAL}_mean"] == pytest.approx(0.81)
    assert row[f"{NATURAL}_sd"] == pytest.approx(math.sqrt(0.0003))  # (0.01² + 0.01² + 0.02²) / 2
    assert row["final_adversarial_accuracy_test_mean"] == pytest.approx(0.72)
    assert row["final_natural_accuracy_test_mean"] == pytest.approx(0.80)
    assert [row[f"{measure}_n"] for measure in MEASURES] == [3] * 5
    assert row["weights_remaining"] == 1


def test_one_seed_has_a_mean_and_no_deviation():
    row = only(summarise(synthetic.trajectory(train_attack="fgsm", rounds=0, adversarial=0.5)), round=0)
    assert row[f"{ADVERSARIAL}_mean"] == 0.5
    assert math.isnan(row[f"{ADVERSARIAL}_sd"])
    assert row[f"{ADVERSARIAL}_n"] == 1


def test_a_missing_seed_is_missing_from_one_strategy_alone():
    axes = {"train_attack": "fgsm", "rounds": 0}
    summary = summarise(
        rounds(
            synthetic.trajectory(**axes, seed=0, stop=1000),
            synthetic.trajectory(**axes, seed=1, stop=3000),
            synthetic.trajectory(**axes, seed=1, strategy="random", stop=8000),
        )
    )
    assert list(summary["strategy"]) == ["reset", "random"]
    assert list(summary["early_stopping_iteration_mean"]) == [2000, 8000]
    assert list(summary["early_stopping_iteration_n"]) == [2, 1]


def test_unequal_rounds_average_what_is_there():
    summary = summarise(
        rounds(
            synthetic.trajectory(train_attack="fgsm", seed=0, rounds=2, adversarial=[0.8, 0.7, 0.6]),
            synthetic.trajectory(train_attack="fgsm", seed=1, rounds=1, adversarial=[0.6, 0.5]),
        )
    )
    assert list(summary["round"]) == [0, 1, 2]
    assert list(summary[f"{ADVERSARIAL}_mean"]) == pytest.approx([0.7, 0.6, 0.6])
    assert list(summary[f"{ADVERSARIAL}_n"]) == [2, 2, 1]
    assert math.isnan(summary[f"{ADVERSARIAL}_sd"].iloc[2])
    assert (summary["early_stopping_iteration_n"].min(), summary["early_stopping_iteration_n"].max()) == (1, 2)


def test_a_null_measurement_is_not_counted():
    second = synthetic.trajectory(train_attack="fgsm", seed=1, rounds=0)
    second["early_stopping_none_accuracy_test"] = math.nan
    frame = rounds(synthetic.trajectory(train_attack="fgsm", seed=0, rounds=0, natural=0.9), second)
    row = only(summarise(frame), round=0)
    assert (row[f"{NATURAL}_mean"], row[f"{NATURAL}_n"], row[f"{ADVERSARIAL}_n"]) == (0.9, 1, 2)


def test_a_second_varied_field_keeps_groups_apart():
    frame = rounds(*synthetic.grid(train_attack="pgd", pgd__steps=[7, 40], seed=[0, 1], rounds=1))
    assert varied(frame) == ["pgd.steps"]
    summary = summarise(frame)
    assert setting_keys(summary) == ["pgd.steps"]
    assert set(summary[f"{ADVERSARIAL}_n"]) == {2}
    assert [panel.title for panel in panels(summary)] == [
        "fashion-mnist · pgd.steps 7",
        "fashion-mnist · pgd.steps 40",
    ]


def test_a_seed_measured_under_two_lists_of_attacks_counts_once():
    frame = rounds(
        synthetic.trajectory(train_attack="fgsm", seed=0, stop=1000),
        synthetic.trajectory(train_attack="fgsm", seed=0, stop=1000, eval_attacks="fgsm,pgd"),
        synthetic.trajectory(train_attack="fgsm", seed=1, stop=2000),
    )
    summary = summarise(frame)
    assert set(summary[summary["eval_attack"] == "fgsm"]["early_stopping_iteration_n"]) == {2}
    assert set(summary[summary["eval_attack"] == "pgd"]["early_stopping_iteration_n"]) == {1}


def test_order_is_the_customary_one():
    frame = rounds(
        *synthetic.grid(train_attack=["pgd", "none", "fgsm"], strategy=["continued", "random", "reset"], rounds=0)
    )
    summary = summarise(frame)
    assert list_attack_pairs(summary) == [("none", "fgsm"), ("none", "pgd"), ("fgsm", "fgsm"), ("pgd", "pgd")]
    assert list_strategies(summary) == ["reset", "random", "continued"]


def test_the_frames_given_are_left_as_they_are():
    frame = synthetic.trajectory()
    before = frame.copy(deep=True)
    summarise(frame)
    pd.testing.assert_frame_equal(frame, before)
