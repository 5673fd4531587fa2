import json
import math

import pandas as pd
import pytest

from lthray.analysis.numbers.verdicts import judge
from lthray.analysis.page import claims, lead, words
from lthray.analysis.page.claims_json import claims_json
from tests.analysis import synthetic
from tests.analysis.numbers.test_verdicts import STRONG, seeds_of, sweep


def verdict_of(rounds, claim, evaluations=None, **options):
    judgement = judge(rounds, evaluations, **options)
    (group,) = claims.group_verdicts(judgement)
    return group.verdicts[judgement.verdicts["claim"].tolist().index(claim)]


def test_supported_in_words():
    verdict = verdict_of(sweep(seeds_of(0.8, 0.81, 0.82)), "robust")
    assert (verdict.kind, verdict.badge) == ("supported", "supported")
    assert verdict.words.startswith(
        "Measured with PGD from the predicted label, 10 steps, 1 start, ε 0.3 (L∞) (at early stopping): the dense"
        " network's accuracy is 80.0 %. At all 2 sparsity levels tested, down to 64 % of the weights, the tickets'"
        " adversarial accuracy is at most the margin below that of the dense network."
    )
    assert "5 seeds cannot exclude that up to 45 % of seeds fare otherwise." in verdict.words


def test_a_range_in_words():
    verdict = verdict_of(sweep(seeds_of(0.8, 0.8, 0.8, 0.79, 0.5, 0.4)), "robust")
    assert (verdict.kind, verdict.badge) == ("partly", "holds to 64 %")
    assert "Down to 64 % of the weights, the tickets' adversarial accuracy is at most the margin below" in verdict.words
    assert "From 41 % of the weights down, the tickets' adversarial accuracy is more than the margin" in verdict.words
    assert "Tested to 32.8 %; between, we cannot tell." in verdict.words


def test_contradicted_in_words():
    verdict = verdict_of(sweep(seeds_of(0.8, 0.7)), "robust")
    assert (verdict.kind, verdict.badge) == ("contradicted", "contradicted")
    assert "is more than the margin below that of the dense network." in verdict.words
    assert "−10.00 points" in verdict.words or "−9.9" in verdict.words


def test_undecided_in_words():
    verdict = verdict_of(sweep([[0.80, 0.80], [0.80, 0.81]]), "robust")
    assert (verdict.kind, verdict.badge) == ("undecided", "cannot be told")
    assert "we cannot tell whether the tickets' adversarial accuracy is at most the margin below" in verdict.words
    assert "If the means seen were the truth, " in verdict.words
    assert verdict.words.endswith("seeds would show it at the next level.")


def test_a_declared_sparsity_in_words():
    rounds = sweep(seeds_of(0.8, 0.8, 0.5))
    assert "At the declared 64 % of the weights, the tickets'" in verdict_of(rounds, "robust", at=0.6).words
    assert "we cannot tell whether" in verdict_of(sweep([[0.8, 0.8], [0.8, 0.81]]), "robust", at=0.8).words
    assert verdict_of(rounds, "robust", at=0.1).words == "No round is near the declared sparsity."


def test_withheld_in_words_once_and_then_by_reference():
    rounds = sweep(seeds_of(0.8, 0.8), eval_attacks="fgsm")
    first = verdict_of(rounds, "robust")
    assert (first.kind, first.badge) == ("withheld", "not evidence of robustness")
    assert first.words == (
        "These networks were trained against fgsm, and the strongest attack that they met is FGSM from the predicted"
        " label, ε 0.3 (L∞). Accuracy under it is no evidence of robustness: no stronger attack was measured. The"
        " command lthray evaluate measures one."
    )
    again = verdict_of(rounds, "better")
    assert again.words == "Withheld for the same reason as the verdict on claim 1: no stronger attack."


def test_a_dense_network_at_chance_in_words():
    verdict = verdict_of(sweep(seeds_of(0.024, 0.024)), "robust")
    assert verdict.badge == "not evidence of robustness"
    assert (
        "the dense network itself has an accuracy of 2.4 %, which is not clearly above a guess (10 %)" in verdict.words
    )


def test_iterations_in_words():
    early = [[9000 + 500 * seed, 3000 + 500 * seed] for seed in range(5)]
    verdict = verdict_of(sweep(early, measure="stop"), "faster")
    assert "tickets stop earlier than the dense network." in verdict.words
    assert verdict.unit == "iterations"
    capped = [[50_000, 50_000] for _ in range(5)]
    verdict = verdict_of(sweep(capped, measure="stop"), "faster")
    assert verdict.badge == "training too short"
    assert "In over 20 % of the networks" in verdict.words


def test_missing_seeds_in_words():
    assert verdict_of(sweep([[0.8, 0.8]]), "accurate").words.startswith("One seed cannot tell")
    lacking = verdict_of(sweep(seeds_of(0.8, 0.8)), "accurate", planned={"": range(9)})
    assert lacking.words.startswith("Not all of the 9 planned seeds are there")
    assert lacking.comparisons[0].seeds == "5 of 9"
    assert lacking.comparisons[0].shown == "not tested: seeds are missing"
    nothing = verdict_of(sweep(seeds_of(0.8, 0.8)), "robust-as-random").words
    assert nothing == "There are no random networks of the same seeds to compare."


