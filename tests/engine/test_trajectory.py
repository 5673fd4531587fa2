"""The rounds of a stack: starts, tickets, early stopping, continuing, failing."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.recorder import early_stopping_iteration
from lthray.engine.results import CurveRow, Failure, Resume, RoundResult
from lthray.engine.training import mean_gradient
from lthray.engine.trajectory import run
from lthray.methods.attacks import Attack
from lthray.methods.criteria import CRITERIA
from lthray.methods.strategies import STRATEGIES, TRANSFER
from tests.helpers import plain, same, totals

THREE = ("reset", "random", "continued")


def results(specs, digits, *arguments) -> dict[tuple[str, int], RoundResult]:
    found = [one for stack in run(specs, digits, *arguments) for one in stack]
    return {(one.spec.trajectory_id, one.round): one for one in found}


def test_every_round_leaves_the_weights_that_the_rule_leaves(make, digits):
    specs = [make(strategy=strategy, train_attack="fgsm") for strategy in THREE]
    found = results(specs, digits)
    for spec in specs:
        for number, count in enumerate(totals(spec.weights_left())):
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
    import lthray.engine.trajectory

    seen, train = [], lthray.engine.trajectory.train
    monkeypatch.setattr(
        lthray.engine.trajectory,
        "train",
        lambda start, *rest: (seen.append([w[0].clone() for w in start.weights]), train(start, *rest))[1],
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


SETTINGS = [
    *({"strategy": strategy} for strategy in STRATEGIES if strategy != TRANSFER),  # which tests/test_sources.py tests
    {"rewind_to": "end-of-round-0"},
    {"rewind_to": "iteration:7"},
    {"strategy": "shuffled", "prune": {"schedule": "one-shot"}},
    {"strategy": "continued", "rewind_to": "iteration:7", "prune": {"schedule": "one-shot"}},
    {"prune": {"scope": "global", "rate": 0.3}},
    *({"prune": {"criterion": criterion}} for criterion in CRITERIA),
    {"prune": {"criterion": "adversarial-gradient", "schedule": "one-shot", "scope": "global"}},
    {"prune": {"criterion": "random", "schedule": "one-shot"}},
    {"prune": {"structure": {"kind": "n-of-m"}, "criterion": "learned"}},
    {"prune": {"structure": {"kind": "units"}, "schedule": "one-shot"}},
    {"strategy": "continued", "retrain": {"iterations": 5, "train_attack": "pgd"}},
]


@pytest.mark.parametrize("fields", SETTINGS)
def test_a_trajectory_continued_from_its_tickets_is_the_same(fields, make, digits):
    """After either round, and with a neighbour, bit for bit."""
    spec, neighbour = make(train_attack="fgsm", **fields), make(train_attack="fgsm", **fields, seed=9)
    whole = results([spec], digits)
    rounds = [whole[spec.trajectory_id, number] for number in range(3)]
    dense = rounds[0].ticket if spec.needs_dense_ticket else None
    for done in (1, 2):
        resume = Resume(rounds[done - 1].ticket, dense, rounds[0].rewound)
        rest = results([spec], digits, done, [resume])
        assert list(rest) == [(spec.trajectory_id, number) for number in range(done, 3)]
        assert all(same(rest[spec.trajectory_id, number], rounds[number]) for number in range(done, 3))
    among = results([neighbour, spec], digits)
    assert all(same(among[spec.trajectory_id, number], rounds[number]) for number in range(3))


def kept(result: RoundResult) -> torch.Tensor:
    """A round's masks, one behind the other."""
    return torch.cat([torch.tensor(mask).bool().flatten() for mask in result.ticket.masks.values()])


def flat(result: RoundResult) -> torch.Tensor:
    return torch.cat([torch.tensor(weight).flatten() for weight in result.ticket.weights.values()])


