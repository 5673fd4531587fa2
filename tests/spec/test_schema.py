"""The JSON schema: the one in the repository is the one that is printed, and it allows what the loader allows."""

import json
import os.path
from importlib.metadata import EntryPoint

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from lthray import references
from lthray.errors import InputError
from lthray.spec.field_names import FIELDS, GROUPS
from lthray.spec.reference import SECTIONS, describe_fields, example_values
from lthray.spec.schema import sweep_schema
from lthray.spec.sweepfile import load, parse
from lthray.spec.yaml_text import read_yaml
from tests.helpers import ROOT, TINY, lthray
from tests.spec.test_numbers import FIELDS as NUMBERS

SWEEPS = sorted((ROOT / "sweeps").rglob("*.yaml"))
SCHEMA = sweep_schema()
VALIDATOR = Draft7Validator(SCHEMA)


def allowed(tree: object) -> bool:
    return VALIDATOR.is_valid(tree)


def test_it_is_a_schema():
    Draft7Validator.check_schema(SCHEMA)


def test_the_file_in_the_repository_is_what_is_printed():
    """`lthray schema > sweeps/schema.json` writes it anew."""
    printed = lthray("schema").stdout
    assert (ROOT / "sweeps" / "schema.json").read_text() == printed
    assert json.loads(printed) == SCHEMA


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_the_sweeps_that_come_along_name_it_in_their_first_line_and_are_allowed(path):
    first = path.read_text().partition("\n")[0]
    assert first == f"# yaml-language-server: $schema={os.path.relpath(ROOT / 'sweeps' / 'schema.json', path.parent)}"
    assert [*VALIDATOR.iter_errors(read_yaml(path.read_text(), str(path)))] == []


@pytest.mark.parametrize("path", [*(ROOT / "sweeps").glob("*.yaml")], ids=lambda path: path.stem)
def test_what_a_sweep_writes_into_its_folder_is_allowed(path):
    assert [*VALIDATOR.iter_errors(yaml.safe_load(load(path)[0].resolved()))] == []


ALLOWED = {
    "numbers as people write them": read_yaml(NUMBERS, "x"),
    "whole numbers as floats": {"trajectory": {"iterations": 10_000.0}, "grid": {"seed": [0.0, 1.0]}},
    "nested and dotted": {"trajectory": {"prune": {"rates.output": 0.3, "rates": {"hidden_1": 0.1}}, "pgd.steps": 4}},
    "groups in a grid": {"grid": {"pgd": {"steps": [3, 4]}, "protocol": ["paper", "released-code"]}},
    "nothing in trajectory": {"trajectory": None},
    "arguments of a network": {"trajectory": {"model_args": {"a": [1]}}, "grid": {"model_args.width": [4, 8]}},
    "an argument in its group": {"trajectory": {"model": "nets.py:Net", "model_args.width": 4}},
    "attacks": {"trajectory": {"eval_attacks": ["fgsm", "pgd(steps=4)", {"pgd": {"steps": 40, "epsilon": "8/255"}}]}},
    "attacks as a mapping": {"trajectory": {"eval_attacks": {"fgsm": None, "pgd": {"steps": 40}}, "end_attacks": []}},
    "code of one's own": {"trajectory": {"strategy": "rules.py:mine", "eval_attacks": ["rules.py:mine"]}},
    "data of one's own": {"trajectory": {"dataset": "digits.npz", "validation_size": 10}},
    "loggers": {"loggers": ["tensorboard", "mlflow"]},
    "loggers with options": {"loggers": {"mlflow": {"experiment_name": "x"}, "tensorboard": None}},
    "Ray's names": {"resources": {"num_cpus": 2, "num_gpus": "1/4"}},
    "a transfer": {"transfer": {"from": "results/x", "where": {"strategy": "reset", "seed": [0, 1]}}},
    "rewinding": {"trajectory": {"rewind_to": "iteration:10"}},
}
"""Sections that the loader takes, too."""
SEARCH = {"space": {"epsilon": {"uniform": ["1/10", 0.4]}}, "samples": 2, "metric": "train_seconds"}
SEARCHES = [
    {},
    {"scheduler": "asha"},
    {"scheduler": {"asha": {"grace_period": 2}}},
    {"scheduler": {"median": None}},
    {"scheduler": {}},
    {"space": {"widths": {"choice": [[300], [200]]}, "pgd": {"steps": {"randint": [1, 9]}}}},
]


@pytest.mark.parametrize("what", ALLOWED)
def test_what_the_loader_takes_is_allowed(what):
    tree = TINY | ALLOWED[what]
    parse(tree)
    assert [*VALIDATOR.iter_errors(tree)] == []


@pytest.mark.parametrize("section", SEARCHES)
def test_searches_that_the_loader_takes_are_allowed(section):
    tree = TINY | {"search": SEARCH | section}
    parse(tree)
    assert [*VALIDATOR.iter_errors(tree)] == []


