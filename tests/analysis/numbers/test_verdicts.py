"""Verdicts on results whose truth is known."""

import math

import pandas as pd
import pytest

from lthray.analysis.numbers.verdicts import judge
from tests.analysis import synthetic

STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"
JITTER = (0.0, 0.001, -0.001, 0.0005, -0.0005)


def sweep(reset, random=None, continued=None, measure="adversarial", train="fgsm", **fields):
    """One sweep from values by seed and round, measured under FGSM and PGD."""
    frames = []
    for strategy, values in (("reset", reset), ("random", random or []), ("continued", continued or [])):
        for seed, of_seed in enumerate(values):
            setting = {"train_attack": train, "strategy": strategy, "seed": seed, "eval_attacks": "fgsm,pgd"}
            setting |= {"rounds": len(of_seed) - 1} | fields
            frames.append(synthetic.trajectory(**setting, **{measure: of_seed}))
    rounds = pd.concat(frames, ignore_index=True)
    return rounds.assign(round_iterations=rounds["iterations"])


def seeds_of(*values, jitter=JITTER):
    """Values by round for a seed each: the same, but for a little."""
    return [[value + own * (1 + number % 3) for number, value in enumerate(values)] for own in jitter]


def row(judgement, claim):
    rows = judgement.verdicts[judgement.verdicts["claim"] == claim]
    assert len(rows) == 1
    return rows.iloc[0]


def test_robustness_under_the_attack_trained_against_is_withheld():
    rounds = sweep(seeds_of(0.8, 0.8, 0.8), eval_attacks="fgsm")
    for claim in ("robust", "similar", "better"):
        verdict = row(judge(rounds), claim)
        assert (verdict["verdict"], verdict["reason"]) == ("withheld", "no-stronger-attack")
    assert (judge(rounds).evidence.query("question == 0")["shown"] == "neither").all()


@pytest.mark.parametrize("accuracy", [0.024, 0.0, 0.001])
@pytest.mark.parametrize("train", ["none", "fgsm", "pgd"])
def test_networks_that_any_attack_breaks_get_no_verdict_on_robustness(accuracy, train):
    rounds = sweep(seeds_of(accuracy, accuracy, accuracy, jitter=[0.0] * 5), train=train)
    evaluations = synthetic.evaluations(rounds, STRONG, accuracy)
    verdict = row(judge(rounds, evaluations), "robust")
    assert (verdict["verdict"], verdict["reason"]) == ("withheld", "dense-at-chance")
    assert verdict["attack"] == STRONG


def test_an_evaluation_under_a_strong_attack_enters_the_verdict():
    rounds = sweep(seeds_of(0.8, 0.8, 0.8), train="pgd", eval_attacks="pgd")
    assert row(judge(rounds), "robust")["reason"] == "no-stronger-attack"
    accuracy = 0.5 + rounds["seed"] * 0.001 + (rounds["seed"] + rounds["round"]) % 2 * 0.0005
    verdict = row(judge(rounds, synthetic.evaluations(rounds, STRONG, accuracy, moment="final")), "robust")
    assert (verdict["verdict"], verdict["attack"], verdict["moment"]) == ("supported", STRONG, "final")


def test_one_easy_sparsity_does_not_win_a_verdict_on_all():
    """Tickets as accurate as dense at 80 % of the weights, and 30 points worse at the other 19 sparsity levels."""
    verdict = row(judge(sweep(seeds_of(0.8, 0.8, *[0.5] * 19))), "robust")
    assert (verdict["verdict"], verdict["holds"], verdict["fails"]) == ("partly", 1, 19)
    assert verdict["holds_to"] == pytest.approx(0.8, abs=1e-3)
    assert verdict["fails_from"] == pytest.approx(0.64, abs=1e-3)
    assert verdict["fails_to"] == verdict["tested_to"] == pytest.approx(0.8**20, rel=1e-2)


def test_a_gap_ends_the_range():
    verdict = row(judge(sweep(seeds_of(0.8, 0.8, 0.8, 0.5, 0.8))), "robust")
    assert (verdict["verdict"], verdict["holds"], verdict["fails"]) == ("partly", 2, 0)
    assert verdict["holds_to"] == pytest.approx(0.64, abs=1e-3)


