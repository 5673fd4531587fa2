"""`lthray init` and `lthray sweeps`: the first commands of someone new."""

import re

import pytest
import yaml

import lthray as package
from lthray.spec.sweep import SweepSpec
from tests.helpers import ROOT, failed, lthray


@pytest.mark.slow
@pytest.mark.parametrize("own", [False, True])
def test_what_is_laid_is_a_sweep_that_runs_to_its_report(own, tmp_path):
    laid = lthray("init", "first-try", *(["--own"] if own else []), cwd=tmp_path)
    assert laid.returncode == 0, laid.stderr
    wrote = "first-try.yaml and first_try_net.py" if own else "first-try.yaml"
    assert laid.stdout == f"wrote {wrote}; next: lthray sweep first-try.yaml\n"
    plan = lthray("sweep", "first-try.yaml", "--dry-run", cwd=tmp_path)
    assert plan.returncode == 0, plan.stderr
    assert ("by autograd on the module" in plan.stdout) == own
    small = ["rounds=1", "iterations=20", "eval_every=10", "end_images=20", "grid.seed=[0]"]
    sets = [word for text in small for word in ("--set", text)]
    trained = lthray("sweep", "first-try.yaml", *sets, cwd=tmp_path)
    assert trained.returncode == 0, trained.stdout + trained.stderr
    assert "2 of 2 trajectories complete in results/first-try\nnext: lthray report results/first-try" in trained.stdout


def test_every_section_is_explained(tmp_path):
    lthray("init", cwd=tmp_path)
    text = (tmp_path / "sweep.yaml").read_text()
    assert "lthray explain" in text
    assert "lthray sweeps" in text
    for name in SweepSpec.model_fields.keys() - {"own"}:  # which lthray writes itself
        assert re.search(rf"^(# )?{name}:", text, re.MULTILINE), name
    assert all("#" in line for line in text.splitlines() if re.match("  [a-z]", line))
    uncommented = re.sub(r"^# (?=(search|  space|  samples|transfer|loggers):)", "", text, flags=re.MULTILINE)
    assert yaml.safe_load(uncommented).keys() == SweepSpec.model_fields.keys() - {"own"}


@pytest.mark.parametrize("present", ["mine.yaml", "mine_net.py"])
def test_nothing_is_overwritten_and_nothing_is_half_laid(present, tmp_path):
    (tmp_path / present).write_text("precious")
    failed(lthray("init", "mine", "--own", cwd=tmp_path), f"{present}: exists already")
    assert [path.name for path in tmp_path.iterdir()] == [present]
    assert (tmp_path / present).read_text() == "precious"


def test_names(tmp_path):
    failed(lthray("init", "../x", cwd=tmp_path), "name: found '../x'")
    assert lthray("init", "1e4", cwd=tmp_path).returncode == 0
    plan = lthray("sweep", "1e4.yaml", "--dry-run", cwd=tmp_path)
    assert "results/1e4" in plan.stdout, plan.stderr


def test_shipped_sweeps_are_listed_and_named_without_a_path(tmp_path):
    listed = lthray("sweeps", cwd=tmp_path, COLUMNS="200")
    assert listed.returncode == 0, listed.stderr
    assert re.search(
        r"^quickstart +The poster's question .* iterations in all; digits-8x8", listed.stdout, re.MULTILINE
    )
    plan = lthray("sweep", "ablations/weight-decay", "--dry-run", cwd=tmp_path)
    assert "12 trajectories, 0 of them complete in results/weight-decay" in plan.stdout, plan.stderr
    assert len(package.plan("quickstart")) == 15
    failed(lthray("sweep", "quikstart", cwd=tmp_path), "no such file and no shipped sweep; did you mean quickstart?")
    failed(lthray("submit", "quikstart", "--address", "http://127.0.0.1:1", cwd=tmp_path), "did you mean quickstart?")


def test_code_beside_a_shipped_sweep_is_found_by_its_name(tmp_path):
    text = (ROOT / "sweeps" / "own" / "cifar10-resnet.yaml").read_text()
    assert "--set model=cifar10.py:ConvNet" in text
    gray = ["normalize.mean=[0.5]", "normalize.std=[0.5]", "augment=none", "validation_size=360", "dataset=digits-8x8"]
    sets = [f"--set={text}" for text in ("model=cifar10.py:ConvNet", *gray)]
    plan = lthray("sweep", "own/cifar10-resnet", *sets, "--dry-run", cwd=tmp_path)
    assert "18 trajectories trained by autograd on the module" in plan.stdout, plan.stderr
