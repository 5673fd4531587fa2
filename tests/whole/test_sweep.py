"""Whole sweeps: the real command line, real Ray, real Parquet."""

import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
import yaml

from lthray.driver import lock
from tests.helpers import KEYS, TINY, command, environment, lthray, start, tables, wait_for


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny sweep, run to its end in a process of its own."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY | {"resources": {"cpus": 1, "gpus": 0.25}}))
    return folder, lthray("sweep", "tiny.yaml", cwd=folder)


def test_a_sweep_trains_every_trajectory_and_says_so(finished):
    folder, process = finished
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    lines = process.stdout.splitlines()
    assert lines[:2] == ["starting Ray", "no GPU in reach of Ray: trials run on CPU"]
    assert lines[2] == "to train: 6 trajectories in 2 trials, 18 rounds, 540 iterations"
    assert sum("round 2 of 2" in line for line in lines) == 2
    assert lines[-2:] == [
        "trained 18 rounds; 6 of 6 trajectories complete in results/tiny",
        "next: lthray report results/tiny",
    ]
    rounds, curves = tables(folder / "results" / "tiny")
    assert len(rounds) == 18
    assert len(curves) == 18 * 4 * 2 * 2
    assert rounds.groupby("trajectory_id")["round"].apply(list).tolist() == [[0, 1, 2]] * 6
    assert not list((folder / "results").rglob("*.part"))
    assert len(list((folder / "results").rglob("*.safetensors"))) == 18
    # paired seeds: one start and one course of round 0, whatever the strategy
    dense = rounds[rounds["round"] == 0].groupby("seed")["final_none_accuracy_validation"]
    assert (dense.max() == dense.min()).all()


def test_a_gpu_that_ray_has_and_pytorch_does_not_is_said(sweep_file, tmp_path, monkeypatch):
    """Ray is told of a GPU that is not there: the trial gets its share, trains on CPU and says so once."""
    path = sweep_file(grid={"seed": [0, 1]}, resources={"cpus": 1, "gpus": 0.5, "stack": 1})
    process = lthray("sweep", path, "--out", tmp_path / "r", RAY_OVERRIDE_RESOURCES='{"CPU": 2, "GPU": 1}')
    assert process.returncode == 0, process.stderr
    assert process.stdout.count("Ray has GPUs, but PyTorch in its workers finds none: trials run on CPU") == 1
    assert "no GPU in reach" not in process.stdout
    assert "6 rounds; 2 of 2 trajectories complete" in process.stdout


def test_the_same_command_again_trains_nothing_and_says_so(finished):
    folder, _ = finished
    began = time.monotonic()
    process = lthray("sweep", "tiny.yaml", cwd=folder)
    assert process.returncode == 0
    assert process.stdout.splitlines()[0] == "nothing to train; 6 of 6 trajectories complete in results/tiny"
    assert time.monotonic() - began < 60


def test_status_and_report_of_a_finished_sweep(finished):
    folder, _ = finished
    status = lthray("status", folder / "results" / "tiny")
    assert status.returncode == 0
    assert status.stdout.splitlines()[-1].split() == ["all", "6", "6", "0", "0", "18", "of", "18"]
    report = lthray("report", folder / "results" / "tiny")
    assert report.returncode == 0, report.stderr
    page = folder / "results" / "tiny" / "report" / "index.html"
    assert report.stdout.splitlines()[-2:] == [f"report: {page}", f"open it: {page.as_uri()}"]
    assert page.stat().st_size > 10_000
    elsewhere = lthray("report", folder / "results" / "tiny", "--out", folder / "page")
    assert (folder / "page" / "index.html").exists()
    assert elsewhere.returncode == 0
    (folder / "file").write_text("")
    refused = lthray("report", folder / "results" / "tiny", "--out", folder / "file")
    assert refused.returncode == 2
    assert "can't be written" in refused.stderr


def test_a_larger_grid_and_more_rounds_train_and_measure_only_what_is_new(finished):
    """Now with end attacks, and with verdicts declared: neither makes another trajectory of a trained one."""
    folder, _ = finished
    before, _ = tables(folder / "results" / "tiny")
    assert yaml.safe_load((folder / "results" / "tiny" / "sweep.yaml").read_text())["verdicts"]["at"] is None
    sets = ("grid.seed=[1,2]", "rounds=3", "end_attacks=[{pgd: {steps: 2}}]", "end_images=100", "verdicts.at=0.2")
    process = lthray("sweep", "tiny.yaml", *(word for one in sets for word in ("--set", one)), cwd=folder)
    assert process.returncode == 0, process.stderr
    assert "to train: 6 trajectories" in process.stdout
    assert "trained 15 rounds; 6 of 6 trajectories complete" in process.stdout
    after, _ = tables(folder / "results" / "tiny")
    assert len(after) == 18 + 15
    old = after.merge(before[["trajectory_id", "round"]]).sort_values(KEYS[:2], ignore_index=True)
    pd.testing.assert_frame_equal(old.drop(columns="rounds"), before.drop(columns="rounds"))
    assert after.groupby("round")["end_attacks"].agg(set).tolist() == [{"", "pgd(steps=2)"}] * 3 + [{"pgd(steps=2)"}]
    ends = pd.read_parquet(folder / "results" / "tiny" / "evaluations")
    assert not ends.duplicated(["trajectory_id", "round", "moment", "split", "attack", "images"]).any()
    measured = after[after["end_attacks"] != ""].merge(ends, on=["trajectory_id", "round"])
    assert len(measured) == len(ends) == 15 * 2
    assert set(zip(ends["attack"], ends["split"], ends["images"], strict=True)) == {("pgd(steps=2)", "test", 100)}
    early = measured[measured["moment"] == "early_stopping"]
    assert (early["iteration"] == early["early_stopping_iteration"]).all()
    stored = yaml.safe_load((folder / "results" / "tiny" / "sweep.yaml").read_text())
    assert stored["verdicts"] == {"at": 0.2, "margin": 0.01}


