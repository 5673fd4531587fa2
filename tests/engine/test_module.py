"""Torch modules: the rows of closed forms, the steps of a plain loop, tickets, checkpoints, and what is refused."""

import itertools
import json

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from upath import UPath

from lthray.engine.module import build_module, describe_tensors
from lthray.engine.randomness import Draw, seed_of
from lthray.engine.training import batches
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods import networks
from lthray.methods.datasets import DATASETS, DatasetFacts
from lthray.spec.arguments import thaw
from lthray.spec.own import layout
from lthray.store import checkpoints
from lthray.store.folder import Store
from tests.helpers import CPU, same

DIGITS = DATASETS["digits-8x8"]
MLP, SMALL = "tests.engine.own_networks:Mlp", "tests.engine.own_networks:Small"


def own(model, **arguments) -> dict:
    """The fields of a trajectory with this network."""
    tensors = describe_tensors(build_module(model, arguments, DIGITS, "", 0), model)
    return {"model": model, "model_args": arguments, "own": {"tensors": json.dumps(tensors)}}


def rounds(spec, digits, **options):
    return [result for stack in run([spec], digits, **options) for result in stack]


@pytest.mark.parametrize(
    "fields",
    [
        {"train_attack": "pgd", "pgd": {"steps": 3}},
        {"train_attack": "fgsm", "strategy": "continued", "attack_label": "ground-truth"},
        {"strategy": "random", "prune": {"criterion": "gradient"}},
        {"train_attack": "fgsm", "prune": {"scope": "global", "except": ["output"]}, "norm": "l2", "epsilon": 1.5},
    ],
    ids=["pgd", "fgsm", "natural", "l2"],
)
def test_mlp_as_a_module_has_the_rows_of_mlp(fields, make, digits):
    """Within rounding: both start from the same weights and see the same batches, attacks and prunings."""
    fields = {"iterations": 20, "eval_every": 10} | fields
    closed = rounds(make(model="mlp", widths=[30, 20], **fields), digits)
    module = rounds(make(**own(MLP, widths=[30, 20]), **fields), digits)
    for one, other in zip(module, closed, strict=True):
        assert one.weights_remaining_count == other.weights_remaining_count
        for a, b in zip(one.curves, other.curves, strict=True):
            assert (a.iteration, a.split, a.attack) == (b.iteration, b.split, b.attack)
            assert a.loss == pytest.approx(b.loss, abs=2e-3)
            assert a.accuracy == pytest.approx(b.accuracy, abs=0.01)
        for name, weight in one.ticket.weights.items():
            assert abs(weight - other.ticket.weights[name]).max() < 5e-3
        for name, mask in one.ticket.masks.items():
            assert (mask != other.ticket.masks[name]).mean() < 0.005


def test_all_tensors_of_a_module_are_rewound_drawn_anew_or_continued(make, digits):
    fields = {"iterations": 10, "eval_every": 10, "rounds": 1}
    ends = {
        strategy: [one.ticket for one in rounds(make(**own(SMALL), strategy=strategy, **fields), digits)]
        for strategy in ("reset", "random", "continued")
    }
    first, _ = ends["reset"]
    assert {*first.masks} == {"conv", "output"}
    assert {*first.weights} == {
        "conv", "output", "bn.weight", "bn.bias", "output.bias", "bn.running_mean", "bn.running_var",
        "bn.num_batches_tracked",
    }  # fmt: skip
    for dense, _ in ends.values():
        assert all((dense.weights[name] == tensor).all() for name, tensor in first.weights.items())
    tracked = {name: [int(one.weights["bn.num_batches_tracked"]) for one in two] for name, two in ends.items()}
    assert tracked == {"reset": [10, 10], "random": [10, 10], "continued": [10, 20]}
    retrained = [two[1].weights["output.bias"] for two in ends.values()]
    assert all((one != other).any() for one, other in itertools.combinations(retrained, 2))


