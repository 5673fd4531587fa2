"""What the documents say of the fields is what there is."""

import re

from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import ROOT

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
            listed[full] = values[place].strip("`") if len(values) == len(names) else ""
    fields = TrajectorySpec().flat()
    expected = {name: value for name, value in fields.items() if not name.startswith(ELSEWHERE)}
    assert listed.keys() == expected.keys()
    for name, value in expected.items():
        shown = (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        )
        assert listed[name] in (shown, str(value), "", "[]", "{}", "auto"), name
