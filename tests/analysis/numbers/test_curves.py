import math

import pandas as pd
import pytest

from lthray.analysis import early_stopping, learning_curves, rounds_shown
from tests.analysis import synthetic


def curves(losses, train="fgsm", weight=0.5, trajectory="a", number=0):
    """Validation rows from (iteration, natural loss, adversarial loss)."""
    rows = []
    for iteration, natural, adversarial in losses:
        for attack, loss in (("none", natural), ("fgsm", adversarial)):
            rows.append({"iteration": iteration, "split": "validation", "attack": attack, "loss": loss})
        rows.append({"iteration": iteration, "split": "test", "attack": "none", "loss": -1.0})
    fixed = {"trajectory_id": trajectory, "train_attack": train, "adversarial_weight": weight, "round": number}
    return pd.DataFrame(rows).assign(**fixed)


def stops(frame):
    return early_stopping(frame)["early_stopping_iteration"].tolist()


def test_the_first_of_equal_minima():
    assert stops(curves([(0, 2, 2), (500, 1, 2), (1000, 2, 1), (1500, 1.5, 1.5)])) == [500]


def test_the_objective_is_that_of_training():
    losses = [(0, 1, 4), (500, 2, 2)]
    assert stops(curves(losses)) == [500]
    assert stops(curves(losses, weight=0.25)) == [0]
    assert stops(curves(losses, train="none")) == [0]
    assert early_stopping(curves(losses))["objective"].tolist() == [2]


def test_nan_is_passed_over_and_nothing_known_is_said():
    assert stops(curves([(0, 2, 2), (500, math.nan, 0), (1000, 1.9, 1.9)])) == [1000]
    frame = pd.concat([curves([(0, math.nan, 1)]), curves([(0, 1, 1)], number=1)])
    assert early_stopping(frame)["early_stopping_iteration"].isna().tolist() == [True, False]


def test_each_round_of_each_trajectory_by_itself():
    second, other = curves([(0, 1, 1), (500, 2, 2)], number=1), curves([(0, 3, 3)], trajectory="b")
    frame = pd.concat([curves([(0, 2, 2), (500, 1, 1)]), second, other])
    assert stops(frame.sample(frac=1, random_state=0)) == [500, 0, 0]


def test_recorded_early_stopping_comes_back(tmp_path):
    frame = synthetic.trajectory(train_attack="pgd", rounds=1)
    assert stops(synthetic.curves(frame)) == [1000, 1000]


def sweep(*frames):
    rounds = pd.concat(frames, ignore_index=True)
    return pd.concat([synthetic.curves(frame) for frame in frames], ignore_index=True), rounds


def test_means_by_hand():
    first, second = (synthetic.trajectory(train_attack="fgsm", seed=seed, rounds=1) for seed in (0, 1))
    trained, rounds = sweep(first, second)
    one = trained["trajectory_id"] == first["trajectory_id"].iloc[0]
    trained.loc[one, "accuracy"] += 0.2
    trained.loc[one & (trained["split"] == "validation"), "loss"] += 1
    row = learning_curves(trained, rounds).set_index(["round", "iteration"]).loc[(1, 500)]
    assert row["accuracy_test_mean"] == pytest.approx(0.45)  # 0.35 and 0.55
    assert row["accuracy_test_sd"] == pytest.approx(0.2 / math.sqrt(2))
    assert row["loss_validation_mean"] == pytest.approx(2.3)  # 1.8 and 2.8
    assert (row["accuracy_test_n"], row["loss_validation_n"]) == (2, 2)
    assert (row["eval_attack"], row["strategy"]) == ("fgsm", "reset")


def test_unequal_rounds_a_missing_seed_and_nan():
    trained, rounds = sweep(
        synthetic.trajectory(train_attack="fgsm", seed=0, rounds=2),
        synthetic.trajectory(train_attack="fgsm", seed=1, rounds=1),
    )
    where = (trained["seed"] == 1) & (trained["round"] == 1) & (trained["split"] == "validation")
    trained.loc[where, "loss"] = math.nan
    table = learning_curves(trained, rounds)
    counts = table[table["iteration"] == 0].set_index("round")
    assert counts["accuracy_test_n"].tolist() == [2, 2, 1]
    assert counts["loss_validation_n"].tolist() == [2, 1, 1]
    assert math.isnan(counts["loss_validation_sd"].loc[1])


def test_a_seed_measured_under_two_lists_of_attacks_counts_once():
    trained, rounds = sweep(
        synthetic.trajectory(train_attack="fgsm", seed=0, rounds=0),
        synthetic.trajectory(train_attack="fgsm", seed=0, rounds=0, eval_attacks="fgsm,pgd"),
    )
    table = learning_curves(trained, rounds)
    assert set(table["accuracy_test_n"]) == {1}
    assert set(table["eval_attack"]) == {"fgsm", "pgd"}


@pytest.mark.parametrize(("train_attack", "curves"), [("none", set()), ("fgsm", {"fgsm"})])
def test_two_points_at_the_ends_of_a_round_are_no_curve(train_attack, curves):
    """A neighbour that was measured everywhere has its curves, and so have earlier rounds of the same trajectory."""
    common = {"train_attack": train_attack, "eval_attacks": "fgsm,pgd", "rounds": 1}
    first = synthetic.trajectory(**common, eval_attacks_at="ends", seed=0)
    trained, rounds = sweep(first)
    assert set(learning_curves(trained, rounds)["eval_attack"]) == curves
    trained, rounds = sweep(first, synthetic.trajectory(**common, eval_attacks_at="every", seed=1))
    counts = learning_curves(trained, rounds).groupby("eval_attack")["accuracy_test_n"].agg(set).to_dict()
    assert counts == {attack: {2} if attack in curves else {1} for attack in ("fgsm", "pgd")}
    rounds.loc[rounds["round"] == 0, "eval_attacks_at"] = "every"
    counts = learning_curves(trained, rounds).groupby(["round", "eval_attack"])["accuracy_test_n"].max()
    assert counts.loc[0].tolist() == [2, 2]
    assert counts.loc[1].to_dict() == {attack: 2 if attack in curves else 1 for attack in ("fgsm", "pgd")}


def test_settings_are_kept_apart():
    trained, rounds = sweep(*synthetic.grid(train_attack="pgd", pgd__steps=[7, 40], seed=[0, 1], rounds=0))
    table = learning_curves(trained, rounds)
    assert table.groupby("pgd.steps").size().to_dict() == {7: 3, 40: 3}
    assert set(table["accuracy_test_n"]) == {2}


def test_rounds_nearest_to_the_posters():
    rounds = synthetic.trajectory(rounds=20)
    assert rounds_shown(rounds) == [0, 3, 8, 11, 15, 18]
    assert rounds_shown(rounds[rounds["round"] < 10]) == [0, 3, 8, 9]