def by_hand(spec, digits, steps):
    """The first steps of a natural training, as a loop on the module."""
    module = build_module(spec.model, thaw(spec.model_args), DIGITS, "", seed_of(spec.seed, Draw.INIT)).train()
    optimizer = torch.optim.Adam(module.parameters(), spec.learning_rate, eps=1e-7)
    for step, batch in zip(range(steps), batches([spec], 0, CPU), strict=False):
        images, labels = digits.train.batch(batch[0])
        torch.manual_seed(seed_of(spec.seed, Draw.MODULE, 0, step))
        optimizer.zero_grad()
        inputs = (images.view(-1, 1, 8, 8) - 0.3) / 0.2
        F.cross_entropy(module(inputs), labels, label_smoothing=spec.label_smoothing).backward()
        optimizer.step()
    return module, optimizer


@pytest.mark.parametrize("model", [SMALL, "resnet-20"])
def test_steps_are_those_of_a_plain_loop(model, make, digits):
    """Weights, running statistics and the optimizer's averages, with dropout and normalised images."""
    arguments = {"width": 4, "blocks": 1} if model == "resnet-20" else {}
    fields = {"rounds": 0, "iterations": 8, "eval_every": 4, "batch_size": 32}
    spec = make(**own(model, **arguments), normalize={"mean": [0.3], "std": [0.2]}, **fields)
    taken = []
    (result,) = rounds(spec, digits, observe=lambda progress: taken.append(progress.checkpoints()))
    (checkpoint,) = taken[-1]
    module, optimizer = by_hand(spec, digits, 8)
    states = {
        field: {name: optimizer.state[parameter][key].numpy() for name, parameter in module.named_parameters()}
        for field, key in (("mean", "exp_avg"), ("square", "exp_avg_sq"))
    }
    layers = {f"{layer}.weight": layer for layer in spec.layer_sizes}
    for name, tensor in module.state_dict().items():
        np.testing.assert_allclose(result.ticket.weights[layers.get(name, name)], tensor, atol=1e-5)
    for field, arrays in states.items():
        for name, array in arrays.items():
            np.testing.assert_allclose(getattr(checkpoint, field)[layers.get(name, name)], array, atol=1e-6)


def test_a_module_goes_on_from_a_checkpoint_and_in_a_stack_to_the_bit(make, digits, tmp_path):
    fields = own(SMALL) | {"train_attack": "pgd", "pgd": {"steps": 2}, "rewind_to": "iteration:10", "rounds": 1}
    specs = [make(**fields, seed=seed, end_attacks=["fgsm"]) for seed in (0, 1)]
    taken = []

    def watch(progress):
        if (progress.round, progress.iteration) == (0, 20):
            for checkpoint in progress.checkpoints():
                checkpoints.write(UPath(tmp_path / checkpoint.spec.trajectory_id), checkpoint)
                taken.append(checkpoints.read(UPath(tmp_path / checkpoint.spec.trajectory_id), checkpoint.spec, 0))

    together = [one for stack in run(specs, digits, observe=watch) for one in stack]
    alone = rounds(specs[1], digits)
    resumed = rounds(specs[1], digits, checkpoints=taken[1:])
    expected = [one for one in together if one.spec == specs[1]]
    for results in (alone, resumed):
        assert len(results) == 2
        assert all(same(one, other) for one, other in zip(results, expected, strict=True))


def test_a_trajectory_resumes_from_tickets_to_the_bit(make, digits, tmp_path):
    spec = make(**own(SMALL), strategy="continued", rounds=2, iterations=10, eval_every=10)
    store = Store(tmp_path)
    whole = rounds(spec, digits)
    for result in whole[:2]:
        store.write_round(result)
    resumed = rounds(spec, digits, first_round=2, resumes=[store.resume(spec)])
    assert same(resumed[0], whole[2])


