"""Losses and accuracies against torch's own, on whole splits."""

import pytest
import torch
from torch.nn import functional as F

from lthray.evaluation import evaluate
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
