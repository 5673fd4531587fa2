import pandas as pd
import pytest

from lthray.analysis.figures.attack_words import describe_attack
from lthray.analysis.numbers.fields import varied
from lthray.analysis.page.audit import audit
from tests.analysis import synthetic

NOTHING = pd.DataFrame()


def networks(fgsm, pgd, *, natural=0.88, **fields):
    """Two rounds with these final test accuracies."""
    frame = synthetic.trajectory(**({"train_attack": "fgsm", "rounds": 1} | fields))
    frame["final_none_accuracy_test"] = natural
    frame["early_stopping_fgsm_accuracy_test"] = frame["final_fgsm_accuracy_test"] = fgsm
    frame["early_stopping_pgd_accuracy_test"] = frame["final_pgd_accuracy_test"] = pgd
    return frame


def audited(*frames, evaluations=NOTHING):
    rounds = pd.concat(frames, ignore_index=True)
    return audit(rounds, evaluations, varied(rounds))


def test_robust_networks_raise_no_alarm():
    healthy = audited(networks(0.56, 0.46, train_attack="pgd"), networks(0.3, 0.1, train_attack="none"))
    assert (healthy.alarms, healthy.warnings) == ([], [])
    assert "4 of 4 networks" in healthy.checked


def test_an_alarm_names_attacks_accuracies_and_groups():
    frames = [networks(0.8, 0.02, epsilon=epsilon, seed=seed) for epsilon in (0.1, 0.2, 0.3, 0.4) for seed in (0, 1)]
    (alarm,) = audited(*frames, networks(0.5, 0.45, epsilon=0.05)).alarms
    assert alarm.headline == "Networks trained against fgsm are not robust: PGD leaves them 2.0 % (FGSM 80.0 %)."
    assert alarm.words == (
        "Their FGSM accuracy is no evidence of robustness (gradient masking or catastrophic overfitting)."
    )
    assert alarm.groups == (
        "fashion-mnist, epsilon 0.1; fashion-mnist, epsilon 0.2; fashion-mnist, epsilon 0.3; and 1 more"
    )


def test_an_alarm_says_how_many_networks_it_is_about():
    """The second seed overfits in its last round alone."""
    late = networks([0.56, 0.86], [0.46, 0.3], seed=1, train_attack="pgd")
    report = audited(networks(0.56, 0.46, train_attack="pgd"), late)
    (alarm,) = report.alarms
    assert alarm.headline == (
        "1 of 4 networks trained against pgd are far less robust than FGSM says: PGD leaves them 30.0 % (FGSM 86.0 %)."
    )
    (warning,) = report.warnings
    assert warning.anchor == alarm.anchor
    assert warning.cases == (
        "fashion-mnist, reset, train attack pgd: 1 of 4 networks, first in round 1 (80.0 % of the weights); on average"
        " FGSM 86.0 %, PGD 30.0 %",
    )


def test_two_settings_of_one_attack_are_told_apart():
    frame = networks(float("nan"), 0.7, train_attack="pgd", pgd__steps=1)
    rows = frame[["trajectory_id", "round"]].assign(
        split="test", moment="final", images=500, attack="pgd(steps=50;restarts=3)", accuracy=0.01
    )
    (alarm,) = audited(frame, evaluations=rows).alarms
    assert "PGD (50 steps, 3 restarts) leaves them 1.0 % (PGD 70.0 %)" in alarm.headline
    assert alarm.words.endswith(" One of the two was measured on the first 500 images only.")


def test_label_leaking_is_an_alarm_unless_there_is_a_stronger_one():
    report = audited(networks(0.93, float("nan")))
    (alarm,) = report.alarms
    assert alarm.headline == (
        "Networks trained against fgsm are more accurate under FGSM (93.0 %) than on natural images (88.0 %)."
    )
    assert [warning.anchor for warning in report.warnings] == [alarm.anchor]
    (alarm,) = audited(networks(0.93, 0.02)).alarms
    assert "PGD leaves them 2.0 %" in alarm.headline


def test_an_attack_that_is_weaker_than_it_should_be_is_named():
    frame = networks([0.5, 0.5], [0.5, 0.62], train_attack="none")
    frame["early_stopping_pgd_accuracy_test"] = 0.5
    frame["final_zero_gradient_share_test"] = [0.0, 0.25]
    weak, gradients = audited(frame).warnings
    assert weak.title == "1 group of networks looks more robust to PGD than to FGSM: its PGD is too weak to be trusted"
    assert weak.cases == (
        "fashion-mnist, reset, train attack none: 1 measurement, by up to 12.0 points (round 1, final, test, seed 0)"
        " – PGD beside FGSM",
    )
    assert "up to 25.0 % of the inputs (round 1, final, test, seed 0)" in gradients.cases[0]


def test_more_steps_that_do_less_harm_are_named():
    frame = networks(float("nan"), 0.4, train_attack="pgd")
    rows = frame[["trajectory_id", "round"]].assign(
        split="test", moment="final", images=10_000, attack="pgd(steps=50;step_size=0.001)", accuracy=0.6
    )
    (warning,) = audited(frame, evaluations=rows).warnings
    assert warning.title.startswith("1 group of networks lost more to a weaker attack than to a stronger one")
    assert warning.cases[0].endswith(
        "by up to 20.0 points (round 1, final, test, seed 0) – PGD (50 steps of 0.001) beside PGD"
    )


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        ("none", "natural images"),
        ("fgsm(epsilon=0.1;norm=l2)", "FGSM (ε 0.1, in L2)"),
        ("pgd(steps=1;random_start=false)", "PGD (1 step, no random start)"),
        ("pgd(step_size=0.01;random_start=true)", "PGD (steps of 0.01, random start)"),
        (
            "pgd(attack_label=predicted;steps=50;step_size=0.015;random_start=true;restarts=3)",
            "PGD (50 steps of 0.015, 3 restarts, away from the model's prediction)",
        ),
        ("autoattack", "AutoAttack"),
        ("momentum(decay=0.9)", "momentum (decay 0.9)"),
    ],
)
def test_attacks_in_words(attack, words):
    assert describe_attack(attack) == words
