"""What is said of every field and key: complete, and read off the models."""

import pytest
import yaml

from lthray.spec.about import About, about
from lthray.spec.identity import bases, leaves
from lthray.spec.presets import PRESETS, preset
from lthray.spec.reference import SECTIONS, TOPICS, WRITTEN, describe_fields, model_in
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec

DESCRIBED = {field.name: field for field in describe_fields()}


def declared():
    """Every field that a trajectory, a sweep file or a section of it declares, by its dotted name."""
    yield from leaves(TrajectorySpec)
    yield from SweepSpec.model_fields.items()
    for section in SECTIONS:
        model = model_in(SweepSpec.model_fields[section].annotation)
        yield from ((f"{section}.{field.alias or name}", field) for name, field in model.model_fields.items())


@pytest.mark.parametrize(("name", "field"), [*declared()])
def test_every_field_says_what_it_means(name, field):
    assert field.description.endswith(".")
    assert len(field.description) < 130
    assert "\n" not in field.description
    assert isinstance(about(field), About)


def test_every_field_that_one_may_set_is_described_and_no_other():
    settable = {name for name, base in bases(TrajectorySpec).items() if base.settable}
    keys = {name for name, _ in declared()} - {name for name, _ in leaves(TrajectorySpec)}
    assert DESCRIBED.keys() == (settable | keys) - {WRITTEN}
    assert len(DESCRIBED) == len(describe_fields())
    assert all(field.meaning and field.values and field.group for field in DESCRIBED.values())


def test_the_groups_share_the_fields_without_overlap():
    roots = [root for topic in TOPICS.values() for root in topic]
    assert len(roots) == len(set(roots))


@pytest.mark.parametrize("protocol", PRESETS)
def test_values_are_those_of_the_presets(protocol):
    for name, value in preset(protocol).items():
        assert yaml.safe_load(getattr(DESCRIBED[name], protocol.replace("-", "_"))) == (
            list(value) if isinstance(value, tuple) else value
        )


def test_some_fields_in_full():
    epsilon = DESCRIBED["epsilon"]
    assert (epsilon.group, epsilon.unit, epsilon.paper, epsilon.base) == ("attacks", "pixel values", "0.3", "0.3")
    assert DESCRIBED["iterations"].released_code == "50040"
    assert DESCRIBED["iterations"].values == "a whole number from 1 to 1,000,000,000"
    assert DESCRIBED["rounds"].base == "20; not part of trajectory_id"
    assert DESCRIBED["retrain.iterations"].values.startswith("auto, or a whole number")
    assert DESCRIBED["strategy"].values.endswith("transfer, or a function of your own, as rules.py:name")
    assert DESCRIBED["resources.stack"].values == "auto, or a whole number, at least 1"
    assert DESCRIBED["schedule.gamma"].values == "a number, greater than 0 and at most 1"
    assert DESCRIBED["verdicts.at"].unit == "share of the weights"
