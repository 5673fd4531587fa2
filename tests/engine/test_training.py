"""One round's training against a plain loop with autograd and nn.Linear."""

import itertools

import pytest
import torch

from lthray.engine.data import Split
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.state import begin_round
from lthray.engine.training import batches, train
from tests.helpers import CPU, plain


def start(spec, share: float = 1.0):
    weights = [w.double() for w in glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT))]
    masks = [torch.rand(w.shape, generator=generator(spec.seed, Draw.INIT, 1)) < share for w in weights]
    return tuple((w * m)[None] for w, m in zip(weights, masks, strict=True)), tuple(m[None] for m in masks)


@pytest.mark.parametrize("train_attack", ["none", "fgsm", "pgd"])
@pytest.mark.parametrize(("drop_last", "attack_label"), [(True, "predicted"), (False, "ground-truth")])
def test_a_round_is_the_same_as_a_plain_loop(train_attack, drop_last, attack_label, make, digits):
    """200 iterations in double precision, where rounding can't hide a difference."""
    spec = make(train_attack=train_attack, iterations=200, drop_last=drop_last, attack_label=attack_label)
    data = Split(digits.train.as_floats().images.double(), digits.train.labels)
    weights, masks = start(spec, 0.5)
    *_, last = train(begin_round(weights, [spec], 3), masks, [spec], data, 3)
    assert last.iteration == 200
    expected = plain(spec, weights, masks, data, 3)
    away = max((one[0] - other).abs().max().item() for one, other in zip(last.weights, expected, strict=True))
    print(f"train attack {train_attack}, {attack_label} labels: largest difference of a weight: {away:.2g}")
    assert away < 1e-8
    for one, mask in zip(last.weights, masks, strict=True):
        assert (one[~mask] == 0).all()


@pytest.mark.parametrize(("train_attack", "iterations"), [("none", 200), ("fgsm", 20), ("pgd", 20)])
def test_in_single_precision_a_round_is_a_plain_loop_within_rounding(train_attack, iterations, make, digits):
    """Rounding flips the sign of a gradient that is all but zero, and training carries that on: fewer iterations."""
    spec = make(train_attack=train_attack, iterations=iterations)
    weights, masks = start(spec, 0.5)
    weights = tuple(weight.float() for weight in weights)
    *_, last = train(begin_round(weights, [spec], 3), masks, [spec], digits.train, 3)
    expected = plain(spec, weights, masks, digits.train, 3)
    away = max(
        ((one[0] - other).norm() / other.norm()).item() for one, other in zip(last.weights, expected, strict=True)
    )
    print(f"train attack {train_attack}, {iterations} iterations in single precision: relative difference {away:.2g}")
    assert away < 0.005


def test_it_stops_to_be_read_at_the_evaluation_iterations_and_the_last(make, digits):
    spec = make(iterations=50, eval_every=20)
    weights, masks = start(spec)
    weights = tuple(w.float() for w in weights)
    begin = begin_round(weights, [spec], 0)
    seen = [(at.iteration, at.weights[0].clone()) for at in train(begin, masks, [spec], digits.train, 0)]
    assert [i for i, _ in seen] == [0, 20, 40, 50]
    assert torch.equal(seen[0][1], weights[0])
    assert all(not torch.equal(a[1], b[1]) for a, b in itertools.pairwise(seen))


def test_every_epoch_is_a_new_permutation_and_the_rest_is_dropped_or_small(make):
    spec = make(batch_size=100)
    indices = batches([spec], 0, CPU)
    epochs = [torch.cat([next(indices)[0] for _ in range(10)]) for _ in range(2)]
    assert [len(set(epoch.tolist())) for epoch in epochs] == [1_000, 1_000]
    assert not torch.equal(*epochs)

    spec = make(batch_size=100, drop_last=False)
    indices = batches([spec], 0, CPU)
    epoch = [next(indices)[0] for _ in range(11)]
    assert [len(batch) for batch in epoch] == [100] * 10 + [77]
    assert sorted(torch.cat(epoch).tolist()) == list(range(1_077))


def test_the_same_seed_has_the_same_batches_whatever_the_strategy_and_attack(make):
    first = next(batches([make(seed=5), make(seed=6)], 2, CPU))
    other = next(batches([make(seed=5, strategy="random", train_attack="pgd")], 2, CPU))
    assert torch.equal(first[0], other[0])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[0], next(batches([make(seed=5)], 3, CPU))[0])
