"""Masks counted layer by layer, and laid over each other."""

import itertools

import numpy as np
import pandas as pd
import pytest

from lthray import analysis
from lthray.analysis import load, ticket_masks
from tests.analysis import synthetic
from tests.analysis.tickets import with_tickets


def test_densities_and_overlaps_are_those_of_a_count_by_hand(tmp_path):
    """Every pair, laid over each other as arrays."""
    grid = {"dataset": ["mnist", "fashion-mnist"], "train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random"]}
    folder, made = with_tickets(tmp_path, synthetic.grid(**grid, seed=[0, 1, 2]))
    results = load(folder)
    density = analysis.layer_density(results.rounds, results.masks())
    pairs = analysis.overlaps(results.rounds, results.masks())
    identity = results.rounds.drop_duplicates("trajectory_id").set_index("trajectory_id")
    assert len(density) == 24 * 3 * 3
    keys = ["dataset", "train_attack", "strategy", "seed"]
    places = {tuple(identity.loc[name, keys]): name for name in identity.index}
    for row in density.to_dict("records"):
        mask = made[places[tuple(row[key] for key in keys)], row["round"]][row["layer"]]
        assert (row["remaining"], row["weights"], row["density"]) == (mask.sum(), mask.size, mask.mean())
    expected = 0
    for one, other in itertools.combinations(places, 2):
        differing = [name for name, a, b in zip(keys, one, other, strict=True) if a != b]
        if len(differing) != 1:
            continue
        expected += 1
        here = pairs[pairs["between"] == differing[0]]
        for key, a, b in zip(keys, one, other, strict=True):
            here = here[here[key].isin([str(a)] if a == b else [f"{a} – {b}", f"{b} – {a}"])]
        assert len(here) == 3 * 3
        for row in here.to_dict("records"):
            a, b = (made[places[who], row["round"]][row["layer"]].astype(bool) for who in (one, other))
            assert row["overlap"] == (a & b).sum() / (a | b).sum()
            p, q = a.mean(), b.mean()
            assert row["expected"] == pytest.approx(p * q / (p + q - p * q))
            assert {row["density_one"], row["density_other"]} == {p, q}
    assert len(pairs) == expected * 3 * 3
    summary = analysis.summarise_overlaps(pairs)
    seeds = summary[(summary["between"] == "seed")]
    assert set(seeds["overlap_n"]) == {3}
    assert len(seeds) == 2 * 2 * 2 * 3 * 3
    one = pairs[(pairs["between"] == "seed") & (pairs["layer"] == "output") & (pairs["round"] == 2)]
    one = one[(one["dataset"] == "mnist") & (one["train_attack"] == "pgd") & (one["strategy"] == "reset")]
    mean = seeds.merge(one[["dataset", "train_attack", "strategy", "round", "layer"]].drop_duplicates())
    assert mean["overlap_mean"].item() == pytest.approx(np.mean(one["overlap"]))
    assert mean["overlap_sd"].item() == pytest.approx(np.std(one["overlap"], ddof=1))


def test_what_is_expected_of_random_masks_is_what_random_masks_have():
    draw = np.random.default_rng(0)
    a, b = (ticket_masks.Mask.pack(draw.random((500, 800)) < density) for density in (0.3, 0.1))
    common = a.common(b)
    p, q = a.count / a.size, b.count / b.size
    assert common / (a.count + b.count - common) == pytest.approx(p * q / (p + q - p * q), rel=0.02)


def test_layers_of_other_shapes_and_twins_are_not_compared(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(dataset=["mnist", "digits-8x8"], eval_attacks=["fgsm", "fgsm,pgd"])
    )
    results = load(folder)
    found = results.masks()
    digits = results.rounds[results.rounds["dataset"] == "digits-8x8"]["trajectory_id"].unique()
    for name in digits:
        for layers in found[name,].values():
            layers["hidden_1"] = ticket_masks.Mask.pack(np.ones((4, 3), np.uint8))
    pairs = analysis.overlaps(results.rounds, found)
    assert set(pairs["between"]) == {"dataset"}
    assert pairs.groupby("layer").size().to_dict() == {"hidden_2": 3, "output": 3}
    assert len(analysis.layer_density(results.rounds, found)) == 2 * 3 * 3


def test_empty_layers_have_no_overlap():
    frame = pd.concat(synthetic.grid(seed=[0, 1], rounds=0))
    nothing = ticket_masks.Mask.pack(np.zeros((2, 3), np.uint8))
    found = {(name,): {0: {"output": nothing}} for name in frame["trajectory_id"]}
    assert analysis.overlaps(frame, found)[["overlap", "expected"]].isna().all(axis=None)
