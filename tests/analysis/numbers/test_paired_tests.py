import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as sps

from lthray.analysis import compare
from lthray.analysis.numbers.paired_tests import CONFIDENCE, holm
from tests.analysis import synthetic

ADVERSARIAL = "early_stopping_adversarial_accuracy_test"
STOPPING = "early_stopping_iteration"


def sweep(values, measure="adversarial", train="fgsm", **fields):
    """Rounds from values by (strategy, seed): one value a round."""
    frames = [
        synthetic.trajectory(
            train_attack=train, strategy=strategy, seed=seed, rounds=len(of) - 1, **{measure: of}, **fields
        )
        for (strategy, seed), of in values.items()
    ]
    return pd.concat(frames, ignore_index=True)


def test_three_pairs_by_hand():
    rounds = sweep({
        ("reset", 0): [0.7, 0.80], ("reset", 1): [0.7, 0.75], ("reset", 2): [0.7, 0.79],
        ("random", 0): [0.7, 0.70], ("random", 1): [0.7, 0.71], ("random", 2): [0.7, 0.73],
    })  # fmt: skip
    row = compare(rounds, ADVERSARIAL, ["random"], boundary=-0.01).iloc[0]
    # Differences 0.10, 0.04, 0.06; the values lie on a grid of 0.01.
    assert (row["n"], row["round"], row["against"], row["strategy"]) == (3, 1, "random", "reset")
    assert row["mean_difference"] == pytest.approx(0.2 / 3)
    assert row["sd_difference"] == pytest.approx(math.sqrt(0.0028 / 3))
    assert row["test_sd"] == pytest.approx(math.sqrt(0.0028 / 3 + 0.01**2 / 6))
    t = (0.2 / 3 + 0.01) / (row["test_sd"] / math.sqrt(3))
    assert row["p_above"] == pytest.approx(sps.t.sf(t, 2))
    assert row["p_below"] == pytest.approx(sps.t.cdf(t, 2))
    half = sps.t.isf((1 - CONFIDENCE) / 2, 2) * row["test_sd"] / math.sqrt(3)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((0.2 / 3 - half, 0.2 / 3 + half))


def test_dense_is_the_same_seeds_round_0():
    rounds = sweep({("reset", 0): [0.70, 0.71, 0.60], ("reset", 1): [0.80, 0.83, 0.80]})
    table = compare(rounds, ADVERSARIAL, ["dense"])
    assert list(table["round"]) == [1, 2]
    assert list(table["mean_difference"]) == pytest.approx([0.02, -0.05])


def test_iterations_are_compared_in_iterations():
    table = compare(
        sweep({("reset", 0): [9000, 7000], ("reset", 1): [8000, 7500]}, measure="stop"), STOPPING, ["dense"]
    )
    assert table["mean_difference"].iloc[0] == -1250
    assert table["p_below"].iloc[0] < 0.5 < table["p_above"].iloc[0]


def test_only_seeds_that_both_have_are_paired():
    rounds = sweep({
        ("reset", 0): [0.7, 0.7, 0.7], ("reset", 1): [0.7, 0.8, 0.6], ("reset", 2): [0.7, 0.9],
        ("random", 1): [0.7, 0.5, 0.5], ("random", 2): [0.7, 0.4], ("random", 3): [0.1, 0.1, 0.1],
    })  # fmt: skip
    table = compare(rounds, ADVERSARIAL, ["random"]).set_index("round")
    assert list(table["n"]) == [2, 1]
    assert table["mean_difference"].tolist() == pytest.approx([0.4, 0.1])
    assert table.loc[2, ["sd_difference", "ci_low", "ci_high", "p_above", "p_below", "p_above_holm"]].isna().all()


def test_a_missing_value_is_no_pair():
    rounds = sweep({
        ("reset", 0): [0.7, math.nan], ("reset", 1): [0.7, 0.8], ("random", 0): [0.7, 0.7], ("random", 1): [0.7, 0.7],
    })  # fmt: skip
    assert list(compare(rounds, ADVERSARIAL, ["random"])["n"]) == [1]


def test_nothing_to_compare_gives_no_rows():
    table = compare(sweep({("reset", 0): [0.7, 0.7]}), ADVERSARIAL, ["random", "continued"])
    assert table.empty
    assert "p_above_holm" in table.columns


def test_equal_differences_do_not_pass_for_certainty():
    """Two seeds that stop 500 iterations earlier, on a grid of 500, are no proof."""
    table = compare(
        sweep({("reset", 0): [9000, 8500], ("reset", 1): [9000, 8500]}, measure="stop"), STOPPING, ["dense"]
    )
    assert table["sd_difference"].iloc[0] == 0
    assert table["p_below"].iloc[0] > 0.05


def test_without_any_variance_the_sign_test_is_left():
    table = compare(sweep({("reset", seed): [0.5, 0.5] for seed in range(3)}), ADVERSARIAL, ["dense"], boundary=-0.01)
    assert list(table["p_above"]) == [0.5**3]
    assert list(table["p_below"]) == [1]
    level = compare(sweep({("reset", seed): [0.5, 0.5] for seed in range(3)}), ADVERSARIAL, ["dense"])
    assert (level["p_above"].iloc[0], level["p_below"].iloc[0]) == (1, 1)


def test_groups_are_families_of_their_own():
    values = {(strategy, seed): [0.7, 0.7 + seed / 50, 0.6] for strategy in ("reset", "random") for seed in (0, 1, 2)}
    one = sweep(values, epsilon=0.1)
    both = pd.concat([one, sweep(values, epsilon=0.2)], ignore_index=True)
    single, twice = (compare(frame, ADVERSARIAL, ["dense", "random"]) for frame in (one, both))
    assert list(twice["epsilon"]) == [0.1] * 4 + [0.2] * 4
    assert twice["p_above_holm"].tolist() == pytest.approx(single["p_above_holm"].tolist() * 2)
    assert list(single["against"]) == ["dense", "dense", "random", "random"]


def test_an_unknown_measure_is_named():
    with pytest.raises(ValueError, match="no measure 'score'"):
        compare(sweep({("reset", 0): [0.7, 0.7]}), "score", ["dense"])


def test_holm_by_hand():
    p = np.array([0.01, 0.04, math.nan, 0.03, 0.005])
    assert holm(p).tolist() == pytest.approx([0.03, 0.06, math.nan, 0.06, 0.02], nan_ok=True)
    assert holm(np.array([0.5, 0.9])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []
