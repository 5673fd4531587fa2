"""Suggestions for wrong names: what other tools call a field, and at most a handful."""

import pytest

from lthray.errors import InputError
from lthray.spec.assignments import KEYS
from lthray.spec.field_names import FIELDS
from lthray.spec.sections import ALIASES as RESOURCES
from lthray.spec.suggestions import ALIASES, MOST, NOTES, did_you_mean, suggest
from lthray.spec.sweepfile import parse
from tests.helpers import TINY


def test_aliases_are_for_keys_that_exist_and_are_no_keys_themselves():
    for alias, meant in ALIASES.items():
        assert set(meant) <= set(KEYS), alias
        assert alias not in KEYS, alias
        assert len(meant) <= MOST
    assert NOTES.keys() <= ALIASES.keys()
    assert RESOURCES.keys() <= ALIASES.keys()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("lr", "learning_rate"), ("wd", "optimizer.weight_decay"), ("weight-decay", "optimizer.weight_decay"),
        ("weight_decay", "optimizer.weight_decay"), ("momentum", "optimizer.momentum"), ("num_cpus", "resources.cpus"),
        ("num_gpus", "resources.gpus"), ("seeds", "seed"), ("arch", "model"), ("network", "model"),
        ("data", "dataset"), ("bs", "batch_size"), ("batch", "batch_size"), ("eps", "epsilon"),
        ("n_samples", "search.samples"), ("num_samples", "search.samples"), ("Epochs", "iterations"),
        ("step_size", "pgd.step_size"), ("restarts", "pgd.restarts"), ("learning-rate", "learning_rate"),
        ("rouns", "rounds"), ("pgd.step", "pgd.steps"), ("cutof", "prune.cutoff"),
    ],
)  # fmt: skip
def test_a_name_of_another_tool_and_a_slip_get_the_field(name, meant):
    assert suggest(name, KEYS)[0] == meant


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("steps", ["iterations", "pgd.steps"]), ("attack", ["train_attack", "eval_attacks"]),
        ("lambda", ["objective.beta", "adversarial_weight"]), ("alpha", ["pgd.step_size", "adversarial_weight"]),
        ("sparsity", ["rounds", "prune.rates.hidden_1", "prune.rate"]),
        ("name", ["name", "optimizer.name", "schedule.name", "objective.name"]),
    ],
)  # fmt: skip
def test_where_several_are_meant_all_are_named(name, meant):
    assert sorted(suggest(name, KEYS)) == sorted(meant)
    for field in meant:
        assert field in did_you_mean(name, KEYS)


def test_how_to_convert_is_said_where_units_differ():
    assert "an epoch has as many iterations as there are batches, 833" in did_you_mean("epochs", FIELDS)
    assert "grid: {seed: [0, 1, 2]}" in did_you_mean("seeds", FIELDS)
    assert 50_000 // 60 == 833


def test_at_most_a_handful_is_named_of_many_and_a_short_list_in_full():
    line = did_you_mean("frobnicate", FIELDS, "lthray explain lists them all")
    assert line == (
        f"; known are {', '.join(FIELDS[:MOST])} and {len(FIELDS) - MOST} others: lthray explain lists them all"
    )
    assert did_you_mean("frobnicate", ["cpus", "gpus"]) == "; known are cpus, gpus"
    assert all(len(suggest(name, KEYS)) <= MOST for name in (*ALIASES, "a", "prune", "rates", "iterationss", "name"))


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"lr": 0.1}, "lr: unknown key; did you mean trajectory.learning_rate?"),
        ({"steps": 3}, "steps: unknown key; did you mean trajectory.iterations or trajectory.pgd.steps?"),
        ({"pgd": {"steps": 3}}, "pgd: unknown key; did you mean trajectory.pgd?"),
        ({"trajectory": {"arch": "mlp"}}, "trajectory.arch: unknown key; did you mean model?"),
        ({"trajectory": {"optimizer": {"lr": 1}}}, "trajectory.optimizer.lr: unknown key; did you mean learning_rate?"),
        ({"grid": {"seeds": [1]}}, "grid.seeds: unknown key; did you mean seed? (several seeds are"),
        ({"num_samples": 3}, "num_samples: unknown key; did you mean search.samples?"),
        (
            {
                "search": {
                    "num_samples": 3,
                    "space": {"epsilon": {"uniform": [0, 1]}},
                    "samples": 1,
                    "metric": "train_seconds",
                }
            },
            "search.num_samples: unknown key; did you mean search.samples?",
        ),
    ],
)
def test_a_sweep_file_gets_them_in_every_section(sections, line):
    with pytest.raises(InputError) as caught:
        parse(TINY | sections)
    assert line in str(caught.value)
