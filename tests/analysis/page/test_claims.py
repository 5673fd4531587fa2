import json
import math

import pandas as pd
import pytest

from lthray.analysis import evidence
from lthray.analysis.numbers.claims import verdicts
from lthray.analysis.page import claims
from tests.analysis import synthetic


def sweep(reset, random=None, measure="adversarial"):
    frames = []
    for strategy, values in (("reset", reset), ("random", random or [])):
        for seed, of in enumerate(values):
            fields = {"train_attack": "fgsm", "strategy": strategy, "seed": seed, "rounds": len(of) - 1}
            frames.append(synthetic.trajectory(**fields, **{measure: of}))
    return pd.concat(frames, ignore_index=True)


def told(rounds, claim, against, margin=0.01):
    shown = evidence(rounds, margin)
    (group,) = claims.group_verdicts(verdicts(rounds, shown), shown, margin)
    (verdict,) = [one for one in group.verdicts if (one.number, one.against) == (claim, against)]
    return verdict


STEADY = [[0.8 + seed / 1000, 0.81 + seed / 1000 + seed % 2 / 5000] for seed in range(5)]
POOR = [[0.8 + seed / 1000, 0.7 + seed / 1000] for seed in range(5)]


def test_supported_in_words():
    verdict = told(sweep(STEADY), 1, "dense")
    assert verdict.verdict == "supported"
    assert verdict.words.startswith(
        "At 1 of 1 sparsity levels, down to 80 % of the weights, tickets lose at most 1 point against the dense"
        " network."
    )
    assert "At 80 % of the weights, the mean difference is +1.01 points (+1.00 to +1.02)." in verdict.words


def test_contradicted_in_words():
    verdict = told(sweep(POOR), 1, "dense")
    assert verdict.verdict == "contradicted"
    assert verdict.words.startswith(
        "At the one sparsity level tested, tickets lose more than 1 point against the dense network."
    )
    assert "−10.00 points" in verdict.words


def test_supported_everywhere_in_words():
    verdict = told(sweep(STEADY, POOR), 4, "random")
    assert verdict.words.startswith(
        "At the one sparsity level tested, tickets lose at most 1 point against random networks."
    )


def test_undecided_in_words():
    verdict = told(sweep([[0.80, 0.80], [0.80, 0.81]]), 1, "dense")
    assert verdict.words.startswith(
        "With 2 seeds we cannot tell at the one sparsity level tested whether tickets lose more than 1 point"
        " against the dense network."
    )
    assert verdict.words.endswith("About 5 seeds would decide it.")


def test_iterations_in_words():
    early = [[9000 + 500 * seed, 3000 + 500 * seed] for seed in range(5)]
    assert told(sweep(early, measure="stop"), 3, "dense").words.startswith(
        "At 1 of 1 sparsity levels, down to 80 % of the weights, tickets stop earlier than the dense network."
    )
    same = [[9000, 9000], [9000, 9500]]
    assert (
        "whether tickets stop earlier or later than the dense network."
        in told(sweep(same, measure="stop"), 3, "dense").words
    )


def test_without_a_margin_tickets_are_as_good_or_worse():
    assert "tickets are worse than the dense network." in told(sweep(POOR), 1, "dense", margin=0).words
    assert "tickets are at least as good as the dense network." in told(sweep(STEADY), 1, "dense", margin=0).words


def test_one_seed_in_words():
    verdict = told(sweep([[0.8, 0.8]]), 1, "dense")
    assert (verdict.verdict, verdict.words[:8]) == ("no verdict", "One seed")
    assert told(sweep([[0.8, 0.8]]), 4, "random").words == "There are no random networks of the same seeds to compare."


def test_the_tally_counts_each_kind():
    rounds = sweep(STEADY)
    shown = evidence(rounds)
    (group,) = claims.group_verdicts(verdicts(rounds, shown), shown, 0.01)
    assert group.title == "fashion-mnist · trained against fgsm, attacked with fgsm"
    assert group.tally.endswith("3 no verdict")


@pytest.mark.parametrize(("share", "text"), [(0.01, "1 point"), (0.005, "0.5 points"), (0.02, "2 points")])
def test_points(share, text):
    assert claims.format_points(share) == text


def test_json_has_null_where_there_is_no_number():
    rounds = sweep([[0.8, 0.8]]).assign(epsilon=math.nan)
    shown = evidence(rounds)
    text = claims.claims_json(verdicts(rounds, shown), shown, 0.01)
    entry = json.loads(text)["claims"][0]
    assert entry["verdict"] is None
    assert entry["seeds_needed"] is None
    assert entry["smallest_weights_remaining"] is None
    assert entry["evidence"][0]["sd_difference"] is None
    assert entry["evidence"][0]["n"] == 1
    assert "NaN" not in text


def test_json_names_the_setting():
    rounds = pd.concat([sweep(STEADY).assign(epsilon=value) for value in (0.1, 0.3)])
    rounds["trajectory_id"] += rounds["epsilon"].astype(str)
    shown = evidence(rounds)
    entries = json.loads(claims.claims_json(verdicts(rounds, shown), shown, 0.01))["claims"]
    assert [entry["setting"] for entry in entries[::6]] == [{"epsilon": 0.1}, {"epsilon": 0.3}]
    assert entries[0]["rule"] == "somewhere"
