"""The rounds of a stack: starts, tickets, early stopping, continuing, failing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lthray.network import glorot_uniform
from lthray.randomness import Draw, generator
from lthray.results import CurveRow, Failure, Resume, RoundResult
from lthray.trajectory import early_stopping_iteration, run
from tests.conftest import totals

THREE = ("reset", "random", "continued")


def results(specs, digits, *arguments) -> dict[tuple[str, int], RoundResult]:
    found = [one for stack in run(specs, digits, *arguments) for one in stack]
    return {(one.spec.trajectory_id, one.round): one for one in found}


def same(one: RoundResult, other: RoundResult) -> bool:
    """The same numbers, bit for bit; seconds and the stack's size are not among them."""
    clocks = {"train_seconds": 0.0, "eval_seconds": 0.0, "stack": 0, "ticket": None}
    layers = one.ticket.weights.keys()
    return replace(one, **clocks) == replace(other, **clocks) and all(
        np.array_equal(one.ticket.weights[name], other.ticket.weights[name])
        and np.array_equal(one.ticket.masks[name], other.ticket.masks[name])
        for name in layers
    )


def test_every_round_leaves_the_weights_that_the_rule_leaves(make, digits):
    specs = [make(strategy=strategy, train_attack="fgsm") for strategy in THREE]
    found = results(specs, digits)
    for spec in specs:
        for number, count in enumerate(totals(spec.layer_counts())):
            result = found[spec.trajectory_id, number]
            assert result.weights_remaining_count == count
            assert result.weights_remaining == count / 50_200
            for name, mask in result.ticket.masks.items():
                assert (result.ticket.weights[name][mask == 0] == 0).all()
                if number:
                    assert (mask <= found[spec.trajectory_id, number - 1].ticket.masks[name]).all()


def test_strategies_are_one_in_round_0_and_differ_in_their_starts_afterwards(make, digits):
    specs = {strategy: make(strategy=strategy, seed=4) for strategy in THREE}
    found = results(list(specs.values()), digits)
    rounds = {strategy: found[spec.trajectory_id, 0] for strategy, spec in specs.items()}
    assert rounds["reset"].curves == rounds["random"].curves == rounds["continued"].curves
    first = {s: found[spec.trajectory_id, 1].curves[0] for s, spec in specs.items()}
    assert len({row.loss for row in first.values()}) == 3


def starts(specs, digits, monkeypatch, *arguments):
    """The weights that each round began with, by round."""
    import lthray.trajectory

    seen, train = [], lthray.trajectory.train
    monkeypatch.setattr(
        lthray.trajectory,
        "train",
        lambda start, *rest: (seen.append([w[0].clone() for w in start]), train(start, *rest))[1],
    )
    found = results(specs, digits, *arguments)
    return seen, found


def test_reset_starts_at_theta_0_under_the_mask(make, digits, monkeypatch):
    spec = make(strategy="reset", seed=3)
    seen, found = starts([spec], digits, monkeypatch)
    initial = glorot_uniform(list(spec.layer_sizes.values()), generator(3, Draw.INIT))
    for number, start in enumerate(seen):
        masks = found[spec.trajectory_id, number].ticket.masks.values()
        for weight, theta, mask in zip(start, initial, masks, strict=True):
            assert torch.equal(weight, theta * torch.tensor(mask))


def test_the_released_code_resets_to_the_end_of_round_0(make, digits, monkeypatch):
    spec = make(strategy="reset", rewind_to="end-of-round-0")
    seen, found = starts([spec], digits, monkeypatch)
    dense = found[spec.trajectory_id, 0].ticket.weights
    for number in (1, 2):
        masks = found[spec.trajectory_id, number].ticket.masks
        for weight, name in zip(seen[number], masks, strict=True):
            assert np.array_equal(weight.numpy(), dense[name] * masks[name])


def test_continued_starts_where_the_last_round_ended(make, digits, monkeypatch):
    spec = make(strategy="continued")
    seen, found = starts([spec], digits, monkeypatch)
    for number in (1, 2):
        before, now = found[spec.trajectory_id, number - 1].ticket, found[spec.trajectory_id, number].ticket
        for weight, name in zip(seen[number], now.masks, strict=True):
            assert np.array_equal(weight.numpy(), before.weights[name] * now.masks[name])


def test_random_starts_anew_every_round(make, digits, monkeypatch):
    spec = make(strategy="random")
    seen, _ = starts([spec], digits, monkeypatch)
    kept = seen[2][0] != 0
    assert not (seen[0][0][kept] == seen[1][0][kept]).any()
    assert not (seen[1][0][kept] == seen[2][0][kept]).any()


def test_a_trajectory_is_the_same_again_and_whoever_its_neighbours_are(make, digits):
    spec = make(train_attack="pgd", pgd={"steps": 2}, seed=1, strategy="random")
    neighbours = [make(train_attack="pgd", pgd={"steps": 2}, seed=seed) for seed in (0, 1, 2)]
    alone, again, among = (results(stack, digits) for stack in ([spec], [spec], [neighbours[0], spec, *neighbours[1:]]))
    for number in range(3):
        key = spec.trajectory_id, number
        assert same(alone[key], again[key])
        for one, other in zip(alone[key].curves, among[key].curves, strict=True):
            assert (one.iteration, one.split, one.attack) == (other.iteration, other.split, other.attack)
            assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert among[key].stack == 4


