"""Losses and accuracies against torch's own, on whole splits."""

import pytest
import torch
from torch.nn import functional as F

from lthray.evaluation import dense_logits, evaluate
from lthray.network import forward, glorot_uniform
from lthray.randomness import Draw, generator


def networks(spec, seeds):
    drawn = [glorot_uniform(list(spec.layer_sizes.values()), generator(seed, Draw.INIT)) for seed in seeds]
    return tuple(torch.stack(layer) for layer in zip(*drawn, strict=True))


def test_natural_loss_and_accuracy_are_those_of_torch(make, digits):
    specs = [make(seed=0), make(seed=1)]
    weights = networks(specs[0], (0, 1))
    found = {
        (one.split, one.attack): one
        for one in evaluate(weights, specs, {"validation": digits.validation, "test": digits.test}, 0, 0)
    }
    assert set(found) == {(split, attack) for split in ("validation", "test") for attack in ("none", "fgsm", "pgd")}
    for name, split, smoothing in (("validation", digits.validation, 0.1), ("test", digits.test, 0.0)):
        logits = forward(weights, split.images)[-1]
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
        return {one.attack: one for one in evaluate(weights, specs, {"test": digits.test}, 0, 0)}

    truth, guess = measured("ground-truth"), measured("predicted")
    for attack in ("fgsm", "pgd"):
        assert truth[attack].loss[0] > truth["none"].loss[0]
        assert truth[attack].accuracy[0] < guess[attack].accuracy[0]


def test_random_starts_come_from_the_place_alone(make, digits):
    specs = [make(epsilon=0.2, eval_attacks=["pgd"], pgd={"steps": 1})]
    weights = networks(specs[0], (0,))

    def loss(round_, iteration):
        splits = {"validation": digits.validation, "test": digits.test}
        return [one.loss for one in evaluate(weights, specs, splits, round_, iteration) if one.attack == "pgd"]

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
    found = {one.attack: one for one in evaluate(weights, specs, {"test": digits.test}, 0, 0)}
    dark = (digits.test.images[:, 27] == 0).double().mean().item()
    assert 0 < dark < 1
    assert found["none"].zero_gradient_share is None
    for attack in ("fgsm", "pgd"):
        assert found[attack].zero_gradient_share == [1.0, 0.0, pytest.approx(dark)]
    # what can't be moved keeps its prediction
    assert found["fgsm"].accuracy[0] == found["none"].accuracy[0]


def test_the_rows_of_a_round_carry_the_audit(make, digits):
    from lthray.trajectory import run

    ((result,),) = run([make(rounds=0, train_attack="pgd", pgd={"steps": 2})], digits)
    for row in result.curves:
        assert (row.zero_gradient_share is None) == (row.attack == "none")
    assert result.row("pgd", "test", 40).zero_gradient_share == 0.0


def test_a_batched_stack_has_the_logits_of_its_networks(make, digits):
    """A GPU takes the whole stack at once; in double precision it must agree with one network after the other."""
    specs = [make(seed=seed, pgd={"steps": 3}) for seed in (0, 1, 2)]
    weights = tuple(layer.double() for layer in networks(specs[0], (0, 1, 2)))
    images, labels = digits.test.images[:100].double(), digits.test.labels[:100]

    def draws(some):
        return {attack: [generator(one.seed, Draw.EVAL_ATTACK) for one in some] for attack in ("fgsm", "pgd")}

    stacked, without = dense_logits(weights, specs[0], images, labels, draws(specs))
    for i, spec in enumerate(specs):
        alone, as_many = dense_logits(tuple(layer[i] for layer in weights), spec, images, labels, draws([spec]))
        for one, other in zip(stacked, alone, strict=True):
            torch.testing.assert_close(one[i], other, rtol=1e-9, atol=1e-9)
        assert [counts[i] for counts in without] == as_many