def test_a_ticket_is_loaded_strictly_into_a_plain_module_with_the_accuracy_of_its_row(make, digits, tmp_path):
    spec = make(**own(SMALL), rounds=1, train_attack="fgsm")
    store = Store(tmp_path)
    for result in rounds(spec, digits):
        store.write_round(result)
    tensors = load_file(tmp_path / "tickets" / spec.trajectory_id / "round-01.safetensors")
    masks = {name: tensor for name, tensor in tensors.items() if name.endswith(".mask")}
    module = build_module(SMALL, {}, DIGITS, "", 5).eval()
    module.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in masks}, strict=True)
    assert {*masks} == {"conv.mask", "output.mask"}
    for name, mask in masks.items():
        assert mask.dtype == torch.uint8
        assert not tensors[name.replace("mask", "weight")][mask == 0].any()
    images = digits.test.as_floats().images.view(-1, 1, 8, 8)
    with torch.no_grad():
        accuracy = (module(images).argmax(1) == digits.test.labels).float().mean().item()
    row = pd.read_parquet(store.folder / "rounds").query("round == 1").iloc[0]
    assert row["final_none_accuracy_test"] == pytest.approx(accuracy, abs=1e-6)
    assert row["weights_remaining_count"] == sum(int(mask.sum()) for mask in masks.values())


def test_attacks_leave_the_running_statistics_alone_unless_the_module_trains_on_them(make, digits):
    fields = {"rounds": 0, "iterations": 5, "eval_every": 5, "train_attack": "pgd", "pgd": {"steps": 3}}
    tracked = {}
    for mode, weight in (("eval", 0.5), ("train", 0.5), ("eval", 1.0)):
        (result,) = rounds(make(**own(SMALL), attack_mode=mode, adversarial_weight=weight, **fields), digits)
        tracked[mode, weight] = int(result.ticket.weights["bn.num_batches_tracked"])
    # Natural and attacked images each pass once; an attack in training mode takes four more: its prediction and steps.
    assert tracked == {("eval", 0.5): 10, ("train", 0.5): 30, ("eval", 1.0): 5}


def test_what_keeps_its_weights_is_never_pruned_and_counts_as_remaining(make, digits):
    for scope in ("layerwise", "global"):
        fields = {"rounds": 2, "iterations": 5, "eval_every": 5}
        spec = make(**own(SMALL), prune={"scope": scope, "except": ["conv*"]}, **fields)
        for number, result in enumerate(rounds(spec, digits)):
            assert result.ticket.masks["conv"].all()
            assert result.weights_remaining_count == sum(spec.weights_left()[number].values())
            assert (result.weights_remaining < 1) == (number > 0)


class Tied(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Linear(64, 64, bias=False)
        self.other = torch.nn.Linear(64, 64, bias=False)
        self.other.weight = self.one.weight


@pytest.mark.parametrize(
    ("make_module", "line"),
    [
        (Tied, "other.weight is the same tensor as another parameter"),
        (torch.nn.BatchNorm2d, "takes|can't be called with"),
        (torch.nn.ReLU, "there is nothing to prune"),
        (dict, "returned dict, but it must return a torch.nn.Module"),
    ],
)
def test_networks_that_cannot_be_trained_are_refused(make_module, line, monkeypatch):
    monkeypatch.setattr("tests.engine.own_networks.Mlp", make_module)
    with pytest.raises(InputError, match=line):
        describe_tensors(build_module(MLP, {}, DIGITS, "", 0), MLP)


def test_a_module_that_returns_no_logits_is_refused(make, digits, monkeypatch):
    spec = make(**own(SMALL), rounds=0)
    monkeypatch.setattr("tests.engine.own_networks.Small.forward", lambda self, images: (images, images))
    with pytest.raises(InputError, match=r"returned tuple, but logits are a tensor \(360, 10\)"):
        rounds(spec, digits)


@pytest.mark.parametrize(
    ("model", "parameters", "prunable"),
    [("resnet-20", 269_722, 268_336), ("vgg-11-bn", 9_231_114, 9_222_848), ("conv-4", 2_425_930, 2_425_024)],
)
def test_the_networks_that_come_along_have_their_authors_sizes(model, parameters, prunable):
    """ResNet-20: 0.27 million (He et al. 2016, table 6). Conv-4: 2.4 million (Frankle and Carbin 2019, figure 2)."""
    data = DatasetFacts((3, 32, 32), 10, 1, None, 1, {})
    module = build_module(model, {}, data, "", 0)
    tensors = json.dumps(describe_tensors(module, model))
    assert sum(parameter.numel() for parameter in module.parameters()) == parameters
    assert sum(networks.weights(layout(tensors, ()).layers).values()) == prunable
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
