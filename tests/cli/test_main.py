"""The command line in a process of its own: what it prints and how it ends. Training is in test_sweep.py."""

import subprocess
import sys

import pytest
import yaml

import lthray as package
from tests.helpers import ROOT, failed, lthray


def test_help_names_the_commands_and_what_they_do():
    process = lthray("--help")
    assert process.returncode == 0
    for word in ("sweep", "status", "report", "--version"):
        assert word in process.stdout
    sweep = lthray("sweep", "--help")
    for word in (
        "SWEEP.yaml",
        "--out",
        "--data-dir",
        "--set",
        "--address",
        "--dry-run",
        "130 interrupted",
        "LTHRAY_DATA_DIR",
    ):
        assert word in sweep.stdout


def test_version():
    assert lthray("--version").stdout == f"lthray {package.__version__}\n"


@pytest.mark.parametrize("module", ["torch", "ray", "pandas", "matplotlib"])
def test_help_does_not_wait_for_what_it_does_not_need(module):
    code = f"import lthray.cli.main, sys; sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_dry_run_prints_the_trajectories_and_their_cost_and_writes_nothing(sweep_file, tmp_path):
    process = lthray("sweep", sweep_file(), "--dry-run", cwd=tmp_path)
    assert process.returncode == 0
    lines = process.stdout.splitlines()
    assert lines[0].split() == ["trajectory", "strategy", "seed", "rounds", "done"]
    assert [line.split()[1:] for line in lines[1:7]] == [
        [strategy, str(seed), "0", "of", "3"] for strategy in ("reset", "random", "continued") for seed in (0, 1)
    ]
    assert lines[-1] == (
        "6 trajectories, 0 of them complete in results/tiny; to do: 18 trainings of 540 iterations in all"
    )
    assert not (tmp_path / "results").exists()


def test_dry_run_of_the_paper_counts_its_cost():
    process = lthray("sweep", ROOT / "sweeps" / "paper.yaml", "--dry-run")
    assert "90 trajectories" in process.stdout
    assert "1,890 trainings of 94,500,000 iterations in all" in process.stdout


@pytest.mark.parametrize("command", [["sweep", "--dry-run"], ["status"], ["protocol"]])
def test_what_only_reads_does_not_import_torch_or_ray(command, sweep_file, tmp_path):
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store

    Store(tmp_path / "r").create(load(sweep_file())[0].resolved())
    argument = {"sweep": [sweep_file()], "status": [tmp_path / "r"], "protocol": []}[command[0]]
    code = (
        "import sys; from typer.testing import CliRunner; from lthray.cli.main import app;"
        f" r = CliRunner().invoke(app, {[*command, *map(str, argument)]!r});"
        " sys.exit(r.exit_code or 'torch' in sys.modules or 'ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_bad_sweep_files(sweep_file, tmp_path):
    failed(lthray("sweep", tmp_path / "none.yaml"), "none.yaml: no such file")
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: [")
    failed(lthray("sweep", broken), "broken.yaml, line 1", "not valid YAML")
    failed(lthray("sweep", sweep_file(sed=1)), "tiny.yaml: sed: unknown key")
    failed(
        lthray("sweep", sweep_file(), "--set", "epsilon=-1"), "trajectory.epsilon", "-1", "greater than or equal to 0"
    )
    failed(lthray("sweep", sweep_file(), "--set", "dataset=cifar"), "dataset: cifar", "allowed are mnist")
    failed(lthray("sweep", sweep_file(grid={"seed": [0, 0]})), "are the same trajectory")


def test_an_output_folder_that_can_not_be_written(sweep_file, tmp_path):
    (tmp_path / "file").write_text("")
    failed(lthray("sweep", sweep_file(), "--out", tmp_path / "file" / "out"), "can't be written", "Not a directory")


def test_data_that_is_not_there(sweep_file, tmp_path):
    """Where there is a network it would be downloaded: a proxy that is not there takes it away."""
    process = lthray(
        *("sweep", sweep_file(), "--set", "dataset=fashion-mnist"),
        *("--data-dir", tmp_path / "data", "--out", tmp_path / "o"),
        http_proxy="http://127.0.0.1:9",
        https_proxy="http://127.0.0.1:9",
    )
    failed(
        process, "fashion-mnist: can't be downloaded", "train-images-idx3-ubyte[.gz]", "FashionMNIST/raw", "--data-dir"
    )


@pytest.mark.parametrize("command", ["status", "report"])
def test_folders_that_hold_no_results(command, tmp_path):
    failed(lthray(command, tmp_path / "none"), "none")
    (tmp_path / "empty").mkdir()
    failed(lthray(command, tmp_path / "empty"), "empty", "no results")


def test_wrong_usage_is_bad_input():
    assert lthray("sweep").returncode == 2
    assert lthray("swep").returncode == 2
    assert lthray("sweep", "x.yaml", "--frobnicate").returncode == 2


def test_status_of_a_sweep_that_has_not_begun(sweep_file, tmp_path):
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store

    Store(tmp_path / "r").create(load(sweep_file())[0].resolved())
    process = lthray("status", tmp_path / "r")
    assert process.returncode == 0
    assert process.stdout.splitlines()[1].split() == ["reset", "2", "0", "0", "0", "0", "of", "6"]
    *_, every, last = process.stdout.splitlines()
    assert every.split() == ["all", "6", "0", "0", "0", "0", "of", "18"]
    assert last == "no sweep is running here: run the same lthray sweep again for the rest"


def test_a_folder_whose_grid_was_set_away_reads_its_own_sweep(sweep_file, tmp_path):
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store

    sweep, (spec,) = load(sweep_file(), ["strategy=reset", "seed=0"])
    Store(tmp_path / "r").create(sweep.resolved())
    status = lthray("status", tmp_path / "r")
    assert status.returncode == 0, status.stderr
    assert status.stdout.splitlines()[1].split() == ["1", "0", "0", "0", "0", "of", "3"]
    again = lthray("sweep", tmp_path / "r" / "sweep.yaml", "--out", tmp_path / "r", "--dry-run")
    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[1].split() == [spec.trajectory_id, "0", "of", "3"]


def test_the_sweep_written_back_is_read_again(sweep_file, tmp_path):
    from lthray.spec.sweepfile import load
    from lthray.store.folder import Store

    sweep, trajectories = load(sweep_file())
    Store(tmp_path / "r").create(sweep.resolved())
    again, same = load(tmp_path / "r" / "sweep.yaml")
    assert again.name == yaml.safe_load(sweep_file().read_text())["name"]
    assert same == trajectories
