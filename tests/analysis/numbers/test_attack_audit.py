import math
from itertools import product

import pandas as pd
import pytest

from lthray.analysis.numbers import attack_audit
from lthray.analysis.numbers.measurements import list_measurements
from lthray.analysis.numbers.strength import is_weaker, resolve_attack
from tests.analysis import synthetic

STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;restarts=3)"


def network(natural=0.9, fgsm=math.nan, pgd=math.nan, *, rounds=0, moments=("final",), **fields):
    """A trajectory whose networks have these accuracies (a number each, or one a round) on the test images."""
    frame = synthetic.trajectory(rounds=rounds, eval_attacks="fgsm,pgd", **({"train_attack": "fgsm"} | fields))
    for moment, split in product(("early_stopping", "final"), ("validation", "test")):
        for attack, accuracy in (("none", natural), ("fgsm", fgsm), ("pgd", pgd)):
            measured = moment in moments and split == "test"
            frame[f"{moment}_{attack}_accuracy_{split}"] = accuracy if measured else math.nan
    return frame


def evaluated(rounds, accuracy, attack=STRONG, *, images=10_000, moment="final", split="test"):
    """Rows of evaluations of each of these networks."""
    rows = rounds[["trajectory_id", "round"]]
    return rows.assign(attack=attack, accuracy=accuracy, images=images, moment=moment, split=split)


def compared(rounds, *evaluations):
    together = pd.concat(evaluations) if evaluations else pd.DataFrame()
    return attack_audit.comparisons(rounds, list_measurements(rounds, together))


@pytest.mark.parametrize(("fgsm", "pgd", "count"), [(0.5, 0.5, 0), (0.5, 0.504, 0), (0.5, 0.51, 1), (0.5, 0.3, 0)])
def test_half_a_point_is_let_pass(fgsm, pgd, count):
    assert len(attack_audit.weaker_in_effect(compared(network(fgsm=fgsm, pgd=pgd)))) == count


def test_what_is_noticed_is_placed():
    rounds = network(fgsm=[0.5, 0.5], pgd=[0.4, 0.75], rounds=1)
    (row,) = attack_audit.weaker_in_effect(compared(rounds)).to_dict("records")
    assert (row["round"], row["moment"], row["split"], row["weaker"], row["stronger"]) == (
        1, "final", "test", "fgsm", "pgd",
    )  # fmt: skip
    assert (row["weaker_accuracy"], row["stronger_accuracy"], row["natural"]) == (0.5, 0.75, 0.9)
    assert row["excess"] == pytest.approx(0.25)


def test_one_attack_alone_is_not_compared():
    rounds = synthetic.trajectory(train_attack="pgd", rounds=1)
    bare = rounds.drop(columns=[name for name in rounds.columns if "_fgsm_" in name])
    assert compared(rounds).empty
    assert compared(bare).empty
    assert attack_audit.overstated(compared(bare)).empty
    assert "no network was measured under a weaker and a stronger attack" in attack_audit.describe_audit(
        bare, compared(bare)
    )


def test_moments_splits_and_networks_are_not_mixed():
    rounds = network(fgsm=0.8, rounds=1, moments=("early_stopping",))
    rows = [
        evaluated(rounds, 0.0),
        evaluated(rounds, 0.0, moment="training"),
        evaluated(rounds, 0.0, moment="early_stopping", split="validation"),
        evaluated(rounds.assign(trajectory_id="unknown"), 0.0, moment="early_stopping"),
        evaluated(rounds.assign(round=7), 0.0, moment="early_stopping"),
    ]
    assert compared(rounds, *rows).empty
    assert len(compared(rounds, evaluated(rounds, 0.0, moment="early_stopping"))) == 2


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ("fgsm", "pgd"),
        ("fgsm", "pgd(attack_label=ground-truth)"),
        ("fgsm", "autoattack"),
        ("pgd", "autoattack"),
        (STRONG, "autoattack"),
        ("pgd", "pgd(steps=20)"),
        ("pgd", "pgd(restarts=2)"),
        ("pgd", "pgd(attack_label=ground-truth)"),
        ("pgd", STRONG),
        ("fgsm", "fgsm(attack_label=ground-truth)"),
        ("pgd(epsilon=0.1;steps=5)", "pgd(epsilon=0.1;steps=6)"),
    ],
)
def test_settings_order_attacks(weaker, stronger):
    fields = synthetic.fields()
    settings = [resolve_attack(attack, fields) for attack in (weaker, stronger)]
    assert is_weaker(*settings)
    assert not is_weaker(*reversed(settings))


