"""What the documents say of the fields is what there is."""

import re

import yaml

from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import ROOT

FOLLOWING = {"widths", "eval_attacks", "end_attacks", "retrain.iterations", "retrain.train_attack"}
"""The fields whose value in `paper` is auto."""
ELSEWHERE = ("own.", "transfer.", "protocol")
"""Fields that are never set in a sweep's section `trajectory`, or that have a section of their own."""


def test_readme_lists_every_field_with_its_value():
    table = (ROOT / "README.md").read_text().split("## The fields of a trajectory")[1]
    listed: dict[str, str] = {}
    for cells in re.findall(r"^\| (`.*?) \| (.*?) \| .*\|$", table, re.MULTILINE):
        prefix, names = "", re.findall(r"`([\w.]+)`", cells[0])
        values = re.split(r", (?![^\[]*\])", cells[1])
        for place, name in enumerate(names):
            full = prefix + name if name.startswith(".") else name
            prefix = full.rpartition(".")[0]
            assert len(values) == len(names), cells
            listed[full] = values[place].strip("`")
    fields = TrajectorySpec().flat()
    expected = {name: value for name, value in fields.items() if not name.startswith(ELSEWHERE)}
    assert listed.keys() == expected.keys()
    for name, value in expected.items():
        if listed[name] == "auto":  # which follows other fields, and is resolved by now
            assert name in FOLLOWING
        else:
            assert yaml.safe_load(listed[name]) in ([[], {}] if value == "" else [value]), name