@pytest.mark.parametrize(("train_attack", "at"), [("none", 7), ("pgd", 20)])
def test_late_rewinding_starts_where_a_round_0_of_so_many_iterations_ends(train_attack, at, make, digits, monkeypatch):
    """Neighbours that rewind to elsewhere, or nowhere, change nothing; nor does an evaluation at that iteration."""
    fields = {"train_attack": train_attack, "pgd": {"steps": 2}, "seed": 5}
    spec = make(**fields, rewind_to=f"iteration:{at}")
    early = next(iter(results([make(**fields, rounds=0, iterations=at)], digits).values())).ticket
    if train_attack == "none":
        initial = glorot_uniform(list(spec.layer_sizes.values()), generator(5, Draw.INIT))
        ones = [torch.ones_like(weight, dtype=torch.bool)[None] for weight in initial]
        loop = plain(make(**fields, iterations=at), [weight[None] for weight in initial], ones, digits.train, 0)
        for weight, one in zip(early.weights.values(), loop, strict=True):
            torch.testing.assert_close(torch.tensor(weight), one.detach(), rtol=0, atol=1e-5)
    stack = [make(**fields), spec, make(**fields, rewind_to="iteration:11"), make(**fields, strategy="random")]
    seen, found = starts([spec], digits, monkeypatch)
    among = results(stack, digits)
    for number in (1, 2):
        one = found[spec.trajectory_id, number]
        for weight, name in zip(seen[number], one.ticket.masks, strict=True):
            assert np.array_equal(weight.numpy(), early.weights[name] * one.ticket.masks[name])
        assert same(among[spec.trajectory_id, number], one)
    dense, other = found[spec.trajectory_id, 0], among[stack[0].trajectory_id, 0]
    assert same(replace(dense, spec=stack[0]), other)
    assert [row.iteration for row in dense.curves] == [row.iteration for row in other.curves]


def test_global_pruning_keeps_the_largest_of_all_that_remained(make, digits):
    spec = make(prune={"scope": "global", "rate": 0.5})
    found = [results([spec], digits)[spec.trajectory_id, number] for number in range(3)]
    assert [one.weights_remaining_count for one in found] == [50_200, 25_100, 12_550]
    for before, now in itertools.pairwise(found):
        sizes = flat(before).abs()
        largest = sorted(sizes[kept(before)].tolist(), reverse=True)
        assert torch.equal(kept(now), kept(before) & (sizes >= largest[now.weights_remaining_count - 1]))
    shares = [mask.mean() for mask in found[2].ticket.masks.values()]
    assert max(shares) - min(shares) > 0.1


def test_a_layer_that_global_pruning_empties_fails_its_trajectory_alone(make, digits, monkeypatch):
    """Without a gradient, as with most hidden units dead, scores say nothing of a layer."""

    def of_little_worth(net):
        return tuple(torch.full_like(weight, 0.5 * place) for place, weight in enumerate(net.weights))

    monkeypatch.setitem(CRITERIA, "random", of_little_worth)
    fields = {"prune": {"criterion": "random", "scope": "global", "rate": 0.4}}
    rounds = list(run([make(**fields, seed=seed) for seed in (0, 1)], digits))
    assert [[type(one) for one in stack] for stack in rounds] == [[RoundResult] * 2, [Failure] * 2]
    assert [(one.round, one.reason) for one in rounds[1]] == [
        (1, "prune.scope global took the last weight of hidden_1")
    ] * 2


