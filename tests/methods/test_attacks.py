"""Attacks against hand-computed cases; docs and parity tests hold them against other libraries."""

import re

import pytest
import torch
from torch.nn import functional as F

from lthray.engine.adversarial import attack_targets, perturb
from lthray.engine.differentiable import ClosedForm
from lthray.engine.network import forward, glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.trajectory import run
from lthray.methods import attacks
from lthray.spec.ways import why_not_kernels
from tests.helpers import ROOT


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
    images, labels = digits.test.as_floats().images[:100], digits.test.labels[:100]
    natural = forward(weights, images)
    found = perturb(
        spec.setting(attacks.Attack(attack)),
        ClosedForm(weights),
        images,
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
    images, labels = digits.test.as_floats().images[:50], digits.test.labels[:50]
    natural = forward(weights, images)
    generators = [generator(seed, Draw.EVAL_ATTACK) for seed in (0, 1, 0)]
    found = perturb(
        spec.setting(attacks.Attack("pgd")),
        ClosedForm(weights),
        images,
        attack_targets(spec.attack_label, natural[-1], labels),
        generators,
    )
    assert torch.equal(found[0], found[2])
    assert not torch.equal(found[0], found[1])


def test_fgsm_in_l2_by_hand():
    images = torch.tensor([[0.5, 0.5, 0.9], [0.2, 0.2, 0.2], [0.5, 0.5, 0.5]])
    gradient = torch.tensor([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [3e-30, 0.0, 4e-30]])
    expected = torch.tensor([[0.8, 0.1, 0.9], [0.2, 0.2, 0.2], [0.8, 0.5, 0.9]])
    torch.testing.assert_close(attacks.fgsm(images, gradient, 0.5, "l2"), expected)
    assert torch.equal(attacks.fgsm(images, gradient, 2.0, "l2")[0], torch.tensor([1.0, 0.0, 0.9]))


def test_pgd_in_l2_by_hand_projects_to_the_ball_and_then_to_the_pixels():
    """Steps of 0.5 along (0.6, 0.8): the ball ends at 0.7, the second image's second pixel at 1."""
    images = torch.tensor([[0.1, 0.1], [0.1, 0.9]])
    slope = torch.tensor([[3.0, 4.0], [3.0, 4.0]])
    found = attacks.pgd(images, lambda _: slope, epsilon=0.7, steps=2, step_size=0.5, noise=None, norm="l2")
    first = 0.1 + 0.7 * torch.tensor([0.6, 0.8])
    # after one step (0.4, 1.0); after two (0.7, 1.4), that is (0.6, 0.5) from the image, brought to length 0.7
    second = torch.tensor([0.1 + 0.6 * 0.7 / 0.61**0.5, 1.0])
    torch.testing.assert_close(found, torch.stack([first, second]))


def test_an_image_without_a_gradient_stays_at_its_start_in_l2():
    images = torch.rand(5, 16)
    found = attacks.pgd(images, torch.zeros_like, epsilon=0.3, steps=3, step_size=0.1, noise=None, norm="l2")
    assert torch.equal(found, images)


def test_a_restart_counts_where_it_fools_or_harms_more():
    targets = torch.tensor([[1.0, 0.0]]).expand(6, 2)
    before = torch.tensor([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0], [2.0, 0.0], [0.0, 2.0]])
    again = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 3.0], [0.0, 1.0], [3.0, 0.0], [9.0, 0.0]])
    assert attacks.stronger(again, before, targets).tolist() == [True, True, True, False, False, False]


def test_of_three_restarts_the_best_counts_image_by_image(make, digits):
    """Against each start by itself: its gradient steps, its logits, and the choice in a loop over images."""
    spec = make(epsilon=0.1, pgd={"steps": 2, "restarts": 3})
    weights = tuple(w[None].double() for w in glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT)))
    images, labels = digits.test.as_floats().images[:60].double(), digits.test.labels[:60]
    natural = forward(weights, images)
    away = attack_targets("predicted", natural[-1], labels)
    found = perturb(
        spec.setting(attacks.Attack("pgd")), ClosedForm(weights), images, away, [generator(3, Draw.EVAL_ATTACK)]
    )

    one, draws = make(epsilon=0.1, pgd={"steps": 2}), [generator(3, Draw.EVAL_ATTACK)]
    starts = [perturb(one.setting(attacks.Attack("pgd")), ClosedForm(weights), images, away, draws) for _ in range(3)]
    chosen = set()
    for i in range(60):
        target, scores = away[0, i].argmax(), []
        for start in starts:
            logits = forward(weights, start)[-1][0, i]
            scores.append((bool(logits.argmax() != target), F.cross_entropy(logits, target).item()))
        best = max(range(3), key=lambda k: scores[k])
        chosen.add(best)
        assert torch.equal(found[0, i], starts[best][0, i])
    assert chosen == {0, 1, 2}


def test_the_attack_of_contributing_trains_and_is_measured(make, digits, monkeypatch):
    """Its code as it stands there, with what the module has."""
    (code,) = re.findall(r"## A new attack.*?```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    module = dict(vars(attacks))
    exec(code.replace("{...,", "{**ATTACKS,"), module)
    assert attacks.ATTACKS.keys() ^ module["ATTACKS"].keys() == {"momentum"}
    monkeypatch.setitem(attacks.ATTACKS, "momentum", module["ATTACKS"]["momentum"])
    spec = make(
        train_attack="momentum",
        eval_attacks=["pgd", {"momentum": {"norm": "l2", "epsilon": 0.6, "step_size": 0.2}}],
        epsilon=0.2,
    )
    assert tuple(map(str, spec.eval_attacks)) == ("pgd", "momentum", "momentum(epsilon=0.6;norm=l2;step_size=0.2)")
    for (result,) in run([spec], digits):
        natural, *attacked = (
            result.row(attack, "test", 40).accuracy for attack in (attacks.NATURAL, *spec.eval_attacks)
        )
        assert max(attacked) < natural - 0.1
    assert why_not_kernels(spec, training=True)
    assert [why_not_kernels(spec, attack) == "" for attack in spec.eval_attacks] == [True, False, False]
