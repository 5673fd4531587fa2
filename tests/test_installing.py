"""The commands that messages name for missing packages; the packages' own tests hold the other messages."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest

from lthray.driver import tuners
from lthray.errors import InputError
from lthray.installing import install_command
from tests.helpers import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


@pytest.fixture
def installed(monkeypatch):
    """The metadata of this version, which an editable installation may be behind."""
    extras = [f"{text}; extra == '{extra}'" for extra, texts in EXTRAS.items() for text in texts]
    monkeypatch.setattr(metadata, "requires", {"lthray": PROJECT["dependencies"] + extras}.get)


@pytest.mark.parametrize(
    ("extra", "package"),
    [("s3", "s3fs"), ("optuna", "optuna"), ("huggingface", "datasets"), ("cluster", "ray[default]")],
)
def test_a_command_names_the_requirement_itself_with_its_bound(extra, package, installed):
    (requirement,) = EXTRAS[extra]
    assert requirement.startswith(f"{package}>=")
    assert install_command(package) == f"pip install '{requirement}'"


def test_a_package_that_is_not_declared_and_a_job_without_metadata(installed, monkeypatch):
    assert install_command("wandb") == "pip install wandb"

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    assert install_command("s3fs") == "pip install s3fs"
    assert install_command("ray[default]") == "pip install 'ray[default]'"


def test_results_on_s3_without_its_package():
    code = "import sys; sys.modules['s3fs'] = None; from lthray.files import location; location('s3://bucket/run')"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert f"s3://bucket/run: the package for s3:// is not installed: {install_command('s3fs')}" in said


def test_a_search_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"search\.searcher: optuna is not installed: pip install '?optuna"):
        tuners._optuna(None, None)


def test_torchattacks_which_no_extra_can_name_has_one_bound_everywhere():
    """It pins an old requests, so that it is installed without its dependencies and stands in no metadata."""
    paths = ("lthray/driver/evaluate.py", "Makefile", "docs/evaluate.md")
    commands = [re.findall(r"--no-deps '(torchattacks>=[\d.]+)'", (ROOT / path).read_text()) for path in paths]
    assert all(commands)
    assert len({command for named in commands for command in named}) == 1


def test_no_message_names_a_package_that_no_index_has():
    assert not [path for path in (ROOT / "lthray").rglob("*.py") if "install 'lthray" in path.read_text()]