@pytest.mark.parametrize(
    ("attack", "other"),
    [
        ("pgd", "pgd(steps=10)"),
        ("pgd(steps=20)", "pgd(restarts=2)"),
        ("pgd(steps=20)", "pgd(attack_label=ground-truth)"),
        ("pgd", "pgd(epsilon=0.1;steps=20)"),
        ("pgd", "pgd(norm=l2;steps=20)"),
        ("fgsm(attack_label=ground-truth)", "pgd"),
        ("fgsm", "autoattack(epsilon=0.1)"),
        ("pgd", "pgd(step_size=0.01)"),
        ("momentum", "pgd(steps=100)"),
    ],
)
def test_settings_leave_other_attacks_without_order(attack, other):
    settings = [resolve_attack(each, synthetic.fields()) for each in (attack, other)]
    assert not is_weaker(*settings)
    assert not is_weaker(*reversed(settings))


def test_more_steps_and_restarts_should_not_do_less_harm():
    rounds = network(pgd=0.3, train_attack="pgd")
    (row,) = attack_audit.weaker_in_effect(compared(rounds, evaluated(rounds, 0.35))).to_dict("records")
    assert (row["weaker"], row["stronger"], row["images"]) == ("pgd", STRONG, 10_000)
    assert attack_audit.weaker_in_effect(compared(rounds, evaluated(rounds, 0.25))).empty


def test_the_trajectorys_settings_order_its_attacks():
    """`pgd(steps=20)` is the stronger beside PGD of 10 steps, and the weaker beside PGD of 40."""
    rounds = pd.concat([network(pgd=0.3, pgd__steps=10), network(pgd=0.3, pgd__steps=40)], ignore_index=True)
    pairs = compared(rounds, evaluated(rounds, 0.2, "pgd(steps=20)")).set_index("pgd.steps")["stronger"]
    assert pairs.to_dict() == {10: "pgd(steps=20)", 40: "pgd"}


@pytest.mark.parametrize(("images", "excess", "count"), [(100, 0.10, 0), (100, 0.11, 1), (2_500, 0.03, 1)])
def test_fewer_images_are_compared_with_care(images, excess, count):
    """Of 100 images two standard errors are 10 points at most, of 2,500 they are 2."""
    rounds = network(pgd=0.5, train_attack="pgd")
    pairs = compared(rounds, evaluated(rounds, 0.5 + excess, images=images))
    assert pairs["sampling"].tolist() == [pytest.approx(1 / math.sqrt(images))]
    assert len(attack_audit.weaker_in_effect(pairs)) == count


def test_the_same_images_are_compared_exactly():
    rounds = network(train_attack="pgd")
    rows = [
        evaluated(rounds, accuracy, f"pgd(steps={steps})", images=200) for steps, accuracy in ((20, 0.4), (40, 0.41))
    ]
    pairs = compared(rounds, *rows)
    assert pairs[["images", "sampling"]].to_numpy().tolist() == [[200, 0]]
    assert len(attack_audit.weaker_in_effect(pairs)) == 1


OVERFITTED = {"natural": 0.88, "fgsm": 0.86, "pgd": 0.024}


@pytest.mark.parametrize(
    "accuracies",
    [
        pytest.param({"natural": 0.985, "fgsm": 0.96, "pgd": 0.94}, id="MNIST, PGD training"),
        pytest.param({"natural": 0.87, "fgsm": 0.56, "pgd": 0.46}, id="CIFAR-10, PGD training"),
        pytest.param({"natural": 0.84, "fgsm": 0.345, "pgd": 0.183}, id="Fashion-MNIST, little PGD training"),
        pytest.param({"natural": 0.98, "fgsm": 0.74, "pgd": 0.65}, id="digits, FGSM training without overfitting"),
        pytest.param({"natural": 0.10, "fgsm": 0.10, "pgd": 0.10}, id="at chance"),
        pytest.param({"natural": 0.20, "fgsm": 0.18, "pgd": 0.00}, id="far below, but little to lose"),
    ],
)
@pytest.mark.parametrize("train_attack", ["fgsm", "pgd"])
def test_a_stronger_attack_is_no_signature(accuracies, train_attack):
    assert attack_audit.overstated(compared(network(**accuracies, train_attack=train_attack))).empty


