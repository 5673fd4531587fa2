"""Base values: ids outlive new fields, and every changed number changes them."""

from typing import Annotated

import pytest
from pydantic import ValidationError, create_model

from lthray.methods.attacks import Attack
from lthray.spec.identity import Base, bases, leaves
from lthray.spec.trajectory import TrajectorySpec

BASES = {
    "protocol": "paper",
    "dataset": "fashion-mnist",
    "model": "lenet-300-100",
    "model_args": (),
    "own.data": "",
    "own.shape": "",
    "own.classes": 0,
    "own.examples": 0,
    "own.validation": 0,
    "own.test": 0,
    "own.code": "",
    "own.tensors": "",
    "widths": (300, 100),
    "seed": 0,
    "strategy": "reset",
    "rewind_to": "init",
    "train_attack": "none",
    "eval_attacks": (Attack("fgsm"), Attack("pgd")),
    "eval_attacks_at": "every",
    "rounds": 20,
    "iterations": 50_000,
    "batch_size": 60,
    "drop_last": True,
    "eval_every": 500,
    "eval_clock": "round",
    "validation_size": 10_000,
    "normalize.mean": (),
    "normalize.std": (),
    "augment": "none",
    "learning_rate": 0.0012,
    "label_smoothing": 0.1,
    "adversarial_weight": 0.5,
    "optimizer.name": "adam",
    "optimizer.momentum": 0.0,
    "optimizer.nesterov": False,
    "optimizer.weight_decay": 0.0,
    "optimizer.clip_norm": 0.0,
    "schedule.name": "constant",
    "schedule.warmup": 0,
    "schedule.milestones": (),
    "schedule.gamma": 0.1,
    "schedule.final": 0.0,
    "objective.name": "mixed",
    "objective.beta": 6.0,
    "objective.replays": 8,
    "objective.epsilon_warmup": 0,
    "attack_mode": "eval",
    "norm": "linf",
    "epsilon": 0.3,
    "attack_label": "predicted",
    "pgd.steps": 10,
    "pgd.step_size": 0.05,
    "pgd.random_start": True,
    "pgd.restarts": 1,
    "end_attacks": (),
    "end_images": 2_000,
    "prune.except": (),
    "prune.only": (),
    "prune.criterion": "magnitude",
    "prune.learned.iterations": 100,
    "prune.learned.learning_rate": 0.1,
    "prune.structure.kind": "none",
    "prune.structure.n": 2,
    "prune.structure.m": 4,
    "prune.scope": "layerwise",
    "prune.schedule": "iterative",
    "prune.rates.hidden_1": 0.2,
    "prune.rates.hidden_2": 0.2,
    "prune.rates.output": 0.1,
    "prune.rates.deeper": 0.2,
    "prune.rates.convolution": 0.1,
    "prune.rate": 0.2,
    "prune.cutoff": "exclusive",
    "retrain.iterations": 50_000,
    "retrain.train_attack": "none",
    "compute.precision": "float32",
    "compute.compile": False,
    "compute.channels_last": False,
    "transfer.source": "",
    "transfer.setting": "",
}
"""Every base value for all times: a field that is added is added here, and nothing here ever changes.

Of a field that follows others it is the base value beside the base values of those.
"""
FOLLOWING = {"widths", "eval_attacks", "validation_size", "retrain.iterations", "retrain.train_attack"}


def grown(*, base: object, default: object) -> type[TrajectorySpec]:
    """A trajectory of a later version, with one field more."""
    return create_model(
        "Grown", __base__=TrajectorySpec, momentum=(Annotated[float, Base(base)], default), __module__=__name__
    )


def test_every_field_has_a_base_value_and_none_ever_changes():
    declared = bases(TrajectorySpec)
    assert list(declared) == [name for name, _ in leaves(TrajectorySpec)]
    assert set(declared) == set(TrajectorySpec().flat())
    constant = {name: base.value for name, base in declared.items() if not base.rule}
    assert constant.keys() == BASES.keys() - FOLLOWING
    assert {name: base.resolve(constant) for name, base in declared.items()} == BASES
    unhashed = {name for name, base in declared.items() if not base.hashed}
    looked_up = {f"own.{name}" for name in ("shape", "classes", "examples", "validation", "test", "code", "tensors")}
    assert unhashed - looked_up == {"rounds", "transfer.setting", "eval_attacks_at", "end_attacks", "end_images"}


