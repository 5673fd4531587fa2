"""`lthray report`, as typed."""

import html
import json

import pytest
from typer.testing import CliRunner

from lthray.cli.main import app
from lthray.cli.options import BAD_INPUT
from tests.analysis import synthetic


def run(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture
def folders(tmp_path):
    for name, steps in (("a", 7), ("b", 40)):
        synthetic.write(tmp_path / name, synthetic.grid(train_attack="pgd", pgd__steps=steps, seed=[0, 1], rounds=1))
    return tmp_path / "a", tmp_path / "b"


def test_one_folder_is_reported_inside_itself(folders):
    done = run(folders[0], "--margin", "0.5")
    assert done.exit_code == 0, done.output
    page = folders[0] / "report" / "index.html"
    said = json.loads((folders[0] / "report" / "claims.json").read_text(encoding="utf-8"))
    *lead, where, link = done.output.splitlines()
    assert lead == said["lead"]
    assert "2 seeds. " in lead[0]
    assert lead[0] in html.unescape(page.read_text(encoding="utf-8"))
    assert (where, link) == (f"report: {page}", f"open it: file://{page}")
    assert said["margin"] == 0.005


@pytest.mark.parametrize("at", ["64%", "64 %", "0.64"])
def test_a_sparsity_is_declared_as_a_share_or_in_percent(folders, at):
    done = run(folders[0], "--at", at)
    assert done.exit_code == 0, done.output
    said = json.loads((folders[0] / "report" / "claims.json").read_text(encoding="utf-8"))
    assert said["at"] == 0.64


@pytest.mark.parametrize("at", ["64", "0", "100%", "much", "6%4"])
def test_an_impossible_sparsity_is_a_mistake_in_one_line(folders, at):
    done = run(folders[0], "--at", at)
    assert done.exit_code == BAD_INPUT
    assert f"--at {at}: allowed are weights remaining between 0 and 100 %" in done.output


def test_several_are_reported_beside_the_first(folders):
    done = run(*folders)
    assert done.exit_code == 0, done.output
    assert (folders[0].parent / "report-a-b" / "index.html").is_file()


def test_by_and_out(folders, tmp_path):
    done = run(*folders, "--by", "column=folder", "--out", tmp_path / "elsewhere")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "elsewhere" / "index.html").is_file()


def test_a_field_that_does_not_vary_is_a_mistake_in_one_line(folders):
    done = run(folders[0], "--by", "epsilon")
    assert done.exit_code == BAD_INPUT
    assert "'epsilon' does not vary here, choose among" in done.output
    assert "Traceback" not in done.output


def test_no_folder_is_a_mistake_in_one_line(tmp_path):
    done = run(tmp_path / "nothing")
    assert done.exit_code == BAD_INPUT
    assert "no such folder" in done.output


def test_width_is_that_of_the_figures(folders):
    done = run(folders[0], "--width", "column")
    assert done.exit_code == 0, done.output
    picture = (folders[0] / "report" / "figures" / "figure-2-fashion-mnist.svg").read_text(encoding="utf-8")
    assert f'width="{3.3 * 72:g}pt"' in picture
    assert run(folders[0], "--width", "wide").exit_code == BAD_INPUT
