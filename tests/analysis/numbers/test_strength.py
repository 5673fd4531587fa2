import pytest

from lthray.analysis.numbers.strength import is_stronger, is_weaker, resolve_attack

PAPER = {
    "epsilon": 0.3, "norm": "linf", "attack_label": "predicted", "pgd.steps": 10, "pgd.step_size": 0.05,
    "pgd.random_start": True, "pgd.restarts": 1,
}  # fmt: skip
STRONG = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"


def test_an_attack_has_its_own_settings_and_else_the_trajectory_s():
    attack = resolve_attack(STRONG, PAPER)
    assert (attack.name, attack.epsilon, attack.norm, attack.label) == ("pgd", 0.3, "linf", "ground-truth")
    assert (attack.steps, attack.step_size, attack.restarts, attack.gradients) == (50, 0.015, 3, 150)
    plain = resolve_attack("pgd", PAPER | {"pgd.steps": 40})
    assert (plain.steps, plain.step_size, plain.label) == (40, 0.05, "predicted")
    fgsm = resolve_attack("fgsm(epsilon=0.1)", PAPER)
    assert (fgsm.epsilon, fgsm.steps, fgsm.step_size) == (0.1, 1, 0.1)


def test_a_field_that_a_frame_lacks_has_the_paper_s_value():
    assert resolve_attack("pgd", {"epsilon": float("nan"), "norm": None}) == resolve_attack("pgd", PAPER)


def test_attacks_in_words():
    assert str(resolve_attack(STRONG, PAPER)) == "PGD from the true label, 50 steps, 3 starts, ε 0.3 (L∞)"
    assert str(resolve_attack("fgsm", PAPER)) == "FGSM from the predicted label, ε 0.3 (L∞)"
    assert (
        str(resolve_attack("pgd(steps=1;norm=l2)", PAPER))
        == "PGD from the predicted label, 1 step, 1 start, ε 0.3 (L2)"
    )
    assert str(resolve_attack("autoattack", PAPER)) == "AutoAttack, ε 0.3 (L∞)"


@pytest.mark.parametrize(
    ("attack", "train_attack", "stronger"),
    [
        ("fgsm", "none", False),
        ("fgsm", "fgsm", False),
        ("pgd", "none", True),
        ("pgd", "fgsm", True),
        ("pgd(steps=5)", "fgsm", False),  # too few steps
        ("pgd(step_size=0.01)", "fgsm", False),  # 10 steps of 0.01 do not cross a radius of 0.3
        ("pgd(epsilon=0.2)", "fgsm", False),
        ("pgd(norm=l2;epsilon=3)", "fgsm", False),
        ("pgd", "pgd", False),  # what the network was trained against
        ("pgd(steps=20)", "pgd", True),
        ("pgd(restarts=2)", "pgd", True),
        ("pgd(attack_label=ground-truth)", "pgd", True),
        ("pgd(steps=20;restarts=1)", "pgd", True),
        (STRONG, "pgd", True),
        ("autoattack", "pgd", True),
        ("autoattack(epsilon=0.1)", "pgd", False),
        ("pgd", "rules.py:noisy", False),  # which may be as strong as PGD of the same settings
        ("pgd(steps=20)", "rules.py:noisy", True),
        ("rules.py:noisy", "fgsm", False),
        ("rules.py:noisy(steps=100)", "rules.py:noisy", False),
    ],
)
def test_which_attacks_can_show_robustness(attack, train_attack, stronger):
    assert is_stronger(resolve_attack(attack, PAPER), train_attack, PAPER) is stronger


def test_an_attack_that_is_weaker_in_anything_is_not_stronger_than_pgd_training():
    fields = PAPER | {"pgd.restarts": 2}
    assert not is_stronger(resolve_attack("pgd(steps=100;restarts=1)", fields), "pgd", fields)
    true = PAPER | {"attack_label": "ground-truth"}
    assert not is_stronger(resolve_attack("pgd(attack_label=predicted;steps=100)", true), "pgd", true)


def test_nothing_is_known_of_the_strength_of_a_user_s_own_attack():
    own = resolve_attack("rules.py:noisy(steps=100)", PAPER)
    assert str(own) == "rules.py:noisy, ε 0.3 (L∞)"
    others = [resolve_attack(attack, PAPER) for attack in ("fgsm", "pgd", "autoattack", "rules.py:other")]
    assert not any(is_weaker(own, other) or is_weaker(other, own) for other in others)
    assert own.rank < resolve_attack("fgsm", PAPER).rank


def test_rank_puts_the_suite_first_then_the_label_then_gradients():
    attacks = ["fgsm", "pgd", "pgd(steps=100)", "pgd(attack_label=ground-truth)", STRONG, "autoattack"]
    ranks = [resolve_attack(attack, PAPER).rank for attack in attacks]
    assert ranks == sorted(ranks)