@pytest.mark.parametrize(
    ("name", "fields", "base"),
    [
        ("widths", {"model": "lenet-5"}, (120, 84)),
        ("widths", {"model": "mlp"}, None),
        ("eval_attacks", {"train_attack": "pgd"}, (Attack("pgd"),)),
        ("validation_size", {"dataset": "digits-8x8"}, 360),
        ("retrain.iterations", {"iterations": 7}, 7),
        ("retrain.train_attack", {"train_attack": "fgsm"}, "fgsm"),
    ],
)
def test_some_base_values_follow_other_fields(name, fields, base):
    assert bases(TrajectorySpec)[name].resolve(fields) == base


def test_auto_is_the_base_value_and_no_part_of_the_id():
    autos = {"widths": "auto", "eval_attacks": "auto", "retrain": {"iterations": "auto", "train_attack": "auto"}}
    for fields in ({}, {"iterations": 70, "train_attack": "pgd", "dataset": "digits-8x8", "model": "lenet-5"}):
        spoken = TrajectorySpec.model_validate(fields | autos)
        assert spoken == TrajectorySpec.model_validate(fields)
        written = TrajectorySpec.model_validate(spoken.model_dump())
        assert (written, written.trajectory_id) == (spoken, spoken.trajectory_id)
    with pytest.raises(ValidationError, match="model mlp takes a list"):
        TrajectorySpec.model_validate(autos | {"model": "mlp"})
    with pytest.raises(ValidationError) as caught:  # the fields that follow a wrong one are not wrong themselves
        TrajectorySpec.model_validate({"model": "vgg", "iterations": 0, "train_attack": "cw"})
    assert [error["loc"] for error in caught.value.errors()] == [("model",), ("train_attack",), ("iterations",)]


@pytest.mark.parametrize("fields", [{}, {"dataset": "digits-8x8", "train_attack": "fgsm", "seed": 3}])
def test_a_new_field_leaves_every_id_as_it_was_until_it_is_set(fields):
    old, later = TrajectorySpec.model_validate(fields), grown(base=0.0, default=0.0)
    new = later.model_validate(fields)
    assert "momentum" in new.flat()
    assert new.trajectory_id == old.trajectory_id
    assert later.model_validate(fields | {"momentum": 0.9}).trajectory_id != old.trajectory_id


def test_a_default_that_is_not_the_base_value_changes_the_id():
    later = grown(base=0.0, default=0.9)
    assert later().trajectory_id != TrajectorySpec().trajectory_id
    assert later(momentum=0.0).trajectory_id == TrajectorySpec().trajectory_id


def test_rows_without_a_field_have_its_base_value():
    later, old = grown(base=0.0, default=0.9), TrajectorySpec(seed=3, train_attack="pgd")
    read = later.from_flat(old.flat())
    assert (read.momentum, read.trajectory_id) == (0.0, old.trajectory_id)
    followers = ("retrain.iterations", "widths", "eval_attacks", "validation_size")
    fewer = {name: value for name, value in old.flat().items() if name not in followers}
    assert TrajectorySpec.from_flat(fewer) == old


def test_a_default_may_differ_from_the_base_value_of_a_field_that_is_no_part_of_the_id():
    """Rows older than the end attacks were measured under none, whatever a sweep of now asks for."""
    now = TrajectorySpec(seed=3)
    old = TrajectorySpec.from_flat({name: value for name, value in now.flat().items() if not name.startswith("end_")})
    assert now.end_attacks
    assert (old.end_attacks, old.end_images, old.trajectory_id) == ((), 2_000, now.trajectory_id)


def test_a_field_without_a_base_value_is_refused():
    later = create_model("Grown", __base__=TrajectorySpec, momentum=(float, 0.9), __module__=__name__)
    with pytest.raises(TypeError, match="momentum: no base value is declared"):
        later()
