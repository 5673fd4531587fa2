"""Facts of a release that several files state agree, and the steps of the release workflow do what they are for."""

import os
import re
import shlex
import subprocess
import tomllib
from itertools import chain

import pytest
import yaml
from click import Context
from packaging.specifiers import SpecifierSet
from typer.main import get_command

import lthray
from lthray.cli.main import app
from tests.helpers import ROOT

WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def steps() -> list[dict]:
    jobs = chain.from_iterable(workflow["jobs"].values() for workflow in WORKFLOWS.values())
    return [step for job in jobs for step in job.get("steps", [])]


def commands(pattern: str) -> list[list[str]]:
    """The words behind each command of the workflows that matches."""
    lines = "\n".join(step.get("run", "") for step in steps())
    return [shlex.split(line) for line in re.findall(rf"^{pattern} (.*)$", lines, re.MULTILINE)]


def test_every_file_names_the_same_versions_of_python():
    tested = WORKFLOWS["ci"]["jobs"]["test"]["strategy"]["matrix"]["python"]
    offered = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if ":: Python :: 3." in text]
    assert tested == offered
    first, last = (int(version.partition(".")[2]) for version in (tested[0], tested[-1]))
    assert SpecifierSet(PROJECT["requires-python"]) == SpecifierSet(f">=3.{first},<3.{last + 1}")
    makefile = (ROOT / "Makefile").read_text()
    assert f"(3, {first}) <= v[:2] <= (3, {last})" in makefile
    for path in ("Makefile", "README.md", "docs/cluster.md"):
        spans = re.findall(r"Python (3\.\d+) to (3\.\d+)", (ROOT / path).read_text())
        assert set(spans) == {(tested[0], tested[-1])}, path


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["title"], citation["version"]) == ("lthray", lthray.__version__)
    assert citation["license"] == PROJECT["license"]
    assert [author["name"] for author in citation["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_workflows_make_what_the_makefile_has():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    made = {words[0] for words in commands("make")}
    assert {"check", "test", "test-slow"} <= made <= targets


def test_the_workflows_call_commands_of_lthray():
    called = commands("empty/bin/lthray")
    assert [name for name, *_ in called] == ["sweep", "report"]
    for name, *words in called:
        command = get_command(app).commands[name]
        command.make_parser(Context(command)).parse_args(words)


def release_step(name: str) -> str:
    (script,) = (step["run"] for step in WORKFLOWS["release"]["jobs"]["build"]["steps"] if step.get("name") == name)
    return script


def run(script: str, tag: str, folder) -> subprocess.CompletedProcess:
    """Runs a step as GitHub does: by bash, which ends at the first command that fails."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder, env=os.environ | {"GITHUB_REF_NAME": tag}, capture_output=True, check=False,
    )  # fmt: skip


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path):
    script = release_step("Take this version's section of the changelog")
    sections = [
        "# Changelog\n\nText.",
        "## Unreleased\n\n- next",
        "## 0.3.0 (2027-01-01)\n\n### Added\n- this",
        "## 0.2.0\n- last",
    ]
    (tmp_path / "CHANGELOG.md").write_text("\n\n".join(sections) + "\n")
    assert run(script, "v0.3.0", tmp_path).returncode == 0
    assert (tmp_path / "notes.md").read_text().strip() == "### Added\n- this"
    assert run(script, "v0.2.0", tmp_path).returncode == 0
    assert (tmp_path / "notes.md").read_text().strip() == "- last"
    assert run(script, "v0.4.0", tmp_path).returncode != 0  # no such section


@pytest.mark.parametrize(("tag", "released"), [("v0.3.0", True), ("v0.3.1", False)])
def test_a_tag_that_is_not_the_version_ends_the_release(tag, released, tmp_path):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "lthray-0.3.0.tar.gz").touch()
    assert (run(release_step("Hold the tag against the version"), tag, tmp_path).returncode == 0) == released


def test_what_the_image_copies_is_there_and_not_ignored():
    copied = {
        source
        for line in (ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((ROOT / source).exists() for source in copied)
