"""The wheel alone, away from the checkout: what someone has who installs lthray from an index."""

import subprocess
import sys

import pytest

from tests.helpers import ROOT, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that the wheel is unpacked into, over the dependencies of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


@pytest.fixture
def run(site, tmp_path):
    def command(*arguments):
        line = [sys.executable, "-P", "-m", "lthray", *arguments]
        process = subprocess.run(
            line, cwd=tmp_path, env=environment(PYTHONPATH=str(site)), capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout

    return command


def test_it_is_the_wheel_that_is_imported(site, tmp_path):
    code = "import lthray; from lthray.spec.shipped import sweeps_folder; print(lthray.__file__, sweeps_folder())"
    said = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path, env=environment(PYTHONPATH=str(site)), capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said.split() == [str(site / "lthray" / "__init__.py"), str(site / "lthray" / "sweeps")]


def test_it_has_the_shipped_sweeps_with_the_code_beside_them(site, run):
    names = {path.relative_to(ROOT / "sweeps") for path in (ROOT / "sweeps").rglob("*.yaml")}
    assert {
        path.relative_to(site / "lthray" / "sweeps") for path in (site / "lthray").rglob("sweeps/**/*.yaml")
    } == names
    assert (site / "lthray" / "sweeps" / "own" / "cifar10.py").is_file()
    assert "ablations/weight-decay" in run("sweeps")
    assert "complete in results/quickstart" in run("sweep", "quickstart", "--dry-run")


def test_it_goes_from_a_first_file_to_a_report(run, tmp_path):
    assert run("init", "first", "--own") == "wrote first.yaml and first_net.py; next: lthray sweep first.yaml\n"
    sets = ["rounds=1", "iterations=20", "eval_every=10", "end_images=20"]
    assert "next: lthray report results/first" in run("sweep", "first.yaml", *(f"--set={text}" for text in sets))
    *lead, where, link = run("report", "results/first").splitlines()
    assert "5 seeds" in lead[0]
    assert where == "report: results/first/report/index.html"
    assert link == f"open it: {(tmp_path / 'results/first/report/index.html').as_uri()}"
