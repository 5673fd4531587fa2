"""The attacks' settings and full names."""

import pytest
from pydantic import ValidationError

from lthray.methods.attacks import NATURAL
from lthray.spec.attack_settings import label, make, parse, word
from lthray.spec.trajectory import TrajectorySpec


def spec(**fields) -> TrajectorySpec:
    return TrajectorySpec.model_validate(fields)


def names(trajectory: TrajectorySpec) -> tuple[str, ...]:
    return tuple(map(str, trajectory.eval_attacks))


def test_a_full_name_has_the_settings_given_in_a_fixed_order_and_reads_back():
    own = {"restarts": 2, "steps": 40, "epsilon": 1, "step_size": 0.01, "random_start": True, "norm": "l2"}
    attack = make("pgd", own)
    name = str(attack)
    assert name == "pgd(epsilon=1;norm=l2;steps=40;step_size=0.01;random_start=true;restarts=2)"
    assert parse(name) == attack
    assert hash(parse(name)) == hash(attack)
    assert dict(attack.settings) == own
    assert str(make("pgd", {})) == "pgd"
    small = make("fgsm", {"epsilon": 1e-5, "norm": None})
    assert str(small) == "fgsm(epsilon=1e-05)"
    assert parse(str(small)) == small
    assert parse("none") == NATURAL
    assert "," not in name  # by which the tables join the names
    assert label(parse("pgd(steps=40;step_size=0.01)")) == "pgd steps 40 step_size 0.01"


def test_the_word_of_a_name_never_changes():
    assert word(parse("pgd(steps=40)")) == 969417497
    assert word(parse("pgd(steps=41)")) != word(parse("pgd(steps=40)"))


@pytest.mark.parametrize(
    "given",
    [
        ["pgd", {"pgd": {"steps": 40, "step_size": 0.01}}, "fgsm"],
        [{"pgd": {"step_size": 0.01, "steps": 40}}, {"fgsm": None}, {"pgd": {}}],
        ["fgsm", "pgd", "pgd(steps=40;step_size=0.01)"],
        [{"fgsm": {}, "pgd": {"steps": 40, "step_size": 0.01}}, "pgd", "pgd"],
    ],
)
def test_every_way_to_write_eval_attacks_is_the_same(given):
    found = spec(eval_attacks=given)
    assert names(found) == ("fgsm", "pgd", "pgd(steps=40;step_size=0.01)")
    assert found.flat()["eval_attacks"] == "fgsm,pgd,pgd(steps=40;step_size=0.01)"
    assert found.trajectory_id == spec(eval_attacks=list(found.eval_attacks)).trajectory_id
    assert TrajectorySpec.model_validate(found.model_dump()) == found


def test_a_mapping_is_a_list_of_one_setting_an_attack_and_the_train_attack_stays_plain():
    found = spec(train_attack="pgd", eval_attacks={"pgd": {"steps": 40}})
    assert names(found) == ("pgd", "pgd(steps=40)")
    assert names(spec(eval_attacks={"pgd": {"steps": 40}})) == ("pgd(steps=40)",)


