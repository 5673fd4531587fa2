"""Verdicts on results whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from lthray.analysis import claims, evidence
from lthray.analysis.numbers.claims import CLAIMS, LEVEL, MARGIN
from tests.analysis import synthetic

SWEEPS = 400
STRATEGIES = ("reset", "random", "continued")


def sweeps(count, seeds, *, accuracy=0.0, iterations=0.0, rounds=8, spread=0.006, number=0):
    """Many sweeps as one table, told apart by a field; the strategy reset differs by `accuracy` and `iterations`.

    Seeds have effects of their own, which pairing removes; accuracies lie on a grid of 1/10,000, iterations on one of
    500, as real ones do.
    """
    noise = np.random.default_rng(number)
    axes = {
        "epsilon": range(count),
        "strategy": STRATEGIES,
        "seed": range(seeds),
        "round": range(rounds + 1),
    }
    table = pd.MultiIndex.from_product(axes.values(), names=axes.keys()).to_frame(index=False)
    ticket = (table["strategy"] == "reset") & (table["round"] > 0)
    own = noise.normal(0, 0.01, (count, seeds))[table["epsilon"], table["seed"]]
    for kind in ("fgsm", "none"):
        value = 0.8 + own + noise.normal(0, spread, len(table)) + accuracy * ticket
        table[f"early_stopping_{kind}_accuracy_test"] = value.round(4)
    stop = 9000 + 50_000 * own + noise.normal(0, 1500, len(table)) + iterations * ticket
    table["early_stopping_iteration"] = ((stop / 500).round() * 500).astype(int)
    table["trajectory_id"] = table[["epsilon", "strategy", "seed"]].astype(str).agg("-".join, axis=1)
    fixed = {"protocol": "paper", "dataset": "mnist", "train_attack": "fgsm", "eval_attacks": "fgsm", "rounds": rounds}
    return table.assign(**fixed, weights_remaining=0.8 ** table["round"])


def told(table):
    """The share of sweeps that get a verdict on a claim, against whatever it is."""
    decided = table[table["verdict"].isin(["supported", "contradicted"])].drop_duplicates(["epsilon", "claim"])
    return decided.groupby("claim").size().reindex(range(1, 5), fill_value=0) / SWEEPS


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_an_effect_that_is_not_there_is_claimed_in_at_most_5_percent_of_sweeps(seeds):
    """The truth is the boundary of every claim: accuracy lower by just the margin, iterations the same."""
    found = claims(sweeps(SWEEPS, seeds, accuracy=-MARGIN, number=seeds))
    assert len(found) == SWEEPS * 6
    print(f"no effect, {seeds} seeds: verdicts in", ", ".join(f"{100 * share:.2f} %" for share in told(found)))
    assert (told(found) <= LEVEL).all()


@pytest.mark.parametrize(
    ("accuracy", "iterations", "verdict"), [(0.02, -6000, "supported"), (-0.04, 6000, "contradicted")]
)
def test_an_effect_that_is_there_is_found(accuracy, iterations, verdict):
    found = claims(sweeps(40, 5, accuracy=accuracy, iterations=iterations))
    shares = (found["verdict"] == verdict).groupby([found["claim"], found["against"]]).mean()
    print(f"an effect, 5 seeds: {verdict} in", ", ".join(f"{100 * share:.1f} %" for share in shares))
    assert (shares >= 0.9).all()


def only(found, claim, against):
    rows = found[(found["claim"] == claim) & (found["against"] == against)]
    assert len(rows) == 1
    return rows.iloc[0]


def sweep(reset, random=None, measure="adversarial"):
    """One sweep from values by seed and round; `random` has the other strategy's."""
    frames = []
    for strategy, values in (("reset", reset), ("random", random or [])):
        for seed, of in enumerate(values):
            fields = {"train_attack": "fgsm", "strategy": strategy, "seed": seed, "rounds": len(of) - 1}
            frames.append(synthetic.trajectory(**fields, **{measure: of}))
    return pd.concat(frames, ignore_index=True)


def test_the_smallest_weights_remaining_that_hold():
    values = [[0.8 + seed, 0.81 + seed, 0.8 + seed + jitter, 0.5 + seed] for seed, jitter in ((0, 0.0001), (0.01, 0))]
    values += [[0.81, 0.82, 0.8102, 0.509], [0.8, 0.8101, 0.8001, 0.499], [0.79, 0.8, 0.7902, 0.4902]]
    found = only(claims(sweep(values)), 1, "dense")
    assert (found["verdict"], found["shown_for"], found["shown_against"], found["tested"]) == ("supported", 2, 1, 3)
    assert found["smallest_weights_remaining"] == pytest.approx(0.64, abs=1e-3)
    assert found["seeds"] == 5
    assert pd.isna(found["seeds_needed"])


def test_a_tendency_that_turns_is_mixed():
    stops = [[9000 + 500 * (seed % 2), 2000, 20_000 + 500 * (seed % 2)] for seed in range(5)]
    found = only(claims(sweep(stops, measure="stop")), 3, "dense")
    assert (found["verdict"], found["shown_for"], found["shown_against"]) == ("undecided", 1, 1)
    assert pd.isna(found["seeds_needed"])


def test_undecided_says_how_many_seeds_would_decide():
    found = claims(sweep([[0.80, 0.80], [0.80, 0.81]]))
    row = only(found, 1, "dense")
    # Differences 0 and 0.01 lie 0.015 above the boundary; their deviation, with the grid's, is 0.0082.
    assert (row["verdict"], row["seeds_needed"]) == ("undecided", 5)


def test_one_seed_gets_no_verdict():
    found = claims(sweep([[0.8, 0.8]], [[0.8, 0.7]]))
    assert found["verdict"].tolist() == [None] * 6
    assert found["seeds"].tolist() == [1, 1, 1, 1, 1, 0]


def test_what_was_not_swept_gets_no_verdict():
    row = only(claims(sweep([[0.8, 0.8], [0.8, 0.8]])), 4, "continued")
    assert (row["verdict"], row["seeds"], row["tested"]) == (None, 0, 0)


def test_networks_that_never_differ_are_undecided_without_a_number():
    found = claims(sweep([[0.5, 0.5]] * 2, [[0.5, 0.5]] * 2))
    row = only(found, 4, "random")
    assert row["verdict"] == "undecided"
    assert pd.isna(row["seeds_needed"])


def test_evidence_points_in_the_direction_of_its_claim():
    shown = evidence(sweep([[9000, 2000], [9000, 2500], [9500, 2000]], measure="stop"))
    row = shown[(shown["claim"] == 3) & (shown["against"] == "dense")].iloc[0]
    assert row["p_for"] == row["p_below"] < 0.01 < row["p_against"]
    assert row["shown"] == "for"
    assert set(shown["claim"]) == {1, 2, 3}
    assert [claim.number for claim in CLAIMS] == [1, 2, 3, 4]


def test_a_wider_margin_is_easier_to_keep():
    rounds = sweep([[0.80, 0.79], [0.80, 0.792], [0.81, 0.80]])
    assert only(claims(rounds, margin=0.0), 1, "dense")["verdict"] == "contradicted"
    assert only(claims(rounds, margin=0.05), 1, "dense")["verdict"] == "supported"