def test_a_failing_trajectory_is_named_and_stops_no_other(sweep_file, tmp_path):
    path = sweep_file(
        trajectory=TINY["trajectory"] | {"rounds": 1},
        grid={"learning_rate": [0.001, 1e30], "seed": [0]},
    )
    process = lthray("sweep", path, "--out", tmp_path / "r")
    assert process.returncode == 1, process.stderr
    rounds, _ = tables(tmp_path / "r")
    assert rounds.groupby("learning_rate")["round"].apply(list).to_dict() == {0.001: [0, 1]}
    assert "1 of 2 trajectories complete" in process.stdout
    assert "the loss stopped being finite between iterations 0 and 10" in process.stdout
    (failure,) = (tmp_path / "r" / "failures").iterdir()
    assert failure.stem in process.stdout
    status = lthray("status", tmp_path / "r")
    assert f"failed: {failure.stem} in round 0: the loss stopped being finite" in status.stdout
    again = lthray("sweep", path, "--out", tmp_path / "r")
    assert again.returncode == 1
    assert "to train: 1 trajectory in 1 trial," in again.stdout


def test_a_trial_that_breaks_before_it_says_anything_is_a_failure_with_its_reason(sweep_file, tmp_path):
    """A file lies where the tickets should: the worker can't write its first round."""
    path = sweep_file(trajectory=TINY["trajectory"] | {"rounds": 0}, grid={"seed": [0]}, resources={"retries": 0})
    out = tmp_path / "r"
    code = (
        "import lthray.driver; from lthray.store.folder import Store; create = Store.create;"
        " Store.create = lambda self, text: (create(self, text),"
        " (self.folder / 'tickets').write_text(''));"
        f" from lthray.cli.main import app; app(['sweep', {str(path)!r}, '--out', {str(out)!r}])"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=280, check=False
    )
    assert process.returncode == 1, process.stdout + process.stderr
    assert "NotADirectoryError" in process.stdout
    assert "0 of 1 trajectory complete" in process.stdout
    assert len(list((out / "failures").glob("*.json"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_sweep_keeps_what_is_finished_and_goes_on(number, sweep_file, tmp_path):
    path = sweep_file(
        trajectory=TINY["trajectory"] | {"rounds": 4, "iterations": 200, "eval_every": 50}, grid={"seed": [0, 1, 2]}
    )
    process = subprocess.Popen(
        command("sweep", path, "--out", tmp_path / "cut"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(), start_new_session=True,
    )  # fmt: skip
    assert process.stdout
    for line in process.stdout:
        if "round 1 of 4" in line:
            break
    # Ctrl-C reaches every process of the terminal's foreground group
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "interrupted: run the same command again for the rest" in out
    assert "Traceback" not in err
    kept, _ = tables(tmp_path / "cut")
    assert 2 <= len(kept) < 15

    rest = lthray("sweep", path, "--out", tmp_path / "cut")
    assert rest.returncode == 0, rest.stderr
    assert f"trained {15 - len(kept)} rounds" in rest.stdout
    whole = lthray("sweep", path, "--out", tmp_path / "whole")
    assert whole.returncode == 0
    for one, other in zip(tables(tmp_path / "cut"), tables(tmp_path / "whole"), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_sweep_interrupted_before_its_first_round_ends_says_what_is_left(sweep_file, tmp_path):
    path = sweep_file(trajectory=TINY["trajectory"] | {"iterations": 10**6, "eval_every": 500}, grid={"seed": [0, 1]})
    process = start(path, tmp_path / "r")
    wait_for(process, "to train: 2 trajectories")
    while not (lock.read(tmp_path / "r") or {"running": ["not any more"]})["running"]:
        time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert out.splitlines()[-2:] == [
        f"trained 0 rounds; 0 of 2 trajectories complete, 2 left in {tmp_path / 'r'}",
        "interrupted: run the same command again for the rest",
    ]


def test_a_cluster_that_is_not_there(sweep_file, tmp_path):
    process = lthray("sweep", sweep_file(), "--out", tmp_path / "r", "--address", "127.0.0.1:9")
    assert process.returncode == 2, process.stderr
    assert "--address 127.0.0.1:9: no Ray cluster can be reached" in process.stderr
    assert "Traceback" not in process.stderr
