"""What the documents say is what there is: fields, columns, commands, sweep files and code."""

import ast
import re
import shlex
import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import typer
import yaml
from typer.main import get_command

from docs.tools.generate import fill
from docs.tools.outputs import main as write_outputs
from lthray.cli.main import app
from lthray.driver.own import look_up
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.tables import TABLES
from tests.helpers import ROOT, environment

REFERENCE = ROOT / "docs" / "reference"
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "analysis/README.md", "analysis/poster/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMANDS = get_command(app).commands
FOLLOWING = {"widths", "eval_attacks", "end_attacks", "retrain.iterations", "retrain.train_attack"}
"""The fields whose value in `paper` is auto."""
ELSEWHERE = ("own.", "transfer.", "protocol")
"""Fields that are never set in a sweep's section `trajectory`, or that have a section of their own."""


def blocks(document: Path) -> list[tuple[str, str]]:
    """The blocks of a document, each by its language; "" where it has none."""
    return re.findall(r"^```(\S*)\n(.*?)^```", document.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shown(document: Path) -> list[str]:
    """The command lines of lthray in a document's blocks, without comments and what they are piped into."""
    texts = [text for language, text in blocks(document) if language in ("", "sh", "console")]
    lines = re.sub(r"\\\n\s*", "", "\n".join(texts)).splitlines()
    return [line.removeprefix("$ ") for line in lines if re.match(r"(\$ )?lthray ", line)]


COMMAND_LINES = [(document, line) for document in DOCUMENTS for line in shown(document)]
SWEEPS = [(document, text) for document in DOCUMENTS for language, text in blocks(document) if language == "yaml"]


def name(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else ""


def table(page: str) -> list[list[str]]:
    """The cells of all rows of a page's tables."""
    rows = re.findall(r"^\| (.*) \|$", (REFERENCE / page).read_text(encoding="utf-8"), re.MULTILINE)
    return [row.split(" | ") for row in rows]


@pytest.mark.parametrize("page", sorted(REFERENCE.glob("*.md")), ids=name)
def test_generated_parts_are_those_of_this_version(page):
    text = page.read_text(encoding="utf-8")
    assert fill(text) == text, "run `make reference`"


def test_the_sweep_file_page_lists_every_field_with_its_value():
    listed = {}
    for cells in table("sweep-file.md"):
        if re.fullmatch(r"`[\w.]+`", cells[0]) and cells[1].startswith("`"):
            listed.setdefault(cells[0].strip("`"), re.match(r"`(.*?)`", cells[1])[1])
    fields = TrajectorySpec().flat()
    expected = {field: value for field, value in fields.items() if not field.startswith(ELSEWHERE)}
    assert expected.keys() <= listed.keys()
    for field, value in expected.items():
        if listed[field] == "auto":  # which follows other fields, and is resolved by now
            assert field in FOLLOWING
        else:
            assert yaml.safe_load(listed[field]) in ([[], {}] if value == "" else [value]), field


def test_the_tables_page_lists_every_column_with_its_role_and_unit():
    rows = {cells[0].strip("`"): cells for cells in table("tables.md") if cells[0].startswith("`")}
    for schema in TABLES.values():
        for column in schema:
            cells, metadata = rows[column.name], {key.decode(): text.decode() for key, text in column.metadata.items()}
            assert cells[1] == str(column.type)
            if metadata["role"] == "field":
                assert cells[2:3] == [metadata.get("unit", "")]
            else:
                assert cells[2:4] == [metadata["role"], metadata.get("unit", "")]


def test_every_variable_of_the_environment_is_listed():
    code = "".join(module.read_text(encoding="utf-8") for module in (ROOT / "lthray").rglob("*.py"))
    variables = set(re.findall(r'"((?:LTHRAY|RAY|TUNE)_[A-Za-z_]+)"', code)) - {
        "RAY_JOB_STOP_WAIT_TIME_S"
    }  # a job's own
    page = (REFERENCE / "environment.md").read_text(encoding="utf-8")
    assert len(variables) > 8
    assert {variable for variable in variables if variable not in page} == set()


def test_there_are_commands_and_sweep_files_to_check():
    assert len(COMMAND_LINES) > 60
    assert len(SWEEPS) > 8
    assert {shlex.split(line)[1] for _, line in COMMAND_LINES} >= COMMANDS.keys()


@pytest.mark.parametrize(("document", "line"), COMMAND_LINES, ids=name)
def test_a_command_has_options_that_there_are(document, line):
    _, command, *words = shlex.split(line.partition(" | ")[0].removesuffix(" &"), comments=True)
    parser = COMMANDS[command].make_parser(typer.Context(COMMANDS[command]))
    parser.parse_args(words)


@pytest.mark.parametrize(("document", "text"), SWEEPS, ids=name)
def test_a_sweep_file_is_valid(document, text, tmp_path, monkeypatch):
    """A file without a name is a fragment of one. The first code of the document makes what it refers to."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "shown.yaml"
    path.write_text(text if re.search("^name:", text, re.MULTILINE) else f"name: fragment\n{text}")
    code = [code for language, code in blocks(document) if language == "python"]
    if "nets.py" in text:
        (tmp_path / "nets.py").write_text(code[0])
    if "digits.npz" in text:
        exec(compile(code[0], str(document), "exec"), {})
    assert load(path, (), partial(look_up, data_dir=tmp_path))[1]


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_python_can_be_read(document):
    """In CONTRIBUTING.md, `...` stands for what a table holds already."""
    for language, text in blocks(document):
        if language == "python":
            ast.parse(text.replace("{..., ", "{"))


def test_outputs_follow_their_code_in_the_tutorial():
    languages = [language for language, _ in blocks(ROOT / "docs" / "tutorial.md")]
    assert "console" in languages
    assert all(before == "python" for before, after in pairwise(languages) if after == "text")
    assert all(text for language, text in blocks(ROOT / "docs" / "tutorial.md") if language == "text")


def test_outputs_are_written_into_a_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "A\n\n```console\n$ ls sweeps | head -n 1\nold\n$ echo a\n```\n\n```python\nprint(2)\n```\n\n```text\n1\n```\n"
    )
    write_outputs(page)
    console = "```console\n$ ls sweeps | head -n 1\nablations\n$ echo a\na\n```\n"
    assert page.read_text() == f"A\n\n{console}\n```python\nprint(2)\n```\n\n```text\n2\n```\n"


@pytest.mark.slow
def test_python_of_a_sweep_of_ones_own_runs(tmp_path):
    """docs/python.md with the files of docs/own.md, on fewer seeds, iterations and steps."""
    own = blocks(ROOT / "docs" / "own.md")
    (tmp_path / "nets.py").write_text(next(text for language, text in own if language == "python"))
    (tmp_path / "own.yaml").write_text(next(text for language, text in own if language == "yaml"))
    (code,) = [text for language, text in blocks(ROOT / "docs" / "python.md") if language == "python"]
    for given, fewer in {
        '"iterations": 1000, "grid.seed": [0, 1]': '"iterations": 100, "grid.seed": [0], "end_attacks": []',
        '"steps": 100, "restarts": 5': '"steps": 2, "restarts": 1',
    }.items():
        assert given in code
        code = code.replace(given, fewer)
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "results" / "own" / "report" / "index.html").exists()