def test_a_declared_sparsity_gets_one_plain_answer():
    rounds = sweep(seeds_of(0.8, 0.8, 0.8, 0.5, 0.8))
    answers = {at: row(judge(rounds, at=at), "robust") for at in (0.66, 0.5, 0.4)}
    assert [answer["verdict"] for answer in answers.values()] == ["supported", "contradicted", "supported"]
    assert [answer["tested"] for answer in answers.values()] == [1, 1, 1]
    assert answers[0.66]["holds_to"] == pytest.approx(0.64, abs=1e-3)


def test_a_declared_sparsity_that_was_not_trained_gets_none():
    verdict = row(judge(sweep(seeds_of(0.8, 0.8, 0.8)), at=0.1), "robust")
    assert (verdict["verdict"], verdict["reason"]) == (None, "not-measured")


def test_worse_everywhere_is_contradicted():
    judgement = judge(sweep(seeds_of(0.8, 0.7, 0.6)))
    assert [row(judgement, claim)["verdict"] for claim in ("robust", "similar", "better")] == ["contradicted"] * 3


def test_similar_is_not_better():
    judgement = judge(sweep(seeds_of(0.8, 0.8, 0.8), seeds_of(0.8, 0.6, 0.6)))
    assert row(judgement, "similar")["verdict"] == "supported"
    assert row(judgement, "better")["verdict"] == "undecided"
    assert row(judgement, "robust-as-random")["verdict"] == "supported"
    assert row(judgement, "robust-as-continued")["reason"] == "nothing-to-compare"


def test_claims_on_adversarial_training_are_not_made_of_natural_training():
    claims = judge(sweep(seeds_of(0.5, 0.5), train="none")).verdicts["claim"].tolist()
    assert "robust" in claims
    assert "similar" not in claims
    assert "better" not in claims


def test_a_missing_seed_ends_the_range_it_would_belong_to():
    """Of ten planned seeds seven failed after round 1: what the other three show is not shown for the ten."""
    rounds = sweep(
        [values if seed < 3 else values[:2] for seed, values in enumerate(seeds_of(*[0.8] * 5, jitter=JITTER * 2))]
    )
    rounds["rounds"] = 4
    verdict = row(judge(rounds), "robust")
    assert (verdict["verdict"], verdict["seeds"], verdict["tested"], verdict["holds"]) == ("partly", 10, 1, 1)
    assert judge(rounds).evidence.query("question == 0")["untested"].tolist() == ["", *["incomplete"] * 3]


def test_a_planned_seed_without_any_result_counts_as_missing():
    rounds = sweep(seeds_of(0.8, 0.8))
    assert row(judge(rounds, planned={"": range(5)}), "robust")["verdict"] == "supported"
    verdict = row(judge(rounds, planned={"": range(6)}), "robust")
    assert (verdict["verdict"], verdict["reason"], verdict["seeds"]) == (None, "incomplete", 6)


def test_planned_rounds_that_are_missing_leave_a_range_and_no_more():
    rounds = sweep(seeds_of(0.8, 0.8, 0.8))
    assert row(judge(rounds), "robust")["verdict"] == "supported"
    assert row(judge(rounds.assign(rounds=20)), "robust")["verdict"] == "partly"


STOPS = [[9000 + 500 * seed, 6000 + 500 * seed, 3000 + 500 * seed] for seed in range(5)]


def test_tickets_of_commensurate_accuracy_that_stop_earlier_train_faster():
    verdict = row(judge(sweep(STOPS, measure="stop")), "faster")
    assert verdict["verdict"] in ("supported", "partly")


def test_tickets_at_chance_do_not_train_faster():
    """A network at chance stops at iteration 0."""
    rounds = sweep([[9000 + 500 * seed, 0, 0] for seed in range(5)], measure="stop")
    rounds.loc[rounds["round"] > 0, "early_stopping_none_accuracy_test"] = 0.1
    verdict = row(judge(rounds), "faster")
    assert (verdict["verdict"], verdict["reason"]) == (None, "not-commensurate")


