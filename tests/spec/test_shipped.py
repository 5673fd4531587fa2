"""The sweeps that come with lthray, by name."""

import re
from pathlib import Path

import pytest

from lthray.errors import InputError
from lthray.spec.shipped import describe_shipped, find_sweep, shipped_files
from lthray.spec.sweepfile import load
from tests.helpers import ROOT

SHIPPED = {sweep.name: sweep for sweep in describe_shipped()}


def test_every_file_has_its_name():
    assert {str(path.relative_to(ROOT / "sweeps")) for path in shipped_files().values()} == {
        f"{name}.yaml" for name in SHIPPED
    }
    assert {"quickstart", "paper", "ablations/weight-decay", "own/cifar10-resnet"} <= SHIPPED.keys()


@pytest.mark.parametrize("name", ["quickstart", "fashion-small", "paper", "ablations/retraining", "ablations/width"])
def test_the_cost_is_that_of_the_trajectories(name):
    _, trajectories = load(shipped_files()[name])
    shipped = SHIPPED[name]
    assert shipped.trajectories == len(trajectories)
    assert shipped.trainings == sum(spec.rounds + 1 for spec in trajectories)
    assert shipped.iterations == sum(spec.iterations_from(0) for spec in trajectories)
    assert shipped.datasets == sorted({spec.dataset for spec in trajectories})


@pytest.mark.parametrize("name", [name for name in SHIPPED if name.startswith("ablations/")])
def test_the_cost_is_the_one_that_the_file_states(name):
    text = shipped_files()[name].read_text()
    stated = re.search(r"(\d+) trajectories, (\d+) trainings of ([\d,]+) iterations in all", text)
    assert SHIPPED[name].trajectories == int(stated[1])
    assert SHIPPED[name].trainings == int(stated[2])
    assert f"{SHIPPED[name].iterations:,}" == stated[3]


@pytest.mark.parametrize("sweep", SHIPPED.values(), ids=SHIPPED)
def test_the_question_is_one_sentence(sweep):
    assert re.fullmatch(r"[A-Z].{20,200}[.?]", sweep.question)


def test_a_file_on_disk_wins_over_a_name_and_a_folder_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_sweep(Path("quickstart")) == ROOT / "sweeps" / "quickstart.yaml"
    (tmp_path / "quickstart").mkdir()
    assert find_sweep(Path("quickstart")) == ROOT / "sweeps" / "quickstart.yaml"
    (tmp_path / "quickstart").rmdir()
    (tmp_path / "quickstart").write_text("name: mine")
    assert find_sweep(Path("quickstart")) == Path("quickstart")


@pytest.mark.parametrize(
    ("source", "hint"),
    [
        ("quikstart", "did you mean quickstart? "),
        ("weight-decay", "did you mean ablations/weight-decay? "),
        ("sweeps/epsilon.yaml", "did you mean ablations/epsilon? "),
        ("zzz", ""),
    ],
)
def test_what_is_neither_gets_the_nearest_names(source, hint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        find_sweep(Path(source))
    listed = "lthray sweeps lists those that come with lthray"
    assert str(error.value) == f"{source}: no such file and no shipped sweep; {hint}{listed}"
