"""Nothing finished is ever lost: drivers and workers killed for real, at the worst moments."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml
from safetensors import safe_open

from tests.helpers import TINY, lthray, readable, start, tables, wait_for

pytestmark = pytest.mark.slow

SWEEP = TINY | {
    "trajectory": TINY["trajectory"] | {"rounds": 4, "iterations": 200, "eval_every": 50},
    "grid": {"strategy": ["reset", "continued"], "seed": [0, 1]},
}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("faults") / "tiny.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


@pytest.fixture(scope="module")
def undisturbed(sweep) -> tuple[pd.DataFrame, pd.DataFrame]:
    assert lthray("sweep", sweep, "--out", sweep.parent / "whole").returncode == 0
    return tables(sweep.parent / "whole")


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that train for a driver."""
    family = psutil.Process(process.pid).children(recursive=True)
    found = [one for one in family if any("ImplicitFunc" in part for part in one.cmdline())]
    assert found
    return found


@pytest.mark.parametrize("moment", ["to train", "round 1 of 4", "tickets:5", "curves:3", "rounds:4", "first_rounds:1"])
def test_a_driver_killed_hard_loses_nothing(moment, sweep, undisturbed, tmp_path):
    """Killed before and within training, and between writing and renaming each kind of file."""
    out, driver = tmp_path / "cut", tmp_path / "driver"
    if ":" in moment:
        crash = {"LTHRAY_CRASH": moment, "LTHRAY_DRIVER": str(driver)}
        process = start(sweep, out, PYTHONPATH=str(Path(__file__).parent / "crash"), **crash)
        driver.write_text(str(process.pid))
        process.communicate(timeout=120)
    else:
        process = start(sweep, out)
        wait_for(process, moment)
        process.kill()
        process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL
    readable(out)
    if ":" in moment:
        assert list(out.rglob(".*.part")), "nothing was being written when the driver was killed"

    again = lthray("sweep", sweep, "--out", out)
    assert again.returncode == 0, again.stdout + again.stderr
    assert not list(out.rglob(".*.part"))
    for found, expected in zip(tables(out), undisturbed, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_a_worker_killed_in_round_3_goes_on_from_round_3(sweep, undisturbed, tmp_path):
    process = start(sweep, tmp_path / "r")
    wait_for(process, "round 2 of 4")
    keys = ["trajectory_id", "round"]
    done = pd.read_parquet(tmp_path / "r" / "rounds", columns=[*keys, "train_seconds"])
    for worker in workers(process):
        worker.kill()
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0, out
    assert (
        "its worker process died (killed, out of memory, or crashed): resuming from its last checkpoint or finished"
        " round, with a stack of 1" in out
    )
    assert done["round"].max() >= 2
    after = pd.read_parquet(tmp_path / "r" / "rounds", columns=[*keys, "train_seconds", "stack"])
    assert after.loc[after["round"] == 4, "stack"].min() == 1
    assert after.loc[after["round"] == 1, "stack"].max() == 2
    same = done.merge(after, on=keys, validate="one_to_one")
    assert len(same) == len(done)
    assert same["train_seconds_x"].equals(same["train_seconds_y"]), "a finished round was trained again"
    for found, expected in zip(tables(tmp_path / "r"), undisturbed, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_a_sweep_killed_inside_round_0_goes_on_from_its_checkpoints(tmp_path):
    """The driver and its workers are killed with SIGKILL; rows are those of an undisturbed sweep."""
    path = tmp_path / "long.yaml"
    fields = SWEEP["trajectory"] | {"rounds": 1, "iterations": 20_000, "eval_every": 500}
    path.write_text(yaml.safe_dump(SWEEP | {"trajectory": fields, "grid": {"seed": [0, 1]}}))
    # in one stack, so that both are inside of round 0 when the second checkpoint is there
    options = ("--set", "resources.checkpoint_minutes=0.001", "--set", "resources.stack=2")
    assert lthray("sweep", path, "--out", tmp_path / "whole").returncode == 0
    out = tmp_path / "cut"
    process = start(path, out, *options)
    until = time.monotonic() + 120
    while len(list((out / "checkpoints").glob("*.safetensors"))) < 2:
        assert time.monotonic() < until, "no checkpoint was written"
        time.sleep(0.05)
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        each.kill()
    process.communicate(timeout=60)
    assert not list((out / "rounds").glob("*.parquet")), "round 0 was over before the kill"
    before = {file: file.stat().st_mtime_ns for file in (out / "checkpoints").glob("*.safetensors")}
    held = {file.stem: json.loads(safe_open(file, "numpy").metadata()["checkpoint"]) for file in before}
    assert all(record["round"] == 0 and record["iteration"] > 0 for record in held.values())

    again = lthray("sweep", path, "--out", out)  # checkpoints from now on are minutes apart: none is written
    assert again.returncode == 0, again.stdout + again.stderr
    assert not list((out / "checkpoints").iterdir())
    for found, expected in zip(tables(out), tables(tmp_path / "whole"), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    seconds = pd.read_parquet(out / "rounds").query("round == 0").set_index("trajectory_id")["train_seconds"]
    for name, record in held.items():
        assert seconds[name] > record["train_seconds"], "the round was trained from its start"


def test_a_worker_that_dies_too_often_is_a_failure_with_its_reason(sweep, tmp_path):
    process = start(sweep, tmp_path / "r", "--set", "resources.retries=0")
    wait_for(process, "round 0 of 4")
    for worker in workers(process):
        worker.kill()
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 1, out
    assert "its worker process died (killed, out of memory, or crashed) and no retry is left" in out
    assert lthray("sweep", sweep, "--out", tmp_path / "r").returncode == 0
    assert not list((tmp_path / "r" / "failures").iterdir())


def test_a_worker_that_ray_kills_for_memory_comes_back_with_a_smaller_stack_and_the_line_says_so(sweep, tmp_path):
    """Ray's memory monitor, told that 1 % of the memory is enough, kills each worker."""
    monitor = {"RAY_memory_usage_threshold": "0.01", "RAY_memory_monitor_refresh_ms": "100"}
    options = ("--set", "resources.retries=1", "--set", "resources.stack=4", "--set", "iterations=100000")
    process = lthray("sweep", sweep, "--out", tmp_path / "r", *options, **monitor)
    assert process.returncode == 1, process.stdout + process.stderr
    cause = "Ray killed its worker process because its node ran low on memory"
    assert (
        f"trial 1: {cause}: resuming from its last checkpoint or finished round, with a stack of 2\n" in process.stdout
    )
    assert f"{cause} and no retry is left" in process.stdout
    assert "Traceback" not in process.stdout + process.stderr


def kill_ray(process: subprocess.Popen[str], name: str) -> None:
    """Kills a process of a sweep's own Ray, and none of another's."""
    family = psutil.Process(process.pid).children(recursive=True)
    (victim,) = [one for one in family if name in (one.name(), *one.cmdline())]
    victim.kill()


@pytest.mark.parametrize("name", ["raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"])
def test_a_sweep_whose_ray_is_killed_starts_it_again_and_goes_on(name, sweep, undisturbed, tmp_path):
    """The raylet dies with its agents; Ray itself then ends the process that talks to it, or lets it wait for ever."""
    process = start(sweep, tmp_path / "r")
    wait_for(process, "round 1 of 4")
    kill_ray(process, name)
    out, _ = process.communicate(timeout=280)
    assert process.returncode == 0, out
    assert "Ray died on this machine (killed, or out of memory): starting again with what is missing" in out
    assert "4 of 4 trajectories complete" in out
    for found, expected in zip(tables(tmp_path / "r"), undisturbed, strict=True):
        pd.testing.assert_frame_equal(found, expected)


def test_a_ray_that_is_killed_again_and_again_ends_the_sweep_in_a_line(sweep, tmp_path):
    process = start(sweep, tmp_path / "r", "--set", "iterations=1000000")
    for _ in range(4):
        wait_for(process, "to train")
        kill_ray(process, "raylet")
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 1, out
    assert out.splitlines()[-1].startswith("lthray: Ray died 4 times in a row and nothing was finished in between")
    assert "Traceback" not in out


def test_a_second_driver_is_refused_and_the_lock_of_a_dead_one_is_not_in_the_way(sweep, tmp_path):
    first = start(sweep, tmp_path / "r")
    wait_for(first, "to train")
    second = lthray("sweep", sweep, "--out", tmp_path / "r")
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert f"another sweep is writing into this folder (process {first.pid} on " in second.stderr
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    time.sleep(1)
    assert lthray("sweep", sweep, "--out", tmp_path / "r").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_is_a_clear_failure_and_the_sweep_goes_on_when_there_is_space(sweep, undisturbed, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    try:
        full = lthray("sweep", sweep, "--out", disk / "r", "--set", "resources.retries=0")
        assert full.returncode == 1, full.stdout + full.stderr
        assert "No space left on device" in full.stdout
        assert "Traceback" not in full.stderr
        readable(disk / "r")
        subprocess.run(["mount", "-o", "remount,size=100m", disk], check=True)
        again = lthray("sweep", sweep, "--out", disk / "r")
        assert again.returncode == 0, again.stdout + again.stderr
        for found, expected in zip(tables(disk / "r"), undisturbed, strict=True):
            pd.testing.assert_frame_equal(found, expected)
    finally:
        subprocess.run(["umount", disk], check=True)
