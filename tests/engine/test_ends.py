"""Attacks measured at the ends of rounds, on the networks at early stopping and at the end; nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from lthray.engine import recorder, tiled
from lthray.engine.results import Failure, Resume
from lthray.engine.trajectory import run
from lthray.methods.attacks import Attack
from lthray.spec.attack_settings import parse
from tests.helpers import run_watched, same

UNSTEADY = {"learning_rate": 0.03, "rounds": 1, "eval_every": 5, "epsilon": 0.1}
"""So fast that the validation objective is smallest now in the middle, now at the end of a round."""


@pytest.mark.parametrize("way", ["dense", "sparse"])
@pytest.mark.parametrize("retrain", [{}, {"train_attack": "none", "iterations": 25}])
def test_the_networks_measured_are_those_of_the_curves(way, retrain, make, digits, monkeypatch):
    """On all images, under attacks that are measured at every evaluation too: the curves have the same numbers."""
    monkeypatch.setattr(tiled, "BREAK_EVEN", dict.fromkeys(tiled.BREAK_EVEN, {"dense": 0, "sparse": 2}[way]))
    fields = UNSTEADY | {"train_attack": "fgsm", "pgd": {"steps": 2}, "retrain": retrain}
    specs = [make(**fields, eval_attacks=["fgsm", "pgd"], end_attacks=["fgsm", "pgd"], seed=seed) for seed in (0, 1)]
    results, _ = run_watched(specs, digits)
    early = [result.iterations - result.early_stopping_iteration for result in results.values()]
    assert any(early)
    for result in results.values():
        ends = {result.early_stopping_iteration, result.iterations}
        assert result.end_images == 360
        assert {(row.iteration, str(row.attack)) for row in result.ends} == {
            (iteration, attack) for iteration in ends for attack in ("fgsm", "pgd")
        }
        for row in result.ends:
            assert row == result.row(row.attack, "test", row.iteration)


def test_they_change_nothing_else_and_without_any_nothing_is_kept(make, digits):
    fields = UNSTEADY | {"train_attack": "pgd", "pgd": {"steps": 2}}
    without, taken = run_watched([make(**fields)], digits)
    beside, kept = run_watched([make(**fields, end_attacks=[{"pgd": {"steps": 3, "restarts": 2}}])], digits)
    for key, result in beside.items():
        assert result.ends
        nothing = {"ends": (), "end_images": 0, "spec": result.spec}
        assert same(replace(result, **nothing), replace(without[key], **nothing))
        assert without[key].ends == []
    assert all(one.early_stopped is None for stack in taken.values() for one in stack)
    assert all(one.early_stopped for stack in kept.values() for one in stack)


def test_the_first_images_are_taken_and_more_restarts_count(make, digits):
    common = UNSTEADY | {"rounds": 0, "train_attack": "fgsm", "end_images": 100}
    weak, strong = "pgd(steps=1)", "pgd(attack_label=ground-truth;steps=20;step_size=0.01;restarts=3)"
    ((result,),) = run([make(**common, end_attacks=[weak, strong])], digits)
    assert result.end_images == 100
    found = {(row.iteration, str(row.attack)): row for row in result.ends}
    for row in result.ends:
        assert row.split == "test"
        assert row.accuracy * 100 == pytest.approx(round(row.accuracy * 100)), "a share of 100 images"
    assert found[40, strong].accuracy < found[40, weak].accuracy


def test_a_round_interrupted_and_resumed_measures_the_same_networks(make, digits):
    """From any evaluation, before and after early stopping, alone and beside a neighbour."""
    fields = UNSTEADY | {"train_attack": "fgsm", "end_attacks": ["pgd(steps=2;restarts=2)"]}
    specs = [make(**fields, seed=seed) for seed in (0, 1)]
    whole, taken = run_watched(specs, digits)
    stops = {result.early_stopping_iteration for result in whole.values()}
    assert min(stops) < 40
    for number, iteration in (moment for moment in taken if moment[1]):
        resumes = [Resume(whole[spec.trajectory_id, 0].ticket, None) for spec in specs] if number else []
        for chosen in ((0, 1), (1,)) if iteration in stops else ((iteration // 5 % 2,),):
            held = [taken[number, iteration][i] for i in chosen]
            before = [resumes[i] for i in chosen] if number else []
            rest, _ = run_watched([specs[i] for i in chosen], digits, number, before, checkpoints=held)
            assert rest
            assert all(same(result, whole[key]) for key, result in rest.items())


def test_a_trajectory_that_failed_is_not_measured_and_its_neighbour_is(make, digits, monkeypatch):
    good, bad = (make(**UNSTEADY | {"rounds": 0}, seed=seed, end_attacks=["fgsm"]) for seed in (0, 1))
    _, taken = run_watched([good, bad], digits)
    broken = {name: np.full_like(weight, np.nan) for name, weight in taken[0, 20][1].weights.items()}
    held = [taken[0, 20][0], replace(taken[0, 20][1], weights=broken)]
    measured = []
    evaluate_under = recorder.evaluate_under
    monkeypatch.setattr(
        recorder,
        "evaluate_under",
        lambda attacks, weights, specs, *rest: (
            measured.extend(spec.seed for spec in specs),
            evaluate_under(attacks, weights, specs, *rest),
        )[1],
    )
    ((first, second),) = run([good, bad], digits, checkpoints=held)
    assert first.ends
    assert isinstance(second, Failure)
    assert set(measured) == {0}


def test_random_starts_come_from_seed_round_iteration_and_the_full_name(make, digits):
    """Whatever else is measured, and whoever trains beside."""
    fields = UNSTEADY | {"train_attack": "fgsm"}
    one = "pgd(steps=1)"
    alone, _ = run_watched([make(**fields, seed=1, end_attacks=[one])], digits)
    specs = [make(**fields, seed=seed, end_attacks=["fgsm", one, "pgd(steps=2)"]) for seed in (0, 1)]
    among, _ = run_watched(specs, digits)
    for key, result in alone.items():
        assert list(result.ends) == [row for row in among[key].ends if row.attack == parse(one)]


def test_seconds_of_the_end_attacks_count_as_evaluation(make, digits):
    common = UNSTEADY | {"rounds": 0}
    list(run([make(**common, end_attacks=["pgd(steps=2;restarts=2)"])], digits))  # loads the kernels
    ((without,),) = run([make(**common)], digits)
    ((beside,),) = run([make(**common, end_attacks=["pgd(steps=400;restarts=2)"])], digits)
    assert beside.eval_seconds > 3 * without.eval_seconds
    assert beside.train_seconds < beside.eval_seconds


def test_natural_accuracy_is_not_measured_again(make, digits):
    ((result,),) = run([make(**UNSTEADY | {"rounds": 0}, end_attacks=["fgsm"])], digits)
    assert {row.attack for row in result.ends} == {Attack("fgsm")}


OWN = "pgd(steps=3)"
SCHEDULES = [
    ({}, {"none"}),
    ({"retrain": {"train_attack": "fgsm", "iterations": 25}}, {"none"}),
    ({"train_attack": "pgd", "end_attacks": ["fgsm"]}, {"none", "pgd"}),
    ({"train_attack": "fgsm", "retrain": {"train_attack": "none"}}, {"none", "fgsm"}),
]
"""Fields, and what early stopping depends on."""


def at_ends(make, fields):
    common = UNSTEADY | {"learning_rate": 0.3, "pgd": {"steps": 2}, "eval_attacks": ["fgsm", "pgd", OWN]} | fields
    return [[make(**common, eval_attacks_at=at, seed=seed) for seed in (0, 1)] for at in ("every", "ends")]


@pytest.mark.parametrize("way", ["dense", "sparse"])
@pytest.mark.parametrize(("fields", "always"), SCHEDULES)
def test_eval_attacks_at_the_ends_give_the_same_rows_there(way, fields, always, make, digits, monkeypatch):
    monkeypatch.setattr(tiled, "BREAK_EVEN", dict.fromkeys(tiled.BREAK_EVEN, {"dense": 0, "sparse": 2}[way]))
    everywhere, ends = at_ends(make, fields)
    whole, _ = run_watched(everywhere, digits)
    fewer, _ = run_watched(ends, digits)
    assert any(result.early_stopping_iteration < result.iterations for result in fewer.values())
    for key, result in fewer.items():
        points = {result.early_stopping_iteration, result.iterations}
        kept = [row for row in whole[key].curves if str(row.attack) in always or row.iteration in points]
        assert len(kept) < len(whole[key].curves)
        assert sorted(map(repr, result.curves)) == sorted(map(repr, kept))
        assert [row.iteration for row in result.curves] == sorted(row.iteration for row in result.curves)
        assert same(result, replace(whole[key], spec=result.spec, curves=result.curves))


@pytest.mark.parametrize(("fields", "always"), SCHEDULES[::2])
def test_a_round_measured_at_its_ends_can_be_interrupted_anywhere(fields, always, make, digits):
    _, specs = at_ends(make, fields)
    whole, taken = run_watched(specs, digits)
    assert all(one.early_stopped for stack in taken.values() for one in stack)
    for number, iteration in (moment for moment in taken if moment[1]):
        resumes = [Resume(whole[spec.trajectory_id, 0].ticket, None) for spec in specs] if number else []
        rest, _ = run_watched(specs, digits, number, resumes, checkpoints=taken[number, iteration])
        assert all(same(result, whole[key]) for key, result in rest.items())


def test_a_loss_at_early_stopping_that_is_not_finite_is_a_failure(make, digits, monkeypatch):
    """Where attacks are measured at the ends alone, it shows only then."""
    _, (spec, _) = at_ends(make, {"rounds": 0})
    evaluate_under = recorder.evaluate_under

    def overflow(*arguments):
        return [replace(one, loss=[float("inf")]) for one in evaluate_under(*arguments)]

    monkeypatch.setattr(recorder, "evaluate_under", overflow)
    ((failure,),) = run([spec], digits)
    assert isinstance(failure, Failure)
    assert "stopped being finite by iteration" in failure.reason