@pytest.mark.parametrize("scope", [{}, {"scope": "global", "rate": 0.25}])
def test_one_shot_prunes_the_dense_network_to_what_iterative_pruning_leaves(scope, make, digits, monkeypatch):
    once, often = (make(prune=scope | {"schedule": schedule}, rounds=3) for schedule in ("one-shot", "iterative"))
    seen, found = starts([once], digits, monkeypatch)
    found |= results([often], digits)
    dense = found[once.trajectory_id, 0]
    assert same(replace(dense, spec=often), found[often.trajectory_id, 0])
    for number in (1, 2, 3):
        one, other = found[once.trajectory_id, number], found[often.trajectory_id, number]
        assert one.weights_remaining_count == other.weights_remaining_count
        for mask, weight in zip(one.ticket.masks.values(), dense.ticket.weights.values(), strict=True):
            largest = np.sort(np.abs(weight).ravel())[::-1][int(mask.sum()) - 1]
            assert np.array_equal(mask, np.abs(weight) >= largest)
        assert (number == 1) == torch.equal(kept(one), kept(other))
    initial = glorot_uniform(list(once.layer_sizes.values()), generator(0, Draw.INIT))
    masks = found[once.trajectory_id, 3].ticket.masks.values()
    assert all(torch.equal(w, i * torch.tensor(m)) for w, i, m in zip(seen[3], initial, masks, strict=True))


def test_one_shot_continued_starts_from_the_dense_network(make, digits, monkeypatch):
    spec = make(strategy="continued", prune={"schedule": "one-shot"})
    seen, found = starts([spec], digits, monkeypatch)
    dense, masks = found[spec.trajectory_id, 0].ticket.weights, found[spec.trajectory_id, 2].ticket.masks
    for weight, name in zip(seen[2], masks, strict=True):
        assert np.array_equal(weight.numpy(), dense[name] * masks[name])


@pytest.mark.parametrize("strategy", ["reset", "continued"])
def test_retraining_is_shorter_and_against_another_attack_than_round_0(strategy, make, digits, monkeypatch):
    spec = make(train_attack="fgsm", strategy=strategy, retrain={"iterations": 5, "train_attack": "none"}, seed=3)
    seen, found = starts([spec], digits, monkeypatch)
    dense = results([make(train_attack="fgsm", rounds=0, seed=3)], digits)
    assert same(replace(found[spec.trajectory_id, 0], spec=None), replace(*dense.values(), spec=None))
    for number in (1, 2):
        one = found[spec.trajectory_id, number]
        masks = [torch.tensor(mask).bool()[None] for mask in one.ticket.masks.values()]
        hand = plain(make(iterations=5, seed=3), [weight[None] for weight in seen[number]], masks, digits.train, number)
        for weight, other in zip(one.ticket.weights.values(), hand, strict=True):
            torch.testing.assert_close(torch.tensor(weight), other, rtol=0, atol=1e-5)
        assert (one.iterations, [row.iteration for row in one.curves]) == (5, [0] * 4 + [5] * 4)
        assert {str(row.attack) for row in one.curves} == {"none", "fgsm"}


def test_pruning_without_retraining_leaves_what_round_0_trained(make, digits):
    spec = make(strategy="continued", retrain={"iterations": 0})
    found = results([spec], digits)
    dense = found[spec.trajectory_id, 0].ticket.weights
    for number in (1, 2):
        one = found[spec.trajectory_id, number]
        for name, mask in one.ticket.masks.items():
            assert np.array_equal(one.ticket.weights[name], dense[name] * mask)
        assert {row.iteration for row in one.curves} == {0} == {one.early_stopping_iteration}
        assert one.weights_remaining_count == totals(spec.weights_left())[number]


@pytest.mark.parametrize("train_attack", ["none", "fgsm"])
@pytest.mark.parametrize("criterion", ["gradient", "adversarial-gradient"])
def test_gradient_criteria_score_the_network_that_was_trained(criterion, train_attack, make, digits):
    """`adversarial-gradient` follows the train attack, or PGD where there is none."""
    spec = make(train_attack=train_attack, pgd={"steps": 2}, prune={"criterion": criterion})
    found = results([spec], digits)
    attack = "none" if criterion == "gradient" else {"none": "pgd", "fgsm": "fgsm"}[train_attack]
    for number in (0, 1):
        before, now = found[spec.trajectory_id, number].ticket, found[spec.trajectory_id, number + 1].ticket
        weights = tuple(torch.tensor(weight) for weight in before.weights.values())
        slopes = mean_gradient(weights, digits.train, spec, attack, number)
        for weight, slope, old, new in zip(weights, slopes, before.masks.values(), now.masks.values(), strict=True):
            score = (weight * slope).abs().numpy()
            gone = (old == 1) & (new == 0)
            assert gone.any()
            assert score[gone].max() <= score[new == 1].min()


