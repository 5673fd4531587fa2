"""Structures and learned scores in whole trajectories: which masks they leave, and that training agrees with them."""

import itertools
import json

import numpy as np
import pytest
import torch

from lthray.engine.module import build_module, describe_tensors, draw_module
from lthray.engine.network import glorot_uniform
from lthray.engine.pruning import prune_network
from lthray.engine.randomness import Draw, generator
from lthray.engine.training import DenseTraining, learn, mean_gradient
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.criteria import CRITERIA
from lthray.methods.datasets import DATASETS
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import REMAINING, WHOLE, same, trained

N_OF_M, UNITS = {"structure": {"kind": "n-of-m"}}, {"structure": {"kind": "units"}}


def module(name: str, **arguments) -> dict[str, object]:
    """The fields of a trajectory with a network of tests/engine/own_networks.py."""
    model = f"tests.engine.own_networks:{name}"
    tensors = describe_tensors(build_module(model, arguments, DATASETS["digits-8x8"], "", 0), model)
    return {"model": model, "model_args": arguments, "own": {"tensors": json.dumps(tensors)}}


def rounds(spec: TrajectorySpec, digits):
    return [result for stack in run([spec], digits) for result in stack]


def check_masks(results) -> list[dict[str, np.ndarray]]:
    """Checks that each round has the counts that the spec says, and prunes the round before; returns the masks."""
    masks = [result.ticket.masks for result in results]
    for number, (result, left) in enumerate(zip(results, results[0].spec.weights_left(), strict=True)):
        assert {name: int(mask.sum()) for name, mask in masks[number].items()} == left
        assert result.weights_remaining_count == sum(left.values())
        assert all(not result.ticket.weights[name][mask == 0].any() for name, mask in masks[number].items())
    for before, now in itertools.pairwise(masks):
        assert all((now[name] <= before[name]).all() for name in now)
    return masks


@pytest.mark.parametrize("fields", [{}, {"model": "lenet-5"}, {"prune": N_OF_M | {"schedule": "one-shot"}}], ids=str)
def test_n_of_m_keeps_the_largest_weights_of_each_group(fields, make, digits):
    spec = make(**{"prune": N_OF_M, "strategy": "continued"} | fields)
    results = rounds(spec, digits)
    masks = check_masks(results)
    trained_by = results[0 if spec.prune.schedule == "one-shot" else 1].ticket
    for name, mask in masks[2].items():
        rows, sizes = (
            torch.tensor(array).movedim(1, -1).flatten(1) for array in (mask, np.abs(trained_by.weights[name]))
        )
        for row, size in zip(rows, sizes, strict=True):
            for group, magnitudes in zip(row.split(4), size.split(4), strict=True):
                assert int(group.sum()) == min(2, len(group))
                assert sorted(magnitudes[group == 1].tolist()) == sorted(magnitudes.tolist())[-int(group.sum()) :]


@pytest.mark.parametrize("fields", [{"train_attack": "fgsm"}, {"model": "lenet-5"}, module("Small", maps=8)], ids=str)
def test_units_go_whole_by_the_norm_of_their_weights_but_for_those_of_the_output(fields, make, digits):
    rates = {"convolution": 0.4} if "model" in fields else {"hidden_1": 0.4, "hidden_2": 0.6}
    results = rounds(make(**fields, prune=UNITS | {"rates": rates}, strategy="continued"), digits)
    masks = check_masks(results)
    assert masks[2]["output"].all()
    for name in masks[2].keys() - {"output"}:
        for number in (1, 2):
            before, kept = masks[number - 1][name].reshape(len(masks[0][name]), -1), masks[number][name]
            units = kept.reshape(len(kept), -1)
            assert set(units.mean(1)) == {0, 1}
            norms = np.linalg.norm(results[number - 1].ticket.weights[name].reshape(len(kept), -1), axis=1)
            gone = before.any(1) & ~units.any(1)
            assert norms[gone].max() <= norms[units.any(1)].min()


def test_a_layer_that_is_kept_whole_has_no_groups(make, digits):
    results = rounds(make(prune=N_OF_M | {"except": ["output"]}), digits)
    assert check_masks(results)[2]["output"].all()