@pytest.mark.parametrize("fields", [{"strategy": s} for s in THREE] + [{"rewind_to": "end-of-round-0"}])
def test_a_trajectory_continued_from_its_tickets_is_the_same(fields, make, digits):
    spec = make(train_attack="fgsm", **fields)
    whole = results([spec], digits)
    tickets = [whole[spec.trajectory_id, number].ticket for number in range(3)]
    dense = tickets[0] if spec.rewind_to == "end-of-round-0" else None
    rest = results([spec], digits, 2, [Resume(tickets[1], dense)])
    assert list(rest) == [(spec.trajectory_id, 2)]
    assert same(rest[spec.trajectory_id, 2], whole[spec.trajectory_id, 2])


def test_evaluating_more_often_changes_no_weight(make, digits):
    often, seldom = (make(train_attack="pgd", pgd={"steps": 2}, eval_every=every) for every in (7, 40))
    many, few = results([often], digits), results([seldom], digits)
    for number in range(3):
        one, other = many[often.trajectory_id, number], few[seldom.trajectory_id, number]
        assert len(one.curves) > len(other.curves)
        for name, weight in one.ticket.weights.items():
            assert np.array_equal(weight, other.ticket.weights[name])
        assert set(other.curves) <= set(one.curves)


def test_more_rounds_go_on_where_fewer_ended(make, digits):
    short, long = make(rounds=1), make(rounds=2)
    few, many = results([short], digits), results([long], digits)
    for number in (0, 1):
        one, other = few[short.trajectory_id, number], many[short.trajectory_id, number]
        assert same(replace(one, spec=long), other)


def test_trajectories_of_a_stack_may_have_different_numbers_of_rounds(make, digits):
    found = results([make(seed=0, rounds=0), make(seed=1, rounds=2)], digits)
    assert sorted(number for _, number in found) == [0, 0, 1, 2]


def row(iteration, attack, loss, split="validation") -> CurveRow:
    return CurveRow(iteration, iteration, split, attack, loss, 0.5, None)


def test_early_stopping_is_the_first_iteration_with_the_smallest_objective(make):
    curves = [row(0, "none", 3.0), row(20, "none", 1.0), row(40, "none", 1.0), row(40, "none", 0.0, "test")]
    assert early_stopping_iteration(make(), curves) == 20


def test_the_objective_is_the_training_one(make):
    curves = [
        row(0, "none", 1.0), row(0, "fgsm", 5.0), row(20, "none", 2.0), row(20, "fgsm", 3.0),
        row(40, "none", 4.0), row(40, "fgsm", 2.0),
    ]  # fmt: skip
    assert early_stopping_iteration(make(eval_attacks=["fgsm"]), curves) == 0
    assert early_stopping_iteration(make(train_attack="fgsm"), curves) == 20
    assert early_stopping_iteration(make(train_attack="fgsm", adversarial_weight=1.0), curves) == 40
    assert early_stopping_iteration(make(train_attack="fgsm", adversarial_weight=0.1), curves) == 0


def test_a_loss_that_is_not_finite_fails_the_trajectory_with_the_reason(make, digits):
    spec = make(learning_rate=1e30, iterations=40, eval_every=10)
    rounds = list(run([spec], digits))
    assert len(rounds) == 1
    (failure,) = rounds[0]
    assert isinstance(failure, Failure)
    assert (failure.spec, failure.round) == (spec, 0)
    assert "the loss stopped being finite between iterations 0 and 10" in failure.reason
    assert "learning_rate is 1e+30" in failure.reason


def test_a_failing_trajectory_leaves_the_stack_and_its_neighbours_unharmed(make, digits, monkeypatch):
    import lthray.trajectory

    good, bad = make(seed=0), make(seed=1)
    alone = results([good], digits)
    evaluate = lthray.trajectory.evaluate

    def poisoned(weights, specs, splits, number, iteration):
        if number == 1 and iteration == 20 and len(specs) == 2:
            for weight in weights:
                weight[1].fill_(torch.nan)
        return evaluate(weights, specs, splits, number, iteration)

    monkeypatch.setattr(lthray.trajectory, "evaluate", poisoned)
    found = [one for stack in run([good, bad], digits) for one in stack]
    failures = [one for one in found if isinstance(one, Failure)]
    assert [(one.spec, one.round) for one in failures] == [(bad, 1)]
    assert "between iterations 0 and 20" in failures[0].reason
    finished = [one for one in found if isinstance(one, RoundResult)]
    assert [(one.spec.seed, one.round, one.stack) for one in finished] == [(0, 0, 2), (1, 0, 2), (0, 1, 2), (0, 2, 1)]
    for one in finished:
        if one.spec == good:
            expected = alone[good.trajectory_id, one.round]
            assert [row.loss for row in one.curves] == pytest.approx([row.loss for row in expected.curves], rel=1e-3)
