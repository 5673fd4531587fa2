"""Which trajectories share round 0."""

from typing import Annotated

import pytest
from pydantic import create_model

from lthray.engine.trajectory import run
from lthray.spec.dotted import flatten, nest
from lthray.spec.first_round import first_round_key
from lthray.spec.identity import Base, bases
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import same

LATER = {
    "strategy": "kept-signs",
    "rewind_to": "end-of-round-0",
    "rounds": 1,
    "prune.except": ["output"],
    "prune.criterion": "adversarial-gradient",
    "prune.learned.iterations": 7,
    "prune.learned.learning_rate": 0.5,
    "prune.structure.kind": "units",
    "prune.structure.n": 1,
    "prune.structure.m": 5,
    "prune.scope": "global",
    "prune.schedule": "one-shot",
    "prune.rates.hidden_1": 0.9,
    "prune.rates.hidden_2": 0.9,
    "prune.rates.output": 0.9,
    "prune.rates.deeper": 0.9,
    "prune.rates.convolution": 0.9,
    "prune.rate": 0.9,
    "prune.cutoff": "inclusive",
    "retrain.iterations": 10,
    "retrain.train_attack": "none",
    "transfer.source": "0123456789ab",
    "transfer.setting": "seed=1",
}
"""Another value of each field that acts from round 1 on alone."""
FIELDS = {"train_attack": "pgd", "eval_every": 10, "pgd.steps": 2, "end_attacks": ["fgsm"], "iterations": 20}


BESIDE = {
    "prune.rates.deeper": {"model": "mlp", "widths": [30, 20, 10]},
    "prune.rates.convolution": {"model": "lenet-5"},
    "prune.rate": {"prune.scope": "global"},
    "prune.learned.iterations": {"prune.criterion": "learned"},
    "prune.learned.learning_rate": {"prune.criterion": "learned"},
    "prune.structure.n": {"prune.structure.kind": "n-of-m"},
    "prune.structure.m": {"prune.structure.kind": "n-of-m"},
    "transfer.source": {"strategy": "transfer"},
    "transfer.setting": {"strategy": "transfer"},
}
"""What the field needs beside it."""


def test_a_field_counts_until_it_is_declared_to_act_later():
    later = {name for name, base in bases(TrajectorySpec).items() if base.later}
    assert later == LATER.keys()
    grown = create_model(
        "Grown", __base__=TrajectorySpec, momentum=(Annotated[float, Base(0.0)], 0.0), __module__=__name__
    )
    assert first_round_key(grown()) != first_round_key(grown(momentum=0.9))


@pytest.mark.parametrize("name", LATER)
def test_round_0_is_the_same_whatever_acts_from_round_1_on(name, make, digits):
    fields = FIELDS | BESIDE.get(name, {})
    one, other = make(**nest(fields)), make(**nest(fields | {name: LATER[name]}))
    assert flatten(one.model_dump()) != flatten(other.model_dump())
    assert first_round_key(one) == first_round_key(other)
    (first,), (second,) = (next(run([spec], digits)) for spec in (one, other))
    assert same(first, type(second)(**vars(second) | {"spec": one}))


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": 1}, {"learning_rate": 0.01}, {"end_attacks": []}, {"end_images": 7}, {"eval_attacks_at": "ends"},
        {"eval_attacks": ["fgsm", "pgd"]},
        {"rewind_to": "iteration:7"}, {"eval_every": 7},
    ],
)  # fmt: skip
def test_what_round_0_depends_on_or_leaves_behind_keeps_trajectories_apart(fields, make):
    assert first_round_key(make(**nest(FIELDS))) != first_round_key(make(**nest(FIELDS | fields)))


def test_those_that_rewind_to_one_iteration_share_a_round_0(make):
    specs = [make(strategy=strategy, rewind_to="iteration:7") for strategy in ("reset", "random")]
    assert len({first_round_key(spec) for spec in specs}) == 1