@pytest.mark.parametrize("kind", ["n-of-m", "units"])
def test_networks_pruned_by_structure_train_alike_in_every_way(kind, make, digits):
    """In double precision; of units, two thirds are gone, and their weights to the next layer are left."""
    rates = {} if kind == "n-of-m" else {"rates": {"hidden_1": 0.67, "hidden_2": 0.67}}
    sizes = {"n": 1, "m": 3} if kind == "n-of-m" else {}
    spec = make(train_attack="fgsm", prune={"structure": {"kind": kind, **sizes}} | rates)
    drawn = tuple(w.double() for w in glorot_uniform(list(spec.layer_sizes.values()), generator(1, Draw.INIT)))
    masks = tuple(torch.ones_like(w, dtype=torch.bool) for w in drawn)
    for number in (1, 2) if kind == "n-of-m" else (1,):
        masks = prune_network(spec, drawn, masks, number, number - 1, digits.train)
    start = tuple((w * mask)[None] for w, mask in zip(drawn, masks, strict=True))
    images = type(digits.train)(digits.train.as_floats().images.double(), digits.train.labels)
    expected, *others = (
        trained(way, [spec], start, [mask[None] for mask in masks], images, 30)
        for way in (DenseTraining, WHOLE, REMAINING)
    )
    for weights in others:
        for one, other, mask in zip(expected, weights, masks, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
            assert not other[0][~mask].any()


def loss_after_pruning(spec: TrajectorySpec, digits, attack: str) -> list[float]:
    """The validation loss at iteration 0 of each round after the first."""
    return [
        row.loss
        for result in rounds(spec, digits)[1:]
        for row in result.curves
        if (row.iteration, row.split, row.attack) == (0, "validation", attack)
    ]


RATES = {"rates": {"hidden_1": 0.7, "hidden_2": 0.7, "output": 0.5}}


@pytest.mark.parametrize(
    ("fields", "attack"),
    [
        ({"prune": RATES}, "none"),
        ({"prune": RATES, "train_attack": "pgd", "pgd": {"steps": 2}, "epsilon": 0.1}, "pgd"),
        ({"prune": {"scope": "global", "rate": 0.4}}, "none"),
        ({"prune": N_OF_M}, "none"),
        ({"prune": UNITS | {"rates": {"hidden_1": 0.6, "hidden_2": 0.6}}}, "none"),
        (module("Small", maps=8) | {"prune": {"rates": {"output": 0.7}}, "learning_rate": 0.01}, "none"),
    ],
    ids=["layerwise", "adversarial", "global", "n-of-m", "units", "module"],
)
def test_learned_scores_lose_less_than_random_ones(fields, attack, make, digits):
    """Right after each of two prunings, and the same again to the bit."""
    learned, random = (
        make(**fields | {"strategy": "continued", "prune": fields["prune"] | {"criterion": criterion}})
        for criterion in ("learned", "random")
    )
    losses = loss_after_pruning(learned, digits, attack)
    assert all(a < 0.9 * b for a, b in zip(losses, loss_after_pruning(random, digits, attack), strict=True))
    first, second = rounds(learned, digits), rounds(learned, digits)
    assert all(same(one, other) for one, other in zip(first, second, strict=True))
    if fields["prune"].get("scope") != "global":
        check_masks(first)


def test_learning_changes_no_tensor_of_a_module(make, digits):
    spec = make(**module("Small"), prune={"criterion": "learned", "learned": {"iterations": 3}})
    weights = draw_module(spec, generator(0, Draw.INIT))
    before = [tensor.clone() for tensor in weights]
    masks = tuple(torch.ones_like(weight, dtype=torch.bool) for weight in weights[:2])
    prune_network(spec, weights, masks, 1, 0, digits.train)
    assert all(torch.equal(one, other) for one, other in zip(weights, before, strict=True))


def test_a_batch_to_learn_from_is_that_of_the_iteration_whatever_came_before(make, digits):
    """Augmented and attacked from a random start."""
    spec = make(augment="crop-flip", train_attack="pgd", pgd={"steps": 2}, epsilon=0.1)
    weights = glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT))
    gradient = learn(weights, digits.train, spec, 1)
    first, second, again = (gradient(weights, iteration)[0] for iteration in (17, 18, 17))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)
    assert not torch.equal(first, learn(weights, digits.train, spec, 2)(weights, 17)[0])


def test_scores_of_other_shapes_are_refused(make, digits, monkeypatch):
    monkeypatch.setitem(CRITERIA, "random", lambda net: net.weights[:-1])
    with pytest.raises(InputError, match=r"prune\.criterion random: scores need the shapes of the 3 layers"):
        rounds(make(prune={"criterion": "random"}), digits)


def test_a_criterion_and_a_strategy_by_reference_prune_and_rewind_a_module(make, digits):
    """Retrained by no iteration, a ticket is the start of its round."""
    spec = make(
        **module("Small"),
        strategy="tests.engine.own_rules:rewind_layers",
        prune={"criterion": "tests.engine.own_rules:signed"},
        rounds=1,
        retrain={"iterations": 0},
    )
    dense, pruned = (result.ticket for result in rounds(spec, digits))
    initial = dict(zip(spec.tensor_sizes, draw_module(spec, generator(0, Draw.INIT)), strict=True))
    weights = tuple(map(torch.tensor, dense.weights.values()))
    slopes = mean_gradient(weights, digits.train, spec, "none", 0)
    for name, weight, slope in zip(spec.layer_sizes, weights, slopes, strict=False):
        mask = torch.tensor(pruned.masks[name]).bool()
        score = -weight * slope
        assert score[~mask].max() <= score[mask].min()
        assert np.array_equal(pruned.weights[name], initial[name] * mask)
    for name in ("bn.weight", "bn.running_mean", "output.bias"):
        assert np.array_equal(pruned.weights[name], dense.weights[name])
        assert not np.array_equal(pruned.weights[name], initial[name])