def test_every_example_is_allowed_as_a_value_and_in_a_grid():
    for name in FIELDS:
        values = example_values(name)
        assert allowed({"name": "x", "grid": {name: values}}) or not values, name
        for value in values if name != "protocol" else []:
            assert allowed({"name": "x", "trajectory": {name: value}}), name
    for key in (field for field in describe_fields() if field.group in SECTIONS):
        section, _, name = key.name.partition(".")
        required = {"search": SEARCH, "transfer": {"from": "x"}}.get(section, {})
        for value in example_values(key.name):
            assert allowed({"name": "x", section: required | {name: value}}), key.name


pool = st.sampled_from([
    None, True, 0, 1, 3, 0.5, 1.0, 2.0, -1, 10**10, "auto", "none", "fgsm", "pgd", "reset", "1/2", "4/2", "8/0", "init",
    "end-of-round-0", "iteration:5", "magnitude", "rules.py:f", "mlp", "lenet-5", "digits-8x8", "mnist", "linf", "a,b",
    "pgd(steps=3)", "pgd(steps=0)", [], [0.5], [0.25, "1/2"], ["fgsm"], ["fgsm", {"pgd": {"steps": 2.0}}],
    {"pgd": None}, {"pgd": {"epsilon": "1/9"}}, {"fgsm": {"steps": 3}}, {}, {"a": 1}, [[1]], ["output"], ["pgd", "pgd"],
])  # fmt: skip
keys = st.sampled_from([*FIELDS, *(f"{group}" for group in GROUPS), "model_args.a"])


@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=keys, value=pool, others=st.lists(pool, max_size=2), section=st.sampled_from(["trajectory", "grid"]))
def test_whatever_the_loader_takes_is_allowed(key, value, others, section):
    tree = {"name": "x", "trajectory": {"dataset": "digits-8x8"}}
    tree[section] = tree.get(section, {}) | {key: [value, *others] if section == "grid" else value}
    try:
        parse(tree).trajectories()
    except InputError:
        return
    assert [*VALIDATOR.iter_errors(tree)] == []


WRONG = {
    "no name": {"name": None},
    "an unknown key": {"sed": 1},
    "an unknown field": {"trajectory": {"lr": 0.1}},
    "an unknown field in a group": {"trajectory": {"pgd": {"step": 1}}},
    "an unknown field in the grid": {"grid": {"seeds": [1]}},
    "an unknown resource": {"resources": {"cpu": 1}},
    "an unknown setting of an attack": {"trajectory": {"eval_attacks": [{"pgd": {"stepz": 1}}]}},
    "an unknown attack": {"trajectory": {"eval_attacks": ["cw"]}},
    "an unknown strategy": {"trajectory": {"strategy": "resett"}, "grid": {"seed": [0]}},
    "an unknown logger": {"loggers": ["wandbb"]},
    "a grid without values": {"grid": {"seed": []}},
    "an empty grid": {"grid": {}},
    "a value for a list of values": {"grid": {"seed": 1}},
    "several values for one": {"trajectory": {"seed": [0, 1]}},
    "a fraction for a whole number": {"trajectory": {"iterations": 1.5}},
    "text for a number": {"trajectory": {"epsilon": "0.3"}},
    "a number out of bounds": {"trajectory": {"label_smoothing": 1.0}},
    "text for true": {"trajectory": {"drop_last": "yes"}},
    "the protocol in the trajectory": {"trajectory": {"protocol": "paper"}},
    "a searched seed": {"search": SEARCH | {"space": {"seed": {"randint": [0, 9]}}}},
    "a search without samples": {"search": {"space": {"epsilon": {"uniform": [0, 1]}}, "metric": "train_seconds"}},
    "a space of one number": {"search": SEARCH | {"space": {"epsilon": {"uniform": [0.1]}}}},
    "an unknown space": {"search": SEARCH | {"space": {"epsilon": {"normal": [0.1, 0.2]}}}},
    "an unknown option of a scheduler": {"search": SEARCH | {"scheduler": {"asha": {"grace": 2}}}},
    "an unknown metric": {"search": SEARCH | {"metric": "accuracy"}},
    "a share above 1": {"verdicts": {"at": 20}},
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_refused_as_the_loader_does(what):
    tree = {name: value for name, value in (TINY | WRONG[what]).items() if value is not None}
    assert not allowed(tree)
    with pytest.raises(InputError):
        parse(tree).trajectories()


def test_names_that_a_package_offers_are_allowed(monkeypatch):
    offered = EntryPoint("halfway", "rules:halfway", "lthray.strategies")
    monkeypatch.setattr(references, "_offered", lambda group: {"halfway": offered} if group == "strategies" else {})
    assert Draft7Validator(sweep_schema()).is_valid(TINY | {"trajectory": {"strategy": "halfway"}})
    assert not allowed(TINY | {"trajectory": {"strategy": "halfway"}})


def test_an_editor_shows_what_each_field_means_and_its_unit():
    for field in describe_fields():
        if field.name in FIELDS:
            shown = SCHEMA["definitions"][field.name]["description"]
            assert field.meaning in shown
            assert field.unit in shown
    assert SCHEMA["definitions"]["epsilon"]["default"] == 0.3
    pgd = SCHEMA["properties"]["trajectory"]["anyOf"][0]["properties"]["pgd"]
    assert pgd["description"]
    assert pgd["properties"]["steps"] == {"$ref": "#/definitions/pgd.steps"}
    assert {"pgd", "prune", "prune.rates"} <= GROUPS
