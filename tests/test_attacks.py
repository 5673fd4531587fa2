"""Attacks against hand-computed cases; docs and parity tests hold them against other libraries."""

import pytest
import torch
from torch.nn import functional as F

from lthray import attacks
from lthray.adversarial import attack_targets, perturb
from lthray.network import forward, glorot_uniform
from lthray.randomness import Draw, generator


def test_fgsm_by_hand():
    images = torch.tensor([[0.0, 0.5, 0.9, 0.2, 0.4]])
    gradient = torch.tensor([[-3.0, 1e-20, 2.0, -0.1, 0.0]])
    expected = torch.tensor([[0.0, 0.8, 1.0, 0.0, 0.4]])
    torch.testing.assert_close(attacks.fgsm(images, gradient, 0.3), expected)


def test_pgd_by_hand_projects_to_the_ball_and_to_the_pixels():
    images = torch.tensor([[0.5, 0.1, 0.95, 0.5]])
    slope = torch.tensor([[1.0, -1.0, 1.0, 0.0]])
    found = attacks.pgd(images, lambda _: slope, epsilon=0.1, steps=3, step_size=0.05, noise=None)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.0, 1.0, 0.5]]))


def test_pgd_starts_at_the_noise_and_clips_it():
    images = torch.tensor([[0.5, 0.05]])
    noise = torch.tensor([[0.1, -0.1]])
    found = attacks.pgd(images, torch.zeros_like, epsilon=0.1, steps=1, step_size=0.05, noise=noise)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.0]]))


def test_one_pgd_step_of_length_epsilon_without_noise_is_fgsm():
    torch.manual_seed(0)
    images, slope = torch.rand(5, 16), torch.randn(5, 16)
    one = attacks.pgd(images, lambda _: slope, epsilon=0.3, steps=1, step_size=0.3, noise=None)
    torch.testing.assert_close(one, attacks.fgsm(images, slope, 0.3), atol=1e-7, rtol=0)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("label", ["predicted", "ground-truth"])
def test_perturb_moves_away_from_the_label_that_was_asked_for(attack, label, make, digits):
    spec = make(train_attack=attack, attack_label=label, epsilon=0.1, pgd={"random_start": False})
    weights = tuple(w[None] for w in glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT)))
    images, labels = digits.test.images[:100], digits.test.labels[:100]
    natural = forward(weights, images)
    found = perturb(
        attack,
        spec,
        weights,
        natural,
        attack_targets(spec.attack_label, natural[-1], labels),
        [generator(0, Draw.EVAL_ATTACK)],
    )

    target = natural[-1].argmax(-1)[0] if label == "predicted" else labels

    def loss(x):
        return F.cross_entropy(forward(weights, x)[-1][0], target)

    assert found.shape == (1, 100, 64)
    assert (found - images).abs().max() <= 0.1 + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert loss(found[0]) > loss(images) + 0.05


def test_every_trajectory_has_its_own_random_start(make, digits):
    spec = make(train_attack="pgd", pgd={"steps": 1, "step_size": 0.0001})
    one = glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT))
    weights = tuple(torch.stack([w, w, w]) for w in one)
    images, labels = digits.test.images[:50], digits.test.labels[:50]
    natural = forward(weights, images)
    generators = [generator(seed, Draw.EVAL_ATTACK) for seed in (0, 1, 0)]
    found = perturb("pgd", spec, weights, natural, attack_targets(spec.attack_label, natural[-1], labels), generators)
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])
