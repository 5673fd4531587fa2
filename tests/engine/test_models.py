"""Whole trajectories of every network: each criterion and strategy, each way of training, files, and plain PyTorch."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from lthray.driver.planning import largest_memory
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import RoundResult
from lthray.engine.stack import StackTraining
from lthray.engine.tiled import UNITS, sparse_pays
from lthray.engine.training import DenseTraining
from lthray.engine.trajectory import run
from lthray.methods.criteria import CRITERIA
from lthray.methods.strategies import STRATEGIES, TRANSFER
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.ways import why_not_kernels
from tests.helpers import REMAINING, TINY, WHOLE, in_double, lthray, modules, same, trained

LENET_5 = {"model": "lenet-5"}
DEEP = {"model": "mlp", "widths": [40, 30, 20, 15]}
SHALLOW = {"model": "mlp", "widths": [30]}


def start(specs, share, dtype):
    """Weights and masks of a stack."""
    drawn = [glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT)) for spec in specs]
    weights = [torch.stack(layer).to(dtype) for layer in zip(*drawn, strict=True)]
    masks = tuple(torch.rand(weight.shape, generator=generator(7, Draw.INIT, 1)) < share for weight in weights)
    return tuple(w * m for w, m in zip(weights, masks, strict=True)), masks


@pytest.mark.parametrize("fields", [LENET_5, DEEP, SHALLOW], ids=str)
def test_every_way_of_training_leaves_the_same_weights(fields, make, digits):
    """In double precision, where no sign of a gradient hangs on rounding."""
    specs = [make(train_attack="pgd", pgd={"steps": 3}, seed=seed, **fields) for seed in (0, 1)]
    weights, masks = start(specs, 0.4, torch.float64)
    ways = (StackTraining, DenseTraining) if fields is LENET_5 else (StackTraining, DenseTraining, WHOLE, REMAINING)
    batched, *others = (trained(way, specs, weights, masks, in_double(digits.train), 15) for way in ways)
    for found in others:
        for one, other, mask in zip(found, batched, masks, strict=True):
            assert (one - other).abs().max() < 1e-9
            assert not one[~mask].any()
    assert all((one - other).abs().max() > 0.01 for one, other in zip(batched, weights, strict=True))


def test_a_convolutional_trajectory_of_a_stack_is_the_same_bit_for_bit_as_alone(make, digits):
    fields = {**LENET_5, "train_attack": "fgsm", "rounds": 1, "iterations": 10, "eval_every": 10}
    specs = [
        make(seed=seed, strategy=strategy, **fields) for seed, strategy in ((0, "reset"), (1, "random"), (1, "reset"))
    ]
    together = [one for stack in run(specs, digits) for one in stack]
    for spec in specs[1:2]:
        alone = [one for stack in run([spec], digits) for one in stack]
        mine = [one for one in together if one.spec == spec]
        assert len(mine) == len(alone) == 2
        assert all(same(one, other) for one, other in zip(mine, alone, strict=True))


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_convolutions_are_pruned_by_every_criterion_and_restarted_by_every_strategy(scope, make, digits):
    fields = {**LENET_5, "iterations": 3, "eval_every": 3, "rounds": 1, "eval_attacks": ["fgsm"], "pgd": {"steps": 1}}
    stacks = [[make(prune={"criterion": criterion, "scope": scope}, **fields)] for criterion in CRITERIA]
    alone = [strategy for strategy in STRATEGIES if strategy != TRANSFER]  # which tests/test_sources.py tests
    stacks.append([make(strategy=strategy, prune={"scope": scope}, **fields | {"rounds": 2}) for strategy in alone])
    found = [one for specs in stacks for stack in run(specs, digits) for one in stack]
    assert len(found) == 2 * len(CRITERIA) + 3 * len(alone)
    for one in found:
        assert isinstance(one, RoundResult)
        kept = {name: int(mask.sum()) for name, mask in one.ticket.masks.items()}
        assert one.spec.weights_left()[one.round] in (kept, {"all": sum(kept.values())})
        assert {name: mask.shape for name, mask in one.ticket.masks.items()} == one.spec.layer_sizes
        assert all(not one.ticket.weights[name][mask == 0].any() for name, mask in one.ticket.masks.items())


def test_remaining_weights_are_listed_of_networks_of_up_to_65_536_units(make):
    assert sparse_pays(make(rounds=12, **DEEP), 12, ["pgd"])
    assert sparse_pays(make(rounds=12), 12, ["pgd"])
    assert why_not_kernels(make(rounds=12, **LENET_5))
    most = UNITS - 64 - 10
    assert sparse_pays(make(rounds=12, model="mlp", widths=[most]), 12, ["pgd"])
    assert not sparse_pays(make(rounds=12, model="mlp", widths=[most + 1]), 12, ["pgd"])


def test_the_last_unit_that_has_a_number_is_computed_with(make, digits):
    """The largest network of which remaining weights are listed: no number of a unit runs over."""
    spec = make(model="mlp", widths=[UNITS - 64 - 10])
    weights, masks = start([spec], 0.01, torch.float32)
    found = [trained(way, [spec], weights, masks, digits.train, 2) for way in (DenseTraining, REMAINING)]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_hungriest_network_is_the_one_with_the_most_to_hold(make):
    small, convolutions = make(model="mlp", widths=[10]), make(**LENET_5)
    wide = make(model="mlp", widths=[20_000, 100])
    assert largest_memory([small, convolutions]) == convolutions
    assert largest_memory([convolutions, wide, small]) == wide
    assert largest_memory([small, make(model="mlp", widths=[10], batch_size=900)]).batch_size == 900
    assert largest_memory([small, make(model="mlp", widths=[10], train_attack="pgd")]).train_attack == "pgd"


@pytest.mark.slow
@pytest.mark.parametrize("fields", [LENET_5, DEEP], ids=str)
def test_a_sweep_s_tickets_have_the_recorded_accuracies_in_torch_s_own_modules(fields, tmp_path: Path, digits):
    """Through the command line and its files."""
    trajectory = TINY["trajectory"] | fields | {"iterations": 150, "eval_every": 50}
    path, out = tmp_path / "one.yaml", tmp_path / "results" / "tiny"
    path.write_text(yaml.safe_dump(TINY | {"trajectory": trajectory, "grid": {"seed": [0, 1]}}))
    process = lthray("sweep", path, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    rounds = pd.read_parquet(out / "rounds")
    assert len(rounds) == 6
    spec = TrajectorySpec.model_validate(trajectory)
    assert set(rounds["widths"]) == {"-".join(map(str, spec.widths))}
    for row in rounds.to_dict("records"):
        tensors = load_file(out / "tickets" / row["trajectory_id"] / f"round-{row['round']:02d}.safetensors")
        assert {name: tensor.shape for name, tensor in tensors.items() if name.endswith("weight")} == {
            f"{name}.weight": size for name, size in spec.layer_sizes.items()
        }
        module = modules(spec, [tensors[f"{name}.weight"] for name in spec.layer_sizes])
        found = (module(digits.test.as_floats().images).argmax(-1) == digits.test.labels).double().mean().item()
        assert found == pytest.approx(row["final_none_accuracy_test"], abs=0.003)  # one of 360 images
        assert found > 0.6
        counts = [int(tensor.sum()) for name, tensor in tensors.items() if name.endswith("mask")]
        assert sum(counts) == row["weights_remaining_count"]
        assert np.isclose(sum(counts) / sum(spec.weights_left()[0].values()), row["weights_remaining"])
    assert lthray("report", out, cwd=tmp_path).returncode == 0
