"""Whose a results folder is, and of which version, when it is opened."""

import json
import shutil

import pytest

from lthray.driver.opening import check_owner, migrate, outdated_line
from lthray.driver.status import status
from lthray.errors import InputError
from lthray.spec.sweepfile import load
from lthray.store.folder import Store
from tests.helpers import GOLDEN, SWEEPS, failed, lthray


@pytest.fixture
def old(tmp_path) -> Store:
    shutil.copytree(GOLDEN / "source", tmp_path / "source")
    return Store(tmp_path / "source")


def test_a_folder_of_another_sweep_is_not_taken_over(tmp_path, sweep_file):
    store = Store(tmp_path / "results")
    mine, trajectories = load(sweep_file())
    check_owner(store, mine, trajectories)  # there is no folder yet
    store.create(mine.resolved())
    check_owner(store, mine, trajectories)
    check_owner(store, *load(sweep_file(grid={"seed": [7]})))  # the same sweep, grown
    check_owner(store, *load(sweep_file(name="renamed")))
    check_owner(store, *load(sweep_file(name="smaller"), ["grid.seed=[1]"]))
    foreign = load(sweep_file(name="foreign"), ["grid.seed=[7, 8]"])
    with pytest.raises(InputError, match="holds the sweep tiny, which has no trajectory in common with foreign"):
        check_owner(store, *foreign)


def test_the_command_line_says_so_and_can_be_forced(tmp_path, sweep_file):
    out = tmp_path / "results"
    Store(out).create(load(sweep_file())[0].resolved())
    before = (out / "sweep.yaml").read_bytes()
    options = ("--set", "grid.seed=[7]", "--out", out, "--dry-run")
    failed(lthray("sweep", sweep_file(name="foreign"), *options), "holds the sweep tiny", "--out", "--force")
    assert (out / "sweep.yaml").read_bytes() == before
    assert lthray("sweep", sweep_file(name="foreign"), *options, "--force").returncode == 0


def test_a_folder_is_migrated_once_and_says_so(old):
    sweep, trajectories = load(SWEEPS / "source.yaml")
    line = f"not counted: 4 trajectories of an older lthray; run lthray migrate {old.folder}"
    assert outdated_line(old, sweep, trajectories) == line
    assert status(sweep, trajectories, old).outdated == line
    lines = []
    assert migrate(old, sweep, trajectories, lines.append)
    assert lines == [f"migrated 4 trajectories of {old.folder} to the ids of this version of lthray"]
    assert not migrate(old, sweep, trajectories, lines.append)
    assert len(lines) == 1
    assert outdated_line(old, sweep, trajectories) is None
    assert set(old.done(trajectories).values()) == {4}
    assert not (old.folder / "running.json").exists()


def test_nothing_is_written_where_nothing_is_to_migrate(tmp_path):
    assert not migrate(Store(tmp_path / "none"), *load(SWEEPS / "source.yaml"), pytest.fail)
    assert not (tmp_path / "none").exists()


def test_status_reads_an_old_folder_and_leaves_it_as_it_is(old):
    before = sorted(str(file) for file in old.folder.rglob("*"))
    process = lthray("status", old.folder)
    assert process.returncode == 0, process.stderr
    assert "not counted: 4 trajectories of an older lthray; run lthray migrate" in " ".join(process.stdout.split())
    assert "4 trajectories of an older" in json.loads(lthray("status", old.folder, "--json").stdout)["outdated"]
    assert lthray("report", old.folder).returncode == 0
    shutil.rmtree(old.folder / "report")
    (old.folder / "looks.json").unlink()  # how often verdicts were asked of it
    assert sorted(str(file) for file in old.folder.rglob("*")) == before


def test_lthray_migrate_says_how_much_it_was(old, tmp_path):
    process = lthray("migrate", old.folder)
    assert (process.returncode, process.stdout.split()[:3]) == (0, ["migrated", "4", "trajectories"])
    assert lthray("migrate", old.folder).stdout == f"nothing to migrate in {old.folder}\n"
    failed(lthray("migrate", tmp_path / "none"), "no such folder")


def test_an_evaluation_migrates_before_it_measures(old):
    options = (
        "--attack",
        "pgd",
        "--set",
        "pgd.steps=20",
        "--set",
        "pgd.restarts=2",
        "--set",
        "attack_label=ground-truth",
    )
    process = lthray("evaluate", old.folder, *options)
    assert process.returncode == 0, process.stderr
    assert "migrated 4 trajectories" in process.stdout
    assert "nothing to measure; 16 of 16 measured" in process.stdout