@pytest.mark.parametrize("train_attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("pgd", [0.0, 0.024, 0.40])
def test_accuracy_that_falls_far_under_pgd_is_a_signature(train_attack, pgd):
    (row,) = attack_audit.overstated(compared(network(0.88, 0.86, pgd, train_attack=train_attack))).to_dict("records")
    assert (row["weaker"], row["stronger"]) == ("fgsm", "pgd")


def test_networks_trained_without_an_attack_have_nothing_to_mask():
    assert attack_audit.overstated(compared(network(**OVERFITTED, train_attack="none"))).empty


def test_rounds_after_the_first_are_trained_against_their_own_attack():
    rounds = network(**OVERFITTED, rounds=1, train_attack="none", retrain__train_attack="fgsm")
    assert attack_audit.overstated(compared(rounds))["round"].tolist() == [1]
    rounds = network(**OVERFITTED, rounds=1, train_attack="fgsm", retrain__train_attack="none")
    assert attack_audit.overstated(compared(rounds))["round"].tolist() == [0]


def test_pgd_of_one_step_is_masked_too():
    rounds = network(pgd=0.85, train_attack="pgd", pgd__steps=1)
    (row,) = attack_audit.overstated(compared(rounds, evaluated(rounds, 0.01))).to_dict("records")
    assert (row["weaker"], row["stronger"]) == ("pgd", STRONG)


def test_another_label_is_no_signature():
    """Where natural accuracy is 75 %, the labels differ on a quarter of the images."""
    rounds = network(natural=0.75, fgsm=0.44, train_attack="pgd")
    weak = evaluated(rounds, 0.10)
    assert attack_audit.overstated(compared(rounds, weak)).empty
    same = rounds.assign(attack_label="ground-truth")
    assert len(attack_audit.overstated(compared(same, weak))) == 1
    unknown = rounds.assign(final_none_accuracy_test=math.nan)
    assert attack_audit.overstated(compared(unknown, weak)).empty
    overfitted = network(0.88, 0.86)
    assert len(attack_audit.overstated(compared(overfitted, evaluated(overfitted, 0.02)))) == 1


def test_few_images_make_no_signature():
    rounds = network(fgsm=0.6, pgd=math.nan, attack_label="ground-truth")
    assert attack_audit.overstated(compared(rounds, evaluated(rounds, 0.27, images=100))).empty
    assert len(attack_audit.overstated(compared(rounds, evaluated(rounds, 0.27, images=10_000)))) == 1


@pytest.mark.parametrize(
    ("pgd", "expected"),
    [
        ([0.0, 0.0, 0.0, 0.0], (4, 4, 0, 0, 3)),
        ([0.7, 0.7, 0.0, 0.0], (2, 4, 2, 2, 3)),
        ([0.7, 0.0, 0.7, 0.0], (2, 4, 1, 3, 3)),
        ([0.7, 0.0, 0.0, 0.7], (2, 4, 1, None, 3)),
        ([0.0, math.nan, math.nan, 0.0], (2, 2, 0, 0, 3)),
    ],
)
def test_where_it_sets_in(pgd, expected):
    pairs = compared(network(0.88, 0.86, pgd, rounds=3, moments=("early_stopping", "final")))
    onset = attack_audit.onset(pairs, attack_audit.overstated(pairs))
    assert (onset.networks, onset.compared, onset.first, onset.always, onset.last) == expected


@pytest.mark.parametrize(
    ("natural", "fgsm", "count"), [(0.88, 0.92, 1), (0.88, 0.884, 0), (0.88, 0.80, 0), (0.10, 0.14, 0)]
)
def test_fgsm_above_natural_accuracy_is_label_leaking(natural, fgsm, count):
    rows = attack_audit.leaking(network(natural, fgsm))
    assert len(rows) == count
    assert rows[["natural", "fgsm"]].to_numpy().tolist() == [[natural, fgsm]] * count


def test_inputs_without_a_gradient():
    rounds = synthetic.trajectory(train_attack="fgsm", rounds=2)
    assert attack_audit.no_gradient(rounds).empty
    rounds["final_zero_gradient_share_validation"] = [0.01, 0.011, math.nan]
    rows = attack_audit.no_gradient(rounds)
    assert rows[["round", "moment", "split", "share"]].to_numpy().tolist() == [[1, "final", "validation", 0.011]]
    rounds["final_zero_gradient_share_validation"] = pd.Series([None, None, None], dtype=object)
    assert attack_audit.no_gradient(rounds).empty


def test_what_was_checked_is_said():
    rounds = network(fgsm=[0.8, 0.8], pgd=[0.7, math.nan], rounds=1)
    rounds["final_zero_gradient_share_test"] = [0.0, 0.25]
    said = attack_audit.describe_audit(rounds, compared(rounds))
    assert said.startswith("1 of 2 networks ")
    assert said.endswith("; 2 shares of inputs without a gradient were checked")
