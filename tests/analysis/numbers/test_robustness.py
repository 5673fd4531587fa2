"""Which attack decides, and when accuracy under it is no evidence."""

import math

import pandas as pd
import pytest

from lthray.analysis.numbers.robustness import (
    DENSE_AT_CHANCE,
    NO_STRONGER_ATTACK,
    find_bases,
    measure_networks,
    select_networks,
)
from tests.analysis import synthetic

STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"
AUTO = "autoattack"


def sweep(adversarial=0.7, train="fgsm", eval_attacks="fgsm", seeds=(0, 1, 2), **fields):
    return pd.concat(
        synthetic.grid(
            adversarial=adversarial, train_attack=train, eval_attacks=eval_attacks, seed=list(seeds), rounds=2, **fields
        ),
        ignore_index=True,
    )


def only(rounds, evaluations=None):
    (basis,) = find_bases(rounds, measure_networks(rounds, evaluations)).values()
    return basis


def test_networks_trained_against_fgsm_and_measured_with_it_show_nothing():
    basis = only(sweep())
    assert (basis.reason, basis.attack, basis.moment) == (NO_STRONGER_ATTACK, "fgsm", "early_stopping")
    assert math.isnan(basis.dense_accuracy)


def test_pgd_in_the_rounds_decides_for_networks_trained_against_fgsm():
    basis = only(sweep(eval_attacks="fgsm,pgd"))
    assert (basis.reason, basis.attack, basis.images) == ("", "pgd", 0)
    assert basis.dense_accuracy == pytest.approx(0.7)


def test_plain_pgd_shows_nothing_of_networks_trained_with_it():
    assert only(sweep(train="pgd", eval_attacks="pgd")).reason == NO_STRONGER_ATTACK


def test_an_evaluation_decides_where_it_is_stronger():
    rounds = sweep(train="pgd", eval_attacks="pgd")
    basis = only(rounds, synthetic.evaluations(rounds, STRONG, 0.6, moment="final", images=2000))
    assert (basis.reason, basis.attack, basis.moment, basis.images) == ("", STRONG, "final", 2000)
    assert basis.dense_accuracy == pytest.approx(0.6)


def test_of_several_the_strongest_decides_whatever_it_shows():
    rounds = sweep(train="pgd", eval_attacks="pgd")
    both = pd.concat([
        synthetic.evaluations(rounds, STRONG, 0.5, moment="final"),
        synthetic.evaluations(rounds, AUTO, 0.6, moment="final", images=200),
    ])  # fmt: skip
    assert only(rounds, both).attack == AUTO


def test_early_stopping_comes_before_the_end_and_more_images_before_fewer():
    rounds = sweep(train="pgd", eval_attacks="pgd")
    parts = [("final", 2000), ("early_stopping", 1000), ("early_stopping", 2000)]
    measured = pd.concat([synthetic.evaluations(rounds, STRONG, 0.5, moment=m, images=n) for m, n in parts])
    basis = only(rounds, measured)
    assert (basis.moment, basis.images) == ("early_stopping", 2000)


def test_an_attack_that_met_no_sparse_network_does_not_decide():
    rounds = sweep(train="pgd", eval_attacks="pgd")
    measured = synthetic.evaluations(rounds, STRONG, 0.5)
    assert only(rounds, measured[measured["round"] == 0]).reason == NO_STRONGER_ATTACK
    assert only(rounds, measured[measured["round"] == 2]).reason == NO_STRONGER_ATTACK


@pytest.mark.parametrize("accuracy", [0.0, 0.024, 0.1])
def test_a_dense_network_at_chance_has_no_robustness_to_keep(accuracy):
    basis = only(sweep(adversarial=accuracy, eval_attacks="fgsm,pgd"))
    assert basis.reason == DENSE_AT_CHANCE
    assert basis.dense_accuracy == pytest.approx(accuracy)


@pytest.mark.parametrize(("classes", "reason"), [(0, ""), (10, ""), (3, DENSE_AT_CHANCE), (100, "")])
def test_chance_is_one_over_the_number_of_classes(classes, reason):
    """0 stands for a data set that lthray brings."""
    basis = only(sweep(adversarial=0.3, eval_attacks="fgsm,pgd").assign(**{"own.classes": classes}))
    assert basis.reason == reason
    assert basis.chance == pytest.approx(1 / (classes or 10))


def test_a_dense_network_has_to_be_clearly_above_chance():
    rows = [
        synthetic.trajectory(train_attack="fgsm", eval_attacks="fgsm,pgd", seed=seed, adversarial=value)
        for seed, value in enumerate([0.08, 0.2, 0.12])
    ]
    # The mean, 13.3 %, lies above chance by 0.95 standard errors: with two degrees of freedom, p is 0.22.
    assert only(pd.concat(rows, ignore_index=True)).reason == DENSE_AT_CHANCE


def test_retraining_under_another_attack_counts_as_training_against_it():
    assert only(sweep(eval_attacks="fgsm,pgd", retrain__train_attack="pgd")).reason == NO_STRONGER_ATTACK


def test_only_rows_under_the_deciding_attack_are_selected():
    rounds = sweep(train="pgd", eval_attacks="pgd", strategy=["reset", "random"])
    measured = measure_networks(rounds, synthetic.evaluations(rounds, STRONG, 0.5, images=500))
    keys = ["dataset", "train_attack"]
    chosen = select_networks(measured, keys, find_bases(rounds, measured))
    assert set(chosen["attack"]) == {STRONG}
    assert len(chosen) == len(rounds)
    assert set(chosen["accuracy"]) == {0.5}


def test_a_table_without_the_attack_of_later_rounds_is_that_of_an_older_version():
    rounds = sweep(eval_attacks="fgsm,pgd")
    rounds["retrain.train_attack"] = float("nan")
    assert only(rounds).reason == ""
    assert only(rounds.drop(columns="retrain.train_attack")).reason == ""