def test_a_collapsed_seed_in_words():
    values = seeds_of(0.8, 0.8, 0.8)
    values[3][2] = 0.4
    text = verdict_of(sweep(values), "robust").words
    assert "Seed 3 lies far from the others: seed 3 by −39.95 points" in text
    assert "at 64 %" in text


def test_the_tally_counts_each_kind():
    (group,) = claims.group_verdicts(judge(sweep(seeds_of(0.8, 0.8), eval_attacks="fgsm")))
    assert group.title == "fashion-mnist · trained against fgsm"
    assert "3 withheld" in group.tally
    assert "3 without a verdict" in group.tally


@pytest.mark.parametrize(("share", "text"), [(0.01, "1 point"), (0.005, "0.5 points"), (0.02, "2 points")])
def test_points(share, text):
    assert words.format_points(share) == text


def test_the_page_s_first_sentence():
    (withheld,) = lead.write_lead(judge(sweep(seeds_of(0.8, 0.8), eval_attacks="fgsm")))
    assert withheld.startswith(
        "fashion-mnist · trained against fgsm, 5 seeds. No evidence of robustness: no attack stronger than the one"
        " trained against was measured."
    )
    rounds = sweep(seeds_of(0.8, 0.8), train="pgd", eval_attacks="pgd")
    accuracy = 0.5 + rounds["seed"] * 0.001 + (rounds["seed"] + rounds["round"]) % 2 * 0.0005
    (shown,) = lead.write_lead(judge(rounds, synthetic.evaluations(rounds, STRONG, accuracy)))
    assert "Robustness was measured with PGD from the true label, 50 steps, 3 starts, ε 0.3 (L∞)." in shown
    assert "Holds: robustness as the dense network's, down to 80 % of the weights" in shown


def test_many_groups_are_counted_and_in_a_matrix():
    one = sweep(seeds_of(0.8, 0.8))
    parts = [one.assign(epsilon=value, trajectory_id=one["trajectory_id"] + str(value)) for value in (1, 2, 3, 4, 5)]
    judgement = judge(pd.concat(parts, ignore_index=True))
    assert lead.write_lead(judgement)[0].startswith("5 groups of networks, 40 verdicts: ")
    anchors = [group.anchor for group in claims.group_verdicts(judgement)]
    matrix = lead.build_matrix(judgement, anchors)
    assert [row[1] for row in matrix.rows] == [f"verdicts-{number}" for number in range(1, 6)]
    assert len(matrix.headings) == len(matrix.rows[0][2]) == 8
    assert lead.build_matrix(judge(one), anchors[:1]) is None


def test_json_says_all_that_the_page_says():
    rounds = sweep(seeds_of(0.8, 0.8, 0.5), train="pgd", eval_attacks="pgd")
    accuracy = 0.5 + rounds["seed"] * 0.001 + (rounds["seed"] + rounds["round"]) % 2 * 0.0005
    judgement = judge(rounds, synthetic.evaluations(rounds, STRONG, accuracy, moment="final", images=500))
    tree = json.loads(claims_json(judgement))
    assert (tree["schema"], tree["version"], tree["look"], tree["at"]) == ("lthray-claims", 2, 1, None)
    entry = tree["claims"][0]
    assert (entry["claim"], entry["number"], entry["verdict"], entry["reason"]) == ("robust", 1, "supported", "")
    assert entry["attack"]["name"] == STRONG
    assert (entry["attack"]["moment"], entry["attack"]["images"]) == ("final", 500)
    assert [row["round"] for row in entry["evidence"]] == [1, 2]
    withheld = json.loads(claims_json(judge(rounds)))["claims"][0]
    assert (withheld["verdict"], withheld["reason"]) == ("withheld", "no-stronger-attack")


def test_json_has_null_where_there_is_no_number():
    text = claims_json(judge(sweep([[0.8, 0.8]]).assign(epsilon=math.nan)))
    entry = json.loads(text)["claims"][1]
    assert entry["verdict"] is None
    assert entry["seeds_low"] is None
    assert entry["holds_to"] is None
    assert entry["evidence"][0]["sd_difference"] is None
    assert entry["evidence"][0]["n"] == 1
    assert "NaN" not in text


def test_json_names_the_setting():
    one = sweep(seeds_of(0.8, 0.8))
    rounds = pd.concat(
        [one.assign(epsilon=value, trajectory_id=one["trajectory_id"] + str(value)) for value in (0.1, 0.3)]
    )
    entries = json.loads(claims_json(judge(rounds)))["claims"]
    assert [entry["setting"] for entry in entries[::8]] == [{"epsilon": 0.1}, {"epsilon": 0.3}]
