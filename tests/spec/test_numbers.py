"""Numbers as people write them, in every field that takes a number."""

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from lthray.errors import InputError
from lthray.spec.attack_settings import OwnSettings
from lthray.spec.attack_settings import parse as parse_attack
from lthray.spec.identity import leaves
from lthray.spec.numbers import read_number, read_whole, reader
from lthray.spec.search import AshaSpec, MedianSpec, SearchSpec
from lthray.spec.sections import ResourcesSpec, VerdictsSpec
from lthray.spec.sweepfile import load, parse
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import TINY

MODELS = [TrajectorySpec, OwnSettings, ResourcesSpec, VerdictsSpec, SearchSpec, AshaSpec, MedianSpec]


def holds(annotation: object, kind: type) -> bool:
    """Whether a type is this one, or a tuple or union that holds it."""
    return annotation is kind or any(holds(part, kind) for part in getattr(annotation, "__args__", ()))


@pytest.mark.parametrize("model", MODELS)
def test_every_field_that_takes_a_number_reads_it(model: type[BaseModel]):
    """`own` is looked up and never written by hand."""
    for name, field in leaves(model):
        kinds = [kind for kind in (int, float) if holds(field.annotation, kind)]
        if kinds and not name.startswith("own."):
            assert reader(field.annotation, field.metadata) is (read_whole if kinds == [int] else read_number), name


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("8/255", 8 / 255),
        (" 1 / 3 ", 1 / 3),
        ("1e1/2", 5.0),
        ("-1/2", -0.5),
        (".5/2.", 0.25),
        ("1e-3", 0.001),
        ("-2.5E+1", -25.0),
        (0.3, 0.3),
        (2, 2),
    ],
)
def test_fractions_are_read(written, number):
    assert read_number(written) == number


@pytest.mark.parametrize(
    "written", ["0.3", "8/0", "8/255/2", "a/b", "1/", "/2", "8//255", "", "1e", "e4", "12", True, None, [1]]
)
def test_what_is_no_fraction_stays_as_it_is(written):
    assert read_number(written) is written
    assert read_whole(written) is written


@pytest.mark.parametrize(("written", "number"), [(1e4, 10_000), ("20/2", 10), (7, 7), ("1e4", 10_000)])
def test_floats_that_are_whole_are_whole_numbers(written, number):
    assert read_whole(written) == number
    assert type(read_whole(written)) is int


@pytest.mark.parametrize("written", [1.5, "3/2", "1e-1", float("nan"), float("inf"), "10", True])
def test_whole_numbers_take_nothing_else(written):
    with pytest.raises(ValidationError):
        TrajectorySpec(iterations=written)


FIELDS = """
name: x
trajectory:
  dataset: digits-8x8
  model: mlp
  epsilon: 8/255
  iterations: 1e2
  eval_every: 5.0e1
  train_attack: fgsm
  rounds: 1e0
  pgd: {step_size: 2/255}
  schedule: {name: step, milestones: [1/2, 3/4]}
  eval_attacks: [{pgd: {epsilon: 16/255, steps: 2e1}}]
grid: {widths: [[3e1, 20.0], [1e1]], learning_rate: [1/1000, 1e-4], seed: [0.0, 1e0]}
resources: {num_cpus: 1/2, gpus: 1/4, retries: 2e0}
verdicts: {at: 1/5}
"""
RESOLVED = """
name: x
trajectory:
  dataset: digits-8x8
  model: mlp
  epsilon: 0.03137254901960784
  iterations: 100
  eval_every: 50
  train_attack: fgsm
  rounds: 1
  pgd: {step_size: 0.00784313725490196}
  schedule: {name: step, milestones: [0.5, 0.75]}
  eval_attacks: [{pgd: {epsilon: 0.06274509803921569, steps: 20}}]
grid: {widths: [[30, 20], [10]], learning_rate: [0.001, 0.0001], seed: [0, 1]}
resources: {cpus: 0.5, gpus: 0.25, retries: 2}
verdicts: {at: 0.2}
"""


def test_a_file_is_the_one_with_its_numbers_resolved(tmp_path):
    for name, text in (("as-written", FIELDS), ("resolved", RESOLVED)):
        (tmp_path / f"{name}.yaml").write_text(text)
    (sweep, specs), (plain, same) = load(tmp_path / "as-written.yaml"), load(tmp_path / "resolved.yaml")
    assert specs == same
    assert [spec.trajectory_id for spec in specs] == [spec.trajectory_id for spec in same]
    assert sweep == plain
    assert sweep.resolved() == plain.resolved()
    assert yaml.safe_load(sweep.resolved())["trajectory"]["iterations"] == 100


def test_set_and_python_take_them_too():
    sweep = parse(TINY, ["iterations=1e2", "epsilon=8/255", "pgd.steps=4.0", "resources.cpus=1/2", "grid.seed=[1e0]"])
    assert [(spec.iterations, spec.epsilon, spec.pgd.steps, spec.seed) for spec in sweep.trajectories()] == [
        (100, 8 / 255, 4, 1)
    ] * 3
    assert sweep.resources.cpus == 0.5
    (spec,) = parse({"name": "x", "trajectory": {"iterations": 1e4, "epsilon": "8/255"}}).trajectories()
    assert spec.trajectory_id == TrajectorySpec(iterations=10_000, epsilon=8 / 255).trajectory_id


def test_spaces_of_a_search_take_them():
    space = {"epsilon": {"uniform": ["4/255", "8/255"]}, "iterations": {"randint": [1e1, 1e2]}}
    section = {
        "space": space,
        "samples": 2e0,
        "metric": "final_fgsm_accuracy_test",
        "scheduler": {"asha": {"grace_period": 1e0}},
    }
    search = parse(TINY, [f"search={section}"]).search
    assert search.space == {"epsilon": {"uniform": [4 / 255, 8 / 255]}, "iterations": {"randint": [10, 100]}}
    assert (search.samples, search.scheduler["asha"]["grace_period"]) == (2, 1)


def test_the_full_name_of_an_attack_has_the_number():
    assert str(parse_attack("pgd(epsilon=8/255;steps=4e0)")) == "pgd(epsilon=0.03137254901960784;steps=4)"


def test_ray_names_of_resources_stand_for_ours():
    assert parse({"name": "x", "resources": {"num_cpus": 2, "num_gpus": 1}}).resources == ResourcesSpec(cpus=2, gpus=1)
    sweep = parse(TINY | {"resources": {"cpus": 1}}, ["resources.num_cpus=3", "resources={num_gpus: 1}"])
    assert (sweep.resources.cpus, sweep.resources.gpus) == (3, 1)
    with pytest.raises(InputError, match=r"^resources\.num_cpus: is the same as cpus, which is given too$"):
        parse(TINY | {"resources": {"cpus": 1, "num_cpus": 1}})
