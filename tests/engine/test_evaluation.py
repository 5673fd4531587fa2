"""Losses and accuracies against torch's own, on whole splits."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from lthray.engine.differentiable import ClosedForm
from lthray.engine.evaluation import dense_logits, evaluate, evaluate_ticket
from lthray.engine.network import forward, glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.trajectory import run
from lthray.methods.attacks import NATURAL, Attack
from lthray.spec.attack_settings import make as make_attack
from lthray.spec.attack_settings import parse


def networks(spec, seeds):
    drawn = [glorot_uniform(list(spec.layer_sizes.values()), generator(seed, Draw.INIT)) for seed in seeds]
    return tuple(torch.stack(layer) for layer in zip(*drawn, strict=True))


def test_natural_loss_and_accuracy_are_those_of_torch(make, digits):
    specs = [make(seed=0), make(seed=1)]
    weights = networks(specs[0], (0, 1))
    found = {
        (one.split, str(one.attack)): one
        for one in evaluate(weights, specs, {"validation": digits.validation, "test": digits.test}, 0, 0)
    }
    assert set(found) == {(split, attack) for split in ("validation", "test") for attack in ("none", "fgsm", "pgd")}
    for name, split, smoothing in (("validation", digits.validation, 0.1), ("test", digits.test, 0.0)):
        logits = forward(weights, split.as_floats().images)[-1]
        for i in range(2):
            expected = F.cross_entropy(logits[i], split.labels, label_smoothing=smoothing).item()
            assert found[name, "none"].loss[i] == pytest.approx(expected, rel=1e-5)
            accuracy = (logits[i].argmax(-1) == split.labels).double().mean().item()
            assert found[name, "none"].accuracy[i] == accuracy


def test_accuracy_is_scored_against_the_true_label_whatever_the_attack_moves_away_from(make, digits):
    """A network that knows nothing: moving away from the truth hurts, moving away from its own guess may help."""
    weights = networks(make(), (0,))

    def measured(label):
        specs = [make(epsilon=0.2, attack_label=label)]
        return {str(one.attack): one for one in evaluate(weights, specs, {"test": digits.test}, 0, 0)}

    truth, guess = measured("ground-truth"), measured("predicted")
    for attack in ("fgsm", "pgd"):
        assert truth[attack].loss[0] > truth["none"].loss[0]
        assert truth[attack].accuracy[0] < guess[attack].accuracy[0]


def test_random_starts_come_from_the_place_alone(make, digits):
    specs = [make(epsilon=0.2, eval_attacks=["pgd"], pgd={"steps": 1})]
    weights = networks(specs[0], (0,))

    def loss(round_, iteration):
        splits = {"validation": digits.validation, "test": digits.test}
        return [one.loss for one in evaluate(weights, specs, splits, round_, iteration) if one.attack == Attack("pgd")]

    assert loss(0, 0) == loss(0, 0)
    assert loss(0, 0) != loss(0, 500)
    assert loss(0, 0) != loss(1, 0)


def test_images_without_a_gradient_are_counted_for_each_network(make, digits):
    """One network of the stack is dead for every image, one alive, one dead where the middle of the image is dark."""
    specs = [make(seed=seed) for seed in (0, 1, 2)]
    weights = tuple(w.clone() for w in networks(specs[0], (0, 1, 2)))
    weights[0][0] = -weights[0][0].abs()
    weights[0][2] = 0
    weights[0][2, :, 27] = 1
    found = {str(one.attack): one for one in evaluate(weights, specs, {"test": digits.test}, 0, 0)}
    dark = (digits.test.as_floats().images[:, 27] == 0).double().mean().item()
    assert 0 < dark < 1
    assert found["none"].zero_gradient_share is None
    for attack in ("fgsm", "pgd"):
        assert found[attack].zero_gradient_share == [1.0, 0.0, pytest.approx(dark)]
    # what can't be moved keeps its prediction
    assert found["fgsm"].accuracy[0] == found["none"].accuracy[0]


def test_the_rows_of_a_round_carry_the_audit(make, digits):
    ((result,),) = run([make(rounds=0, train_attack="pgd", pgd={"steps": 2})], digits)
    for row in result.curves:
        assert (row.zero_gradient_share is None) == (row.attack == NATURAL)
    assert result.row(Attack("pgd"), "test", 40).zero_gradient_share == 0.0


def test_a_batched_stack_has_the_logits_of_its_networks(make, digits):
    """A GPU takes the whole stack at once; in double precision it must agree with one network after the other."""
    specs = [make(seed=seed, pgd={"steps": 3}) for seed in (0, 1, 2)]
    weights = tuple(layer.double() for layer in networks(specs[0], (0, 1, 2)))
    images, labels = digits.test.as_floats().images[:100].double(), digits.test.labels[:100]

    def draws(some):
        return {attack: [generator(one.seed, Draw.EVAL_ATTACK) for one in some] for attack in specs[0].eval_attacks}

    stacked, without = dense_logits(ClosedForm(weights), specs[0], images, labels, draws(specs))
    for i, spec in enumerate(specs):
        alone, as_many = dense_logits(
            ClosedForm(tuple(layer[i] for layer in weights)), spec, images, labels, draws([spec])
        )
        assert stacked.keys() == alone.keys()
        for attack, logits in stacked.items():
            torch.testing.assert_close(logits[i], alone[attack], rtol=1e-9, atol=1e-9)
        assert {attack: counts[i] for attack, counts in without.items()} == as_many


def measured(weights, specs, digits, round_=0):
    found = evaluate(weights, specs, {"validation": digits.validation, "test": digits.test}, round_, 0)
    return {(one.split, str(one.attack)): one for one in found}


@pytest.mark.parametrize("round_", [0, 9])
def test_attacks_with_settings_change_nothing_of_the_others(round_, make, digits):
    """Neither in a dense round nor in a sparse one; in the latter those in L2 go the dense way beside."""
    weights = networks(make(), (0,))
    others = [{"pgd": {"steps": 3}}, {"pgd": {"norm": "l2"}}, {"fgsm": {"epsilon": 0.1}}, {"pgd": {"restarts": 2}}]
    alone = measured(weights, [make(epsilon=0.2)], digits, round_)
    beside = measured(weights, [make(epsilon=0.2, eval_attacks=["fgsm", "pgd", *others])], digits, round_)
    assert {name: beside[name] for name in alone} == alone
    assert len(beside) == len(alone) + 2 * len(others)
    fewer = measured(weights, [make(epsilon=0.2, eval_attacks=others[:1])], digits, round_)
    assert fewer["test", "pgd(steps=3)"] == beside["test", "pgd(steps=3)"]


def test_settings_make_the_attack_that_a_trajectory_with_them_has(make, digits):
    """Without random starts nothing hangs on the name."""
    still, weights = {"random_start": False}, networks(make(), (0,))
    fields = {"epsilon": 0.1, "steps": 4, "step_size": 0.03, "attack_label": "ground-truth", "norm": "l2"}
    one = measured(weights, [make(eval_attacks=[{"pgd": fields | still}, {"fgsm": {"epsilon": 0.1}}])], digits)
    pgd = make(
        eval_attacks=["pgd"], epsilon=0.1, attack_label="ground-truth", norm="l2",
        pgd={"steps": 4, "step_size": 0.03} | still,
    )  # fmt: skip
    other = measured(weights, [pgd], digits) | measured(weights, [make(eval_attacks=["fgsm"], epsilon=0.1)], digits)
    for split in ("validation", "test"):
        (full,) = (name for where, name in one if where == split and "steps" in name)
        for mine, theirs in ((full, "pgd"), ("fgsm(epsilon=0.1)", "fgsm")):
            assert one[split, mine].loss == other[split, theirs].loss
            assert one[split, mine].accuracy == other[split, theirs].accuracy


def test_zero_gradients_are_counted_away_from_the_label_that_the_attack_moves_away_from(make, digits):
    """A network so sure of its guesses that softmax is exact: no gradient away from them, but one from the truth."""
    spec = make(eval_attacks=["fgsm", {"fgsm": {"attack_label": "ground-truth"}}])
    weights = tuple(layer * 300 for layer in networks(spec, (0,)))
    found = measured(weights, [spec], digits)
    assert found["test", "fgsm"].zero_gradient_share[0] > 0.9
    assert found["test", "fgsm(attack_label=ground-truth)"].zero_gradient_share[0] < 0.2


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_more_restarts_and_more_steps_leave_no_more_accuracy(norm, make, digits):
    """On a trained network, with true labels; of 720 images four may be lost to the draw."""
    trained = make(train_attack="fgsm", rounds=0, iterations=150, eval_every=150, epsilon=0.1)
    ((result,),) = run([trained], digits)
    weights = tuple(torch.tensor(layer)[None] for layer in result.ticket.weights.values())
    size = {"linf": 0.02, "l2": 0.15}[norm]
    common = {
        "epsilon": {"linf": 0.1, "l2": 0.6}[norm],
        "norm": norm,
        "step_size": size,
        "attack_label": "ground-truth",
    }
    settings = [{"steps": 1}, {"steps": 4}, {"steps": 20}, {"steps": 20, "restarts": 3}, {"steps": 20, "restarts": 9}]
    names = [str(make_attack("pgd", common | one)) for one in settings]
    for round_ in (0, 9):
        found = measured(weights, [make(eval_attacks=names)], digits, round_)
        means = [(found["validation", name].accuracy[0] + found["test", name].accuracy[0]) / 2 for name in names]
        assert all(after <= before + 4 / 720 for before, after in itertools.pairwise(means))
        assert means[-1] < means[0] - 0.02


def test_a_measured_ticket_draws_by_its_place_and_the_name(make, digits):
    spec, weights = make(epsilon=0.1), tuple(layer[0] for layer in networks(make(), (0,)))

    def loss(attack, round_, split="test", seed=0):
        one = spec.model_copy(update={"seed": seed})
        return evaluate_ticket(weights, one, digits.test, split, parse(attack), round_)[1].loss

    assert loss("pgd", 1) == loss("pgd", 1)
    others = [loss("pgd(steps=10)", 1), loss("pgd", 2), loss("pgd", 1, seed=1)]
    assert loss("pgd", 1) not in others
    assert len({tuple(one) for one in others}) == 3
    natural, _ = evaluate_ticket(weights, spec, digits.test, "test", Attack("pgd"), 0)
    assert natural.loss == measured(tuple(layer[None] for layer in weights), [spec], digits)["test", "none"].loss