def test_stopping_at_the_end_is_training_too_short():
    rounds = sweep([[50_000, 49_500 + 500 * (seed % 2)] for seed in range(5)], measure="stop")
    verdict = row(judge(rounds), "faster")
    assert (verdict["verdict"], verdict["reason"]) == ("withheld", "training-too-short")
    assert pd.isna(verdict["seeds_low"])


def test_what_stops_later_is_contradicted():
    rounds = sweep([[9000 + 500 * seed, 15_000 + 500 * seed, 20_000 + 500 * seed] for seed in range(5)], measure="stop")
    rounds["early_stopping_none_accuracy_test"] = 0.85 + rounds["seed"] / 1000
    rounds["early_stopping_fgsm_accuracy_test"] = 0.8 + rounds["seed"] / 1000
    assert row(judge(rounds), "faster")["verdict"] == "contradicted"


def test_one_seed_and_nothing_to_compare():
    judgement = judge(sweep([[0.8, 0.8]]))
    assert row(judgement, "accurate")["reason"] == "one-seed"
    assert row(judgement, "robust-as-random")["reason"] == "nothing-to-compare"
    assert judgement.verdicts["verdict"].tolist() == [None] * 8


def test_more_seeds_are_named_as_a_range_if_what_was_seen_were_the_truth():
    verdict = row(judge(sweep([[0.80, 0.80], [0.80, 0.805], [0.8, 0.795]])), "robust")
    assert (verdict["verdict"], verdict["seeds_show"]) == ("undecided", "for")
    assert 3 <= verdict["seeds_low"] < verdict["seeds_high"]
    decided = row(judge(sweep(seeds_of(0.8, 0.8))), "robust")
    assert pd.isna(decided["seeds_low"])


def test_the_interval_is_the_one_that_decides():
    evidence = judge(sweep(seeds_of(0.8, 0.8, 0.79, 0.785, 0.7), seeds_of(0.8, 0.8, 0.8, 0.7, 0.7))).evidence
    rows = evidence[evidence["ci_low"].notna() & (evidence["untested"] == "")]
    accuracies = rows[rows["measure"] != "early_stopping_iteration"]
    assert len(accuracies) > 10
    for entry in accuracies.to_dict("records"):
        assert (entry["p_for"] <= entry["level_for"]) == (entry["ci_low"] >= entry["boundary"])
        assert (entry["p_against"] <= entry["level_against"]) == (entry["ci_high"] <= entry["boundary"])
        if entry["shown"] == "for":
            assert entry["ci_low"] >= entry["boundary"]
    iterations = rows[rows["measure"] == "early_stopping_iteration"]
    for entry in iterations.to_dict("records"):
        assert (entry["p_for"] <= entry["level_for"]) == (entry["ci_high"] <= entry["boundary"])


def test_a_page_of_more_groups_asks_more_of_each():
    rounds = sweep(seeds_of(0.8, 0.8))
    both = pd.concat([rounds, rounds.assign(dataset="mnist", trajectory_id=rounds["trajectory_id"] + "m")])
    single, double = judge(rounds), judge(both)
    assert double.questions == 2 * single.questions
    assert double.evidence["level_for"].min() < single.evidence["level_for"].min()
    later = judge(rounds, look=2)
    assert later.level == pytest.approx(single.level / 5)


def test_a_wider_margin_is_easier_to_keep():
    rounds = sweep(seeds_of(0.8, 0.77))
    assert row(judge(rounds, margin=0.01), "robust")["verdict"] == "contradicted"
    assert row(judge(rounds, margin=0.05), "robust")["verdict"] == "supported"


def test_a_seed_that_collapsed_is_named_beside_the_verdict():
    values = seeds_of(0.8, 0.8, 0.8)
    values[3][2] = 0.4
    outliers = judge(sweep(values)).outliers
    robust = outliers[(outliers["question"] == 0) & (outliers["against"] == "dense")]
    assert list(zip(robust["seed"], robust["round"], strict=True)) == [(3, 2)]
    assert robust["difference"].iloc[0] == pytest.approx(-0.4, abs=0.01)


def test_missing_numbers_stay_missing():
    verdict = row(judge(sweep([[0.8, math.nan], [0.8, 0.8]])), "robust")
    assert (verdict["verdict"], verdict["reason"]) == (None, "incomplete")
