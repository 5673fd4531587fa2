from dataclasses import replace

import pandas as pd

from lthray.analysis import load
from lthray.analysis.page.facts import list_facts
from tests.analysis import synthetic

STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"


def facts(folder, frames, **options):
    results = load(synthetic.write(folder, frames, **options))
    return list_facts(results, results.evaluations())


def test_one_trajectory_in_words(tmp_path):
    assert facts(tmp_path, [synthetic.trajectory(train_attack="pgd", rounds=3, retrain__train_attack="pgd")]) == {
        "Data and network": {
            "Data sets": ["fashion-mnist"],
            "Validation images": ["10,000"],
            "Networks": ["lenet-300-100, hidden units 300-100, 266,200 weights"],
        },
        "Training": {
            "Trajectories": ["1 (1 complete)"],
            "Strategies": ["reset"],
            "Seeds": ["0"],
            "Rounds": ["3 after the dense one", "4 measured, up to round 3"],
            "Iterations per round": ["50,000"],
            "Protocols": ["paper"],
        },
        "Attacks": {
            "Train attacks": ["pgd"],
            "Radius ε": ["0.3 in L∞"],
            "Attack label": ["predicted: away from the model's prediction"],
            "PGD": ["10 steps of 0.05, random start"],
        },
        "Evaluation": {
            "Measured": ["natural images, PGD: all validation and test images, at early stopping and at the end"],
            "Learning curves": ["every 500 iterations"],
        },
        "Provenance": {"Devices": ["cpu"], "Versions": ["lthray 0.1.0; torch 2.11.0; Python 3.11.9"]},
    }


def test_networks_without_curves_under_attack_are_counted(tmp_path):
    frames = [
        synthetic.trajectory(seed=seed, eval_attacks_at=at, rounds=1) for seed, at in enumerate(("every", "ends"))
    ]
    said = facts(tmp_path, frames)["Evaluation"]["Learning curves"]
    assert said == ["every 500 iterations", "under no attack but the train attack: 2 of 4 networks"]


def test_what_varies_is_said_with_its_values(tmp_path):
    frames = [
        synthetic.trajectory(seed=0, rounds=1, strategy="continued"),
        synthetic.trajectory(seed=1, rounds=2, strategy="reset", epsilon=0.1, attack_label="ground-truth"),
        synthetic.trajectory(seed=2, strategy="random", norm="l2", epsilon=1.0, pgd__steps=40, pgd__restarts=3),
        synthetic.trajectory(seed=7, rounds=2, train_attack="fgsm", model="mlp", widths="100-50", iterations=1_500),
        synthetic.trajectory(seed=7, rounds=2, retrain__iterations=200, retrain__train_attack="fgsm"),
    ]  # fmt: skip
    groups = facts(tmp_path, frames)
    assert groups["Data and network"]["Networks"] == [
        "lenet-300-100, hidden units 300-100, 266,200 weights",
        "mlp, hidden units 100-50, 266,200 weights",
    ]
    training = groups["Training"]
    assert training["Strategies"] == ["reset, random, continued"]
    assert training["Seeds"] == ["0, 1, 2, 7"]
    assert training["Rounds"][0] == "1, 2 after the dense one"
    assert training["Iterations per round"] == ["1,500, 50,000"]
    assert training["Iterations of later rounds"] == ["200"]
    assert groups["Attacks"] == {
        "Train attacks": ["none, fgsm"],
        "Train attacks of later rounds": ["fgsm"],
        "Radius ε": ["0.1 in L∞", "0.3 in L∞", "1 in L2"],
        "Attack label": [
            "ground-truth: away from the true label",
            "predicted: away from the model's prediction",
        ],
        "PGD": ["10 steps of 0.05, random start", "40 steps of 0.05, 3 restarts"],
    }


def test_pgd_has_no_settings_where_nothing_uses_it(tmp_path):
    assert "PGD" not in facts(tmp_path, [synthetic.trajectory(train_attack="fgsm", rounds=0)])["Attacks"]


def test_further_attacks_are_said_with_images_moments_and_networks(tmp_path):
    rounds = synthetic.trajectory(train_attack="fgsm", rounds=2)
    results = load(synthetic.write(tmp_path, [rounds]))
    row = rounds.loc[[2], ["trajectory_id", "round"]].assign(split="test", attack=STRONG, images=1_000, accuracy=0.02)
    measured = pd.concat([row.assign(moment=moment) for moment in ("early_stopping", "final", "training")])
    assert list_facts(results, measured)["Evaluation"]["Measured"] == [
        "natural images, FGSM: all validation and test images, at early stopping and at the end",
        "PGD (50 steps of 0.015, 3 restarts, away from the true label): the first 1,000 test images,"
        " at early stopping and at the end, 1 of 3 networks",
    ]


def test_tables_of_others_need_not_have_the_fields(tmp_path):
    results = load(synthetic.write(tmp_path, [synthetic.trajectory(rounds=1)]))
    missing = ["model", "widths", "weights_remaining_count", "epsilon", "attack_label", "pgd.steps", "eval_every"]
    groups = list_facts(replace(results, rounds=results.rounds.drop(columns=missing)), results.evaluations())
    assert groups["Data and network"] == {"Data sets": ["fashion-mnist"], "Validation images": ["10,000"]}
    assert groups["Attacks"] == {"Train attacks": ["none"]}


def test_folders_are_named_where_there_are_several(tmp_path):
    for name in ("a", "b"):
        synthetic.write(tmp_path / name, [synthetic.trajectory(rounds=0)])
    results = load(tmp_path / "a", tmp_path / "b")
    groups = list_facts(results, results.evaluations())
    assert groups["Provenance"]["Folders"] == ["a, b"]
    assert groups["Training"]["Trajectories"] == ["2 (2 complete)"]
