"""`lthray explain`, `lthray schema` and `lthray protocol` in a process of their own."""

import subprocess
import sys
from io import StringIO

import pytest
from rich.console import Console

from lthray.cli.explain import _table
from lthray.spec.assignments import read_set
from lthray.spec.field_names import GROUPS
from lthray.spec.reference import NOT_IN_ID, SECTIONS, describe_fields, example_values, how_to_vary
from tests.helpers import ROOT, failed, lthray


def lines(*arguments: str) -> list[str]:
    process = lthray(*arguments)
    assert process.returncode == 0, process.stderr
    return [line.strip() for line in process.stdout.splitlines()]


def test_a_field_is_explained_in_full():
    assert lines("explain", "iterations") == [
        "iterations: Optimizer steps of a round.",
        "",
        "values         a whole number from 1 to 1,000,000,000",
        "unit           iterations",
        "paper          50000",
        "released-code  50040",
        "base value     50000",
        "source         the poster",
        "to vary it     grid: {iterations: [5000, 50000]}, or --set iterations=5000,50000",
    ]


def test_a_field_that_changes_no_network_and_a_key_of_a_section_are_set():
    assert f"base value     20; {NOT_IN_ID}" in lines("explain", "rounds")
    assert "to set it      --set rounds=10, for the whole sweep" in lines("explain", "rounds")
    assert lines("explain", "resources.stack") == [
        "resources.stack: Trajectories that a trial trains side by side.",
        "",
        "values     auto, or a whole number, at least 1",
        "unit       trajectories",
        "default    auto",
        "to set it  --set resources.stack=15, for the whole sweep",
    ]


@pytest.mark.parametrize("name", [*SECTIONS, *sorted(GROUPS)])
def test_a_section_and_a_group_list_what_they_hold(name):
    page = lines("explain", name)
    assert page[0].startswith(f"{name}: ")
    inside = [field for field in describe_fields() if field.name.startswith(f"{name}.")]
    for field in inside:
        assert any(line.startswith(f"{field.name} ") and line.endswith(field.meaning) for line in page)


def test_without_a_field_there_is_a_line_for_each():
    page = lines("explain")
    for field in describe_fields():
        assert sum(line.split()[:1] == [field.name] and line.endswith(field.meaning) for line in page) == 1
        assert field.group in page


def test_a_narrow_terminal_cuts_meanings_alone():
    console = Console(width=80, file=StringIO())
    fields = [field for field in describe_fields() if field.group == "pruning"]
    console.print(_table(fields))
    rows = console.file.getvalue().splitlines()
    assert [row.split()[:2] for row in rows] == [[field.name, field.paper] for field in fields]
    assert all(
        len(row) <= 80 and "…" in row for row, field in zip(rows, fields, strict=True) if len(field.meaning) > 40
    )


def test_names_as_sweep_files_have_them_and_wrong_ones():
    assert lines("explain", "grid.seed") == lines("explain", "seed")
    assert lines("explain", "trajectory.pgd") == lines("explain", "pgd")
    assert lines("explain", "model_args.width") == lines("explain", "model_args")
    assert lines("explain", "own.data")[1] == "Never set in a sweep file: lthray looks it up."
    failed(lthray("explain", "lr"), "lr: no such field; did you mean learning_rate?")
    failed(lthray("explain", "frobnicate"), "frobnicate: no such field; known are", "lthray explain lists them all")


def test_how_a_field_is_varied_works():
    """What stands behind `--set` means the grid that stands before it."""
    for field in describe_fields():
        varied = how_to_vary(field.name)
        if varied.startswith("grid: "):
            option = varied.rpartition("--set ")[2].strip("'")
            assert (read_set(option).key, read_set(option).value) == (f"grid.{field.name}", example_values(field.name))
            assert len(example_values(field.name)) > 1


@pytest.mark.parametrize("command", ["explain", "schema", "protocol"])
def test_no_torch_and_no_ray_are_imported(command):
    code = (
        "import sys; from typer.testing import CliRunner; from lthray.cli.main import app;"
        f" r = CliRunner().invoke(app, [{command!r}]);"
        " sys.exit(r.exit_code or 'torch' in sys.modules or 'ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
