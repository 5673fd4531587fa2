"""Masks: which weights go, and how many."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthray.engine.data import Split
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.training import learn, mean_gradient
from lthray.methods.criteria import CRITERIA, Trained, prune, prune_together


def test_the_smallest_scores_of_what_remains_go():
    score = torch.tensor([[0.1, 0.5, 0.3], [0.2, 0.0, 0.9]])
    mask = torch.tensor([[True, True, True], [True, False, True]])
    assert prune(score, mask, 3).tolist() == [[False, True, True], [False, False, True]]
    assert mask.sum() == 5  # the old mask stays as it was


def test_ties_are_broken_by_place_and_the_count_is_exact():
    score = torch.full((4, 5), 0.5)
    kept = prune(score, torch.ones_like(score, dtype=torch.bool), 15)
    assert kept.flatten().tolist() == [False] * 5 + [True] * 15


def test_a_weight_that_trained_to_zero_is_still_one_that_remains():
    score = torch.tensor([0.0, 0.0, 1.0, 2.0])
    mask = torch.tensor([False, True, True, True])
    assert prune(score, mask, 2).tolist() == [False, False, True, True]


def test_scores_that_are_not_finite_never_change_the_count():
    score = torch.tensor([0.0, torch.inf, torch.nan, 2.0, 1.0])
    mask = torch.tensor([False, True, True, True, True])
    assert prune(score, mask, 2).tolist() == [False, True, True, False, False]


def test_global_pruning_is_sorting_all_scores():
    torch.manual_seed(0)
    scores = [torch.rand(30, 40), torch.rand(20, 30) / 10, torch.rand(10, 20) * 3]
    masks = [torch.rand(score.shape) < 0.7 for score in scores]
    values = sorted(float(score) for one, mask in zip(scores, masks, strict=True) for score in one[mask])
    new = prune_together(scores, masks, len(values) - 500)
    for one, mask, kept in zip(scores, masks, new, strict=True):
        assert torch.equal(kept, mask & (one > values[499]))
    shares = [float(kept.sum() / mask.sum()) for kept, mask in zip(new, masks, strict=True)]
    assert max(shares) - min(shares) > 0.3  # layers of small scores lose more: the scope matters
    assert sum(int(kept.sum()) for kept in new) == len(values) - 500


def test_global_ties_go_by_the_order_of_layers():
    scores = (torch.full((2, 2), 0.5), torch.full((1, 3), 0.5))
    masks = tuple(torch.ones_like(one, dtype=torch.bool) for one in scores)
    first, second = prune_together(scores, masks, 2)
    assert first.tolist() == [[False, False], [False, False]]
    assert second.tolist() == [[False, True, True]]


def network(weights, **known) -> Trained:
    """A network of which a criterion may know only so much."""

    def unknown(*_: object) -> None:
        pytest.fail("the criterion uses what it has no need of")

    calls = dict.fromkeys(("gradient", "adversarial_gradient", "noise", "batch_gradient", "masks_from"), unknown)
    return Trained(weights, **calls | {"iterations": 100, "learning_rate": 0.1} | known)


def autograd(spec, weights, data, attack, noise):
    """The gradient of the mean loss over all of `data`, with nn.Linear, autograd and an attack in a loop."""
    layers = nn.ModuleList([nn.Linear(w.shape[1], w.shape[0], bias=False, dtype=w.dtype) for w in weights])
    for layer, w in zip(layers, weights, strict=True):
        layer.weight.data.copy_(w)

    def model(x):
        return layers[2](F.relu(layers[1](F.relu(layers[0](x)))))

    x, y = data.images, data.labels
    away = model(x).argmax(-1).detach() if spec.attack_label == "predicted" else y
    found = x
    for _ in range({"none": 0, "fgsm": 1, "pgd": spec.pgd.steps}[attack]):
        if found is x and attack == "pgd":
            found = (x + noise).clamp(0, 1)
        leaf = found.clone().requires_grad_()
        slope = torch.autograd.grad(F.cross_entropy(model(leaf), away, reduction="sum"), leaf)[0]
        size = spec.epsilon if attack == "fgsm" else spec.pgd.step_size
        found = torch.minimum(torch.maximum(found + size * slope.sign(), x - spec.epsilon), x + spec.epsilon)
        found = found.clamp(0, 1)
    F.cross_entropy(model(found), y, label_smoothing=spec.label_smoothing).backward()
    return [layer.weight.grad for layer in layers]


@pytest.mark.parametrize("attack_label", ["predicted", "ground-truth"])
@pytest.mark.parametrize("attack", ["none", "fgsm", "pgd"])
def test_gradient_scores_are_those_of_autograd(attack, attack_label, make, digits):
    """Over all 1,077 training images, which are more than two chunks of them; whatever the training's own weight."""
    spec = make(attack_label=attack_label, epsilon=0.1, adversarial_weight=0.25, seed=3)
    data = Split(digits.train.as_floats().images.double(), digits.train.labels)
    drawn = glorot_uniform(list(spec.layer_sizes.values()), generator(3, Draw.INIT))
    weights = tuple(w.double() * (torch.rand(w.shape, generator=generator(1, Draw.INIT)) < 0.5) for w in drawn)
    noise = torch.empty_like(data.images)
    draws = generator(3, Draw.CRITERION_ATTACK, 4)
    for chunk in noise.split(512):
        chunk.uniform_(-0.1, 0.1, generator=draws)
    expected = autograd(spec, weights, data, attack, noise)
    found = network(
        weights,
        gradient=lambda: mean_gradient(weights, data, spec, attack, 4),
        adversarial_gradient=lambda: mean_gradient(weights, data, spec, attack, 4),
    )
    for criterion in ("gradient", "adversarial-gradient"):
        for score, weight, slope in zip(CRITERIA[criterion](found), weights, expected, strict=True):
            assert score.max() > 1e-6
            torch.testing.assert_close(score, (weight * slope).abs(), rtol=1e-9, atol=1e-15)


