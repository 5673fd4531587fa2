"""Rounds taken up inside, from a checkpoint at any evaluation, have the numbers of undisturbed ones to the bit."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lthray.engine import tiled, training
from lthray.engine.adam import Averages
from lthray.engine.results import Resume
from lthray.engine.stack import StackTraining
from lthray.engine.state import begin_round, resume_round
from lthray.engine.training import DenseTraining, train
from tests.engine.test_tiled import networks
from tests.helpers import REMAINING, WHOLE, run_watched, same

FIELDS = [
    {"train_attack": "none"},
    {"train_attack": "fgsm", "rewind_to": "iteration:15"},
    {"train_attack": "pgd", "pgd": {"steps": 2}, "drop_last": False, "batch_size": 150},
    {"train_attack": "pgd", "pgd": {"steps": 2, "restarts": 2}, "retrain": {"iterations": 25, "train_attack": "fgsm"}},
]


@pytest.mark.parametrize("way", ["dense", "sparse"])
@pytest.mark.parametrize("fields", FIELDS)
def test_a_round_goes_on_from_any_evaluation_alone_or_in_another_stack(fields, way, make, digits, monkeypatch):
    """24 batches of 60 are an epoch, or 7 of 150 and a rest: evaluations fall inside the first epochs and later."""
    monkeypatch.setattr(tiled, "BREAK_EVEN", dict.fromkeys(tiled.BREAK_EVEN, {"dense": 0, "sparse": 2}[way]))
    specs = [make(**fields, rounds=1, eval_every=10, seed=seed) for seed in (0, 1)]
    whole, taken = run_watched(specs, digits)
    moments = sorted(moment for moment in taken if moment[1])
    assert len(moments) >= 7
    for number, iteration in moments:
        resumes = []
        for spec in specs if number else ():
            first = whole[spec.trajectory_id, 0]
            resumes.append(Resume(first.ticket, first.ticket if spec.needs_dense_ticket else None, first.rewound))
        for chosen in ((0, 1), (1, 0), (1,)) if iteration == 20 else ((1,),):
            stack = [specs[i] for i in chosen]
            held = [taken[number, iteration][i] for i in chosen]
            before = [resumes[i] for i in chosen] if number else []
            rest, later = run_watched(stack, digits, number, before, checkpoints=held)
            assert all(moment > (number, iteration) for moment in later)
            for spec in stack:
                for key in [(spec.trajectory_id, number), (spec.trajectory_id, 1)]:
                    assert same(rest[key], whole[key])
            if number == 0 and specs[0].rewind_iteration:
                kept = (rest[specs[1].trajectory_id, 0].rewound, whole[specs[1].trajectory_id, 0].rewound)
                for name, weight in kept[0].weights.items():
                    assert np.array_equal(weight, kept[1].weights[name])


def test_seconds_of_a_round_that_was_interrupted_are_those_of_both_parts(make, digits):
    spec = make(rounds=0)
    _, taken = run_watched([spec], digits)
    held = replace(taken[0, 20][0], train_seconds=1_000.0, eval_seconds=2_000.0)
    rest, _ = run_watched([spec], digits, checkpoints=[held])
    result = rest[spec.trajectory_id, 0]
    assert 1_000 < result.train_seconds < 1_100
    assert 2_000 < result.eval_seconds < 2_100


def test_a_trajectory_that_has_diverged_is_no_longer_checkpointed(make, digits):
    good, bad = make(rounds=0), make(rounds=0, seed=1)
    _, taken = run_watched([good, bad], digits)
    broken = [taken[0, 20][0], replace(taken[0, 20][1], weights={
        name: np.full_like(weight, np.nan) for name, weight in taken[0, 20][1].weights.items()
    })]  # fmt: skip
    _, later = run_watched([good, bad], digits, checkpoints=broken)
    assert [one.spec.seed for one in later[0, 40]] == [0]


@pytest.mark.parametrize("train_attack", ["none", "pgd"])
def test_a_batched_stack_goes_on_within_its_own_bits(train_attack, make, digits, monkeypatch):
    """The way of a GPU, on a CPU."""
    monkeypatch.setattr(training, "DenseTraining", StackTraining)
    monkeypatch.setattr(training, "why_not_kernels", lambda spec, training: "a test")
    specs = [make(train_attack=train_attack, pgd={"steps": 2}, seed=seed, rounds=0) for seed in (0, 1)]
    whole, taken = run_watched(specs, digits)
    rest, _ = run_watched(specs, digits, checkpoints=taken[0, 20])
    assert all(same(rest[key], whole[key]) for key in whole)
    monkeypatch.setattr(training, "DenseTraining", DenseTraining)
    other, _ = run_watched(specs, digits)
    assert not all(same(other[key], whole[key]) for key in whole), "the batched way was not taken"


def test_the_averages_of_every_way_are_those_of_torch(make, digits):
    """After ten steps: what a checkpoint of one way holds, another can go on from."""
    spec = make(train_attack="fgsm", epsilon=0.1)
    weights, masks = networks([spec], 0.3)
    start = begin_round(weights, [spec], 1)
    data = training.Split(digits.train.as_floats().images.double(), digits.train.labels)
    found = {}
    for way in (StackTraining, DenseTraining, WHOLE, REMAINING):
        under_way = way(start, masks, [spec])
        for _, batch in zip(range(10), training.batches([spec], 1, torch.device("cpu")), strict=False):
            under_way.step(*data.batch(batch), start.generators)
        found[way] = under_way.current()[1]
    assert isinstance(found[StackTraining], Averages)
    for way in (DenseTraining, WHOLE, REMAINING):
        for field in ("mean", "square"):
            pairs = zip(getattr(found[way], field), getattr(found[StackTraining], field), masks, strict=True)
            for mine, torchs, mask in pairs:
                torch.testing.assert_close(mine, torchs, rtol=1e-6, atol=1e-12)
                assert mine[mask].any()
                assert not mine[~mask].any()


def test_a_resumed_state_is_not_yielded_again(make, digits):
    spec = make(rounds=0)
    _, taken = run_watched([spec], digits)
    state = resume_round(taken[0, 20], [spec], torch.device("cpu"))
    masks = tuple(torch.ones_like(weight, dtype=torch.bool) for weight in state.weights)
    assert [at.iteration for at in train(state, masks, [spec], digits.train, 0, [20, 30])] == [30, 40]