def test_settings_that_are_not_given_are_the_trajectorys():
    found = spec(epsilon=0.2, attack_label="ground-truth", pgd={"steps": 7, "restarts": 3})
    one = found.setting(parse("pgd(norm=l2;step_size=2)"))
    assert (one.epsilon, one.norm, one.attack_label) == (0.2, "l2", "ground-truth")
    assert (one.steps, one.step_size, one.random_start, one.restarts) == (7, 2.0, True, 3)
    assert found.setting(parse("fgsm(epsilon=0.1)")).step_size == 0.1
    assert found.setting(parse("fgsm")).restarts == 1
    assert found.setting(parse("autoattack(epsilon=0.5)")).epsilon == 0.5
    assert spec().setting(parse("autoattack")).attack_label == "ground-truth"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"eval_attacks": {"pgd": {"stepz": 3}}}, "pgd has no setting stepz; it has epsilon, norm"),
        ({"eval_attacks": {"fgsm": {"steps": 3}}}, "fgsm has no setting steps; it has epsilon, norm, attack_label$"),
        ({"eval_attacks": {"pgd": {"steps": 0}}}, "pgd: steps: found 0"),
        ({"eval_attacks": {"pgd": {"steps": 2.5}}}, "pgd: steps: found 2.5"),
        ({"eval_attacks": {"pgd": {"norm": "l1"}}}, "pgd: norm: found 'l1', but allowed are linf, l2"),
        ({"eval_attacks": {"pgd": 40}}, "pgd: found 40, but settings are a mapping"),
        ({"eval_attacks": ["autoattack"]}, "autoattack is no attack; allowed are fgsm, pgd"),
        ({"eval_attacks": ["pgd(steps=x)"]}, "pgd: steps: found 'x'"),
        ({"eval_attacks": [["pgd"]]}, "allowed are auto"),
        ({"eval_attacks": [{3: {}}]}, "3 is no attack"),
        ({"eval_attacks": {"pgd": {"epsilon": 3.0}}}, r"pgd\(epsilon=3\): epsilon: found 3, but with norm linf"),
        ({"eval_attacks": {"pgd": {"random_start": False, "restarts": 2}}}, "all restarts are the same"),
        ({"end_attacks": ["cw"]}, "cw is no attack; allowed are fgsm, pgd"),
        ({"end_attacks": "pgd"}, "allowed are auto, a list"),
        ({"end_attacks": {"pgd": {"epsilon": 3.0}}}, r"end_attacks: pgd\(epsilon=3\): epsilon: found 3, but with norm"),
        ({"pgd": {"random_start": False, "restarts": 2}}, "all restarts are the same"),
        ({"pgd": {"restarts": 0}}, "greater than or equal to 1"),
        ({"pgd": {"step_size": 1.5}}, "pgd.step_size: found 1.5, but with norm linf it should be"),
        ({"epsilon": 1.5}, "with norm linf it should be less than or equal to 1"),
        ({"norm": "l2", "epsilon": 28.5}, "with norm l2 it should be less than or equal to 28"),
        ({"norm": "l2", "epsilon": 8.5, "dataset": "digits-8x8"}, "with norm l2 it should be less than or equal to 8"),
        ({"norm": "l2", "pgd": {"step_size": 29.0}}, "pgd.step_size: found 29, but with norm l2"),
        ({"norm": "l1"}, "allowed are linf, l2"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_said(fields, said):
    with pytest.raises(ValidationError, match=said.replace("$", r"( \[|$)")):
        spec(**fields)


def test_l2_has_longer_radii_and_steps():
    assert spec(norm="l2", epsilon=28.0, pgd={"step_size": 28.0}).epsilon == 28


@pytest.mark.parametrize(
    ("fields", "step_size"),
    [
        ({}, "0.015"),
        ({"epsilon": 0.15, "train_attack": "pgd", "attack_label": "ground-truth", "pgd": {"steps": 7}}, "0.0075"),
        ({"epsilon": 8 / 255}, "0.00156863"),
        ({"epsilon": 1e-9}, "5e-11"),
        ({"norm": "l2", "epsilon": 28.0}, "1.4"),
    ],
)
def test_the_end_attack_is_one_strong_pgd_that_says_all_but_radius_and_norm(fields, step_size):
    settings = f"attack_label=ground-truth;steps=50;step_size={step_size};random_start=true;restarts=3"
    found = spec(**fields)
    (attack,) = found.end_attacks
    assert str(attack) == f"pgd({settings})"
    assert (found.setting(attack).epsilon, found.setting(attack).norm) == (found.epsilon, found.norm)
    assert spec(**fields, end_attacks="auto") == found
    assert TrajectorySpec.model_validate(found.model_dump()) == found


def test_end_attacks_can_be_listed_and_left_out():
    listed = spec(train_attack="fgsm", end_attacks=[{"pgd": {"steps": 9}}, "pgd"])
    assert tuple(map(str, listed.end_attacks)) == ("pgd", "pgd(steps=9)"), "the train attack is not added"
    assert names(listed) == ("fgsm",)
    assert spec(end_attacks=[]).end_attacks == spec(epsilon=0.0).end_attacks == ()