def test_each_criterion_scores_by_its_own():
    net = network(
        (torch.tensor([[-2.0, 3.0]]),),
        gradient=lambda: (torch.tensor([[5.0, -1.0]]),),
        adversarial_gradient=lambda: (torch.tensor([[0.5, 7.0]]),),
        noise=lambda: (torch.tensor([[0.25, 0.75]]),),
        iterations=0,
    )
    assert {name: criterion(net)[0].tolist() for name, criterion in CRITERIA.items()} == {
        "magnitude": [[2.0, 3.0]],
        "random": [[0.25, 0.75]],
        "gradient": [[10.0, 3.0]],
        "adversarial-gradient": [[1.0, 21.0]],
        "learned": [[pytest.approx(3**0.5 * 2 / 3), pytest.approx(3**0.5)]],  # sqrt(6 / 2)·|w| / 3, where none learns
    }


class StraightThrough(torch.autograd.Function):
    """1 for the `keep` largest scores and 0 for the others, with the identity as its gradient."""

    @staticmethod
    def forward(ctx, score: Tensor, keep: int) -> Tensor:
        return (score >= score.flatten().sort(descending=True).values[keep - 1]).to(score.dtype)

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor, None]:
        return slope, None


@pytest.mark.parametrize("train_attack", ["none", "fgsm"])
def test_learned_scores_are_those_of_autograd_through_a_straight_through_mask(train_attack, make, digits):
    """Three steps of torch.optim.SGD with momentum on HYDRA's scores, in double precision."""
    spec = make(model="mlp", widths=[12], train_attack=train_attack, epsilon=0.1, seed=3)
    data = Split(digits.train.as_floats().images.double(), digits.train.labels)
    weights = tuple(w.double() for w in glorot_uniform(list(spec.layer_sizes.values()), generator(3, Draw.INIT)))
    keep = (300, 50)
    scores = [nn.Parameter((6 / w.shape[1]) ** 0.5 * w / w.abs().max()) for w in weights]
    sgd = torch.optim.SGD(scores, lr=0.5, momentum=0.9)
    order = torch.randperm(1_077, generator=generator(3, Draw.BATCHES, 2))

    def logits(images: Tensor, frozen: bool = False) -> Tensor:
        masks = [StraightThrough.apply(score.abs(), count) for score, count in zip(scores, keep, strict=True)]
        first, last = (w * (mask.detach() if frozen else mask) for w, mask in zip(weights, masks, strict=True))
        return F.linear(F.linear(images, first).relu(), last)

    for step in range(3):
        indices = order[step * 60 : (step + 1) * 60]
        images, labels = data.images[indices], data.labels[indices]
        loss = F.cross_entropy(logits(images), labels, label_smoothing=0.1)
        if train_attack == "fgsm":
            pixels = images.clone().requires_grad_()
            away = F.cross_entropy(logits(pixels, frozen=True), logits(images).argmax(-1), reduction="sum")
            (slope,) = torch.autograd.grad(away, pixels)
            attacked = (images + 0.1 * slope.sign()).clamp(0, 1)
            loss = (loss + F.cross_entropy(logits(attacked), labels, label_smoothing=0.1)) / 2
        sgd.zero_grad()
        loss.backward()
        sgd.step()

    masks = tuple(torch.ones_like(w, dtype=torch.bool) for w in weights)
    net = network(
        weights,
        batch_gradient=learn(weights, data, spec, 2),
        masks_from=lambda scores: tuple(map(prune, scores, masks, keep)),
        iterations=3,
        learning_rate=0.5,
    )
    found = CRITERIA["learned"](net)
    for score, expected, w in zip(found, scores, weights, strict=True):
        torch.testing.assert_close(score, expected.detach().abs(), rtol=1e-9, atol=1e-12)
        start = (6 / w.shape[1]) ** 0.5 * w / w.abs().max()
        assert ((score - start.abs()).abs() > 1e-4).float().mean() > 0.1  # they learned something
