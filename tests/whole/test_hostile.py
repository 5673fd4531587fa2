"""Sweep files that nobody should write: always one clear line, never a traceback, never a write elsewhere."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lthray.errors import InputError
from lthray.spec.field_names import FIELDS
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load, parse
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import TINY, lthray

words = st.sampled_from([*FIELDS, *SweepSpec.model_fields, "pgd", "prune", "prune.rates", "cpus", "gpus", "stack", ""])
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 10**20), st.floats(), st.text(max_size=8),
    st.sampled_from(["paper", "released-code", "mnist", "digits-8x8", "fgsm", "pgd", "none", "auto", "reset"]),
)  # fmt: skip
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=12
)
sections = st.dictionaries(st.sampled_from([*SweepSpec.model_fields, "trajectoy"]), values, max_size=5)

fuzz = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def one_line(error: InputError, begins: str = "") -> None:
    assert str(error).strip()
    assert str(error).isprintable()
    assert str(error).startswith(begins)


@fuzz
@given(tree=sections | values, valid=st.booleans(), sets=st.lists(st.text(max_size=20), max_size=2))
def test_any_tree_is_a_sweep_or_one_clear_line(tree, valid, sets):
    if valid and isinstance(tree, dict):
        tree = {**TINY, **tree}
    try:
        found = parse(tree, sets)
        if found.size() <= 2_000:
            assert all(isinstance(one, TrajectorySpec) for one in found.trajectories())
    except InputError as error:
        one_line(error)


@fuzz
@given(field=words, value=values, section=st.sampled_from(["trajectory", "grid", "resources"]))
def test_any_value_of_any_field_is_valid_or_gets_one_clear_line(field, value, section):
    try:
        parse({**TINY, section: {field: [value] if section == "grid" else value}}).trajectories()
    except InputError as error:
        one_line(error)


@fuzz
@given(
    tree=sections,
    sets=st.lists(
        st.builds(
            lambda section, key, value: f"{section}{key}={json.dumps(value)}",
            st.sampled_from(["", "grid.", "trajectory.", "search.", "search.space.", "transfer.where.", "resources."]),
            words,
            values,
        ),
        max_size=3,
    ),
)
def test_any_value_of_any_key_can_be_set_or_gets_one_clear_line(tree, sets):
    try:
        sweep = parse(TINY | tree, sets)
        if sweep.size() <= 2_000:
            sweep.trajectories()
            assert parse(yaml.safe_load(sweep.resolved())).trajectories() == sweep.trajectories()
    except InputError as error:
        one_line(error)


@fuzz
@given(
    content=st.binary(max_size=60) | st.text(alphabet="name:[]{}&*!?|>-#%@`'\"\n\t 01ae.", max_size=60).map(str.encode)
)
def test_any_bytes_are_a_sweep_file_or_get_one_clear_line(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "fuzzed.yaml"
    path.write_bytes(content)
    try:
        load(path)
    except InputError as error:
        one_line(error, str(path))


HOSTILE = {
    "a name with dots": {"name": "../../etc/lthray"},
    "an absolute name": {"name": "/tmp/lthray"},
    "a name of dots": {"name": ".."},
    "a hidden name": {"name": ".ssh"},
    "a name with a slash": {"name": "a/b"},
    "a name with a NUL": {"name": "a\0b"},
    "a name with a newline": {"name": "a\n"},
    "a long name": {"name": "a" * 500},
    "a number for a name": {"name": 3},
    "a data set that is a path": {"trajectory": {"dataset": "../../etc/passwd"}},
    "a model that is a path": {"trajectory": {"model": "/bin/sh"}},
    "arguments that are none": {"trajectory": {"model_args": 3}},
    "an argument with a dot": {"trajectory": {"model_args": {"optimizer.name": None}}},
    "an argument that is a set": {"trajectory": {"model_args": {"width": {1, 2}}}},
    "a huge seed": {"trajectory": {"seed": 10**30}, "grid": {"strategy": ["reset"]}},
    "endless iterations": {"trajectory": {"iterations": 10**20}},
    "endless steps": {"trajectory": {"pgd": {"steps": 10**20}}},
    "a huge batch": {"trajectory": {"batch_size": 10**9}},
    "endless rounds": {"trajectory": {"rounds": 10**9}},
    "widths without end": {"trajectory": {"model": "mlp", "widths": [10] * 100_000}},
    "widths beyond any memory": {"trajectory": {"model": "mlp", "widths": [10**12]}},
    "nested widths": {"trajectory": {"model": "mlp", "widths": [[[300], 100]]}},
    "widths as text": {"trajectory": {"model": "mlp", "widths": "300-100"}},
    "widths by name": {"trajectory": {"model": "mlp", "widths": {"a": 1}}},
    "a grid of mappings": {"grid": {"seed": [{"a": 1}]}},
    "a grid of lists": {"grid": {"seed": [[1]]}},
    "a nested grid": {"grid": {"pgd": {"steps": {"x": [1]}}}},
    "a list as section": {"trajectory": ["seed"]},
    "text as section": {"resources": "all"},
    "a negative stack": {"resources": {"stack": -1}},
    "half a GPU more": {"resources": {"gpus": -0.5}},
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_get_one_clear_line(what, tmp_path):
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump(TINY | HOSTILE[what]))
    with pytest.raises(InputError) as caught:
        load(path)
    one_line(caught.value)


TAGS = {
    "a tag that builds objects": "name: !!python/object/apply:os.system ['touch owned']",
    "a tag that imports": "name: !!python/name:os.system",
    "a tag of its own": "name: !lthray x",
    "an alias bomb": "a: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]",
    "a merge key": "base: &b {seed: 1}\ntrajectory: {<<: *b}",
    "two documents": "name: a\n---\nname: b",
    "deep nesting": "grid: " + "[" * 3000,
    "a tab": "name:\n\t- x",
    "a binary": "name: !!binary aGVsbG8=",
}


@pytest.mark.parametrize("what", TAGS)
def test_hostile_yaml_gets_one_clear_line_and_writes_nothing(what, tmp_path):
    (tmp_path / "hostile.yaml").write_text(TAGS[what])
    process = lthray("sweep", "hostile.yaml", cwd=tmp_path)
    assert process.returncode == 2, process.stderr
    assert process.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hostile.yaml"]


def test_results_stay_in_their_folder(tmp_path):
    """A name that passes is a folder of its own under results, whatever stands beside it."""
    for name in ("a..b", "a.", "0", "con", "x" * 100):
        assert (Path("results") / parse(TINY | {"name": name}).name).parent == Path("results")
