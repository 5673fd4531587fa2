"""Optimizers and schedules: every way of training against torch.optim and its schedulers in a plain loop."""

import numpy as np
import pytest
import torch

from lthray.engine import optimizers
from lthray.engine.adam import zeros
from lthray.engine.network import cross_entropy, forward, glorot_uniform, one_hot
from lthray.engine.randomness import Draw, generator
from lthray.engine.schedules import learning_rates
from lthray.engine.stack import StackTraining
from lthray.engine.training import DenseTraining, batches
from lthray.engine.trajectory import run
from lthray.spec.ways import why_not_kernels
from tests.helpers import CPU, REMAINING, WHOLE, in_double, same, trained

SGD = {"name": "sgd", "momentum": 0.9}
SETTINGS = {
    "sgd": {"optimizer": {"name": "sgd"}, "learning_rate": 0.1},
    "momentum": {"optimizer": SGD, "learning_rate": 0.05},
    "momentum and decay": {"optimizer": SGD | {"weight_decay": 0.01}, "learning_rate": 0.05},
    "nesterov": {"optimizer": SGD | {"nesterov": True, "weight_decay": 0.01}, "learning_rate": 0.05},
    "adam": {},
    "adam in L2": {"optimizer": {"name": "adam", "weight_decay": 0.01}},
    "adamw": {"optimizer": {"name": "adamw", "weight_decay": 0.5}},
    "clipping": {"optimizer": {"name": "sgd", "clip_norm": 0.3}, "learning_rate": 0.1},
    "cosine": {"optimizer": SGD, "learning_rate": 0.05, "schedule": {"name": "cosine", "warmup": 4}},
    "step": {"optimizer": {"name": "adamw"}, "schedule": {"name": "step", "milestones": [0.25, 0.5], "gamma": 0.5}},
}


def torchs(spec, parameters):
    """torch's own optimizer and scheduler, as a researcher makes them."""
    fields, rate = spec.optimizer, spec.learning_rate
    decay = {"weight_decay": fields.weight_decay}
    if fields.name == "sgd":
        made = torch.optim.SGD(parameters, rate, fields.momentum, nesterov=fields.nesterov, **decay)
    else:
        made = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[fields.name](parameters, rate, eps=1e-7, **decay)
    schedulers = torch.optim.lr_scheduler
    if spec.schedule.name == "cosine":
        warm = schedulers.LinearLR(made, start_factor=1 / 4, total_iters=3)
        cosine = schedulers.CosineAnnealingLR(made, spec.iterations - 4)
        return made, schedulers.SequentialLR(made, [warm, cosine], [4])
    milestones = [round(share * spec.iterations) for share in spec.schedule.milestones]
    return made, schedulers.MultiStepLR(made, milestones, spec.schedule.gamma)


def by_hand(spec, weights, masks, data, steps):
    parameters = [weight[0].clone().requires_grad_() for weight in weights]
    optimizer, scheduler = torchs(spec, parameters)
    for _, batch in zip(range(steps), batches([spec], 1, CPU), strict=False):
        images, labels = data.batch(batch[0])
        logits = forward([parameter * mask[0] for parameter, mask in zip(parameters, masks, strict=True)], images)[-1]
        optimizer.zero_grad()
        cross_entropy(logits, one_hot(labels, logits, spec.label_smoothing)).mean().backward()
        if spec.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(parameters, spec.optimizer.clip_norm)
        optimizer.step()
        scheduler.step()
    return [parameter.detach() for parameter in parameters]


@pytest.mark.filterwarnings("ignore:.*epoch parameter in.*:UserWarning")
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize(
    "way", [StackTraining, DenseTraining, WHOLE, REMAINING], ids=["batched", "dense", "whole", "rest"]
)
def test_steps_are_those_of_torch(name, way, make, digits):
    spec = make(iterations=40, **SETTINGS[name])
    if way in (WHOLE, REMAINING) and why_not_kernels(spec, training=True):
        assert name in ("nesterov", "clipping")
        return
    drawn = glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT))
    masks = tuple(torch.rand(w.shape, generator=generator(7, Draw.INIT, 1))[None] < 0.4 for w in drawn)
    weights = tuple(weight.double()[None] * mask for weight, mask in zip(drawn, masks, strict=True))
    data = in_double(digits.train)
    found = trained(way, [spec], weights, masks, data, 30)
    expected = by_hand(spec, weights, masks, data, 30)
    for one, other, start in zip(found, expected, weights, strict=True):
        assert (one[0] - other).abs().max() < 1e-9
        assert (one - start).abs().max() > 1e-4


@pytest.mark.parametrize("name", ["nesterov", "momentum and decay", "cosine", "adamw"])
def test_a_round_resumed_in_the_middle_ends_the_same_to_the_bit(name, make, digits):
    spec, taken = make(rounds=0, **SETTINGS[name]), []
    ((whole,),) = run([spec], digits, observe=lambda progress: taken.append(progress.checkpoints()))
    (middle,) = next(kept for kept in taken if kept and kept[0].iteration == 20)
    ((resumed,),) = run([spec], digits, checkpoints=[middle])
    assert same(whole, resumed)


def test_rates_by_hand(make):
    rates = learning_rates(make(iterations=10, learning_rate=1.0, schedule={"name": "linear", "final": 0.5}))
    np.testing.assert_allclose(rates, 1 - 0.05 * np.arange(10))
    rates = learning_rates(
        make(iterations=8, learning_rate=1.0, schedule={"name": "cosine", "warmup": 4, "final": 0.2})
    )
    cosine = 0.2 + 0.4 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, *cosine])
    steps = make(iterations=8, learning_rate=1.0, schedule={"name": "step", "milestones": [0.5, 0.75], "warmup": 1})
    np.testing.assert_allclose(learning_rates(steps), [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01])


def test_clipping_scales_each_network_of_a_stack_by_itself():
    slopes = [torch.tensor([[[3.0]], [[0.3]]]), torch.tensor([[4.0], [0.4]])]
    optimizers.clip(slopes, 1.0)
    torch.testing.assert_close(slopes[0].flatten(), torch.tensor([0.6, 0.3]), atol=1e-5, rtol=0)
    assert zeros(tuple(slopes)).mean[0].shape == slopes[0].shape