def test_random_pruning_is_uniform_and_another_for_every_seed_and_round(make, digits):
    specs = [make(prune={"criterion": "random"}, seed=seed) for seed in (0, 1)]
    found = results(specs, digits)
    one, other = (kept(found[spec.trajectory_id, 1]) for spec in specs)
    assert not torch.equal(one, other)
    weights = flat(found[specs[0].trajectory_id, 0]).abs()
    # 10,000 weights pruned of 50,200: their mean magnitude is that of all within 5 standard errors
    error = weights.std() / (~one).sum() ** 0.5
    assert abs(weights[~one].mean() - weights.mean()) < 5 * error
    second = kept(found[specs[0].trajectory_id, 2])
    assert not (second & ~one).any()


def test_kept_signs_are_the_new_draw_of_random_with_the_signs_of_theta_0(make, digits, monkeypatch):
    seen, found = starts([make(strategy="kept-signs")], digits, monkeypatch)
    drawn = [glorot_uniform(list(make().layer_sizes.values()), generator(0, Draw.RANDOM_START, n)) for n in (1, 2)]
    initial = glorot_uniform(list(make().layer_sizes.values()), generator(0, Draw.INIT))
    for number, new in enumerate(drawn, start=1):
        masks = found[make(strategy="kept-signs").trajectory_id, number].ticket.masks.values()
        for weight, magnitude, sign, mask in zip(seen[number], new, initial, masks, strict=True):
            assert torch.equal(weight, magnitude.abs() * sign.sign() * torch.tensor(mask))


@pytest.mark.parametrize("prune", [{}, {"schedule": "one-shot"}, {"scope": "global"}])
def test_shuffled_masks_keep_the_counts_of_their_layers_and_nothing_else(prune, make, digits, monkeypatch):
    reset, shuffled = make(prune=prune), make(strategy="shuffled", prune=prune)
    found = results([reset], digits)
    seen, other = starts([shuffled], digits, monkeypatch)
    one, two = found[reset.trajectory_id, 1], other[shuffled.trajectory_id, 1]
    for a, b, dense in zip(
        one.ticket.masks.values(), two.ticket.masks.values(), one.ticket.weights.values(), strict=True
    ):
        assert a.sum() == b.sum() < dense.size
        both, expected = (a & b).sum() / a.size, (a.sum() / a.size) ** 2
        assert abs(both - expected) < 5 * (expected * (1 - expected) / a.size) ** 0.5  # as independent masks do
    assert not (kept(other[shuffled.trajectory_id, 2]) & ~kept(two)).any()
    initial = glorot_uniform(list(reset.layer_sizes.values()), generator(0, Draw.INIT))
    masks = other[shuffled.trajectory_id, 2].ticket.masks.values()
    assert all(torch.equal(w, i * torch.tensor(m)) for w, i, m in zip(seen[2], initial, masks, strict=True))


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
    return CurveRow(iteration, iteration, split, Attack(attack), loss, 0.5, None)


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
    import lthray.engine.recorder

    good, bad = make(seed=0), make(seed=1)
    alone = results([good], digits)
    evaluate = lthray.engine.recorder.evaluate

    def poisoned(weights, specs, splits, number, iteration):
        if number == 1 and iteration == 20 and len(specs) == 2:
            for weight in weights:
                weight[1].fill_(torch.nan)
        return evaluate(weights, specs, splits, number, iteration)

    monkeypatch.setattr(lthray.engine.recorder, "evaluate", poisoned)
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
