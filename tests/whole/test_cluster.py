"""A sweep on a running Ray cluster of two nodes, on this machine."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import ROOT, TINY, command, environment, lthray, tables

pytestmark = pytest.mark.slow

TWO_NODES = """
import subprocess, sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
second = cluster.add_node(num_cpus=1)
sweep = subprocess.Popen([*sys.argv[2:], "--address", cluster.address], stdout=subprocess.PIPE, text=True)
for line in sweep.stdout:
    print(line, end="")
    if sys.argv[1] == "kill" and "round 1 of" in line:
        cluster.remove_node(second, allow_graceful=False)
        break
for line in sweep.stdout:
    print(line, end="")
status = sweep.wait()
cluster.shutdown()
sys.exit(status)
"""


@pytest.mark.parametrize("what", ["leave", "kill"])
def test_a_sweep_on_two_nodes_is_complete_also_when_one_is_lost(what, sweep_file, tmp_path):
    fields = TINY["trajectory"] | {"rounds": 4, "iterations": 200, "eval_every": 50}
    path = sweep_file(trajectory=fields, grid={"strategy": ["reset", "continued"], "seed": [0, 1]})
    process = subprocess.run(
        [sys.executable, "-c", TWO_NODES, what, sys.executable, "-m", "lthray", "sweep", path, "--out", tmp_path / "r"],
        capture_output=True,
        text=True,
        env=environment(RAY_USAGE_STATS_ENABLED="0"),
        timeout=280,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert "connecting to Ray at" in process.stdout
    assert "4 trajectories in 2 trials" in process.stdout
    assert ("it goes on from its last finished round" in process.stdout) == (what == "kill")
    alone = lthray("sweep", path, "--out", tmp_path / "alone")
    assert alone.returncode == 0
    for found, expected in zip(tables(tmp_path / "r"), tables(tmp_path / "alone"), strict=True):
        pd.testing.assert_frame_equal(found, expected)


APART = """
import os, shutil, subprocess, sys, time
import ray
from ray.cluster_utils import Cluster

folder, log = sys.argv[1:3]
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
node = f"mount -t tmpfs tmpfs {folder} && exec {sys.argv[3]} start --address={cluster.address} --num-cpus=1 --block"
second = subprocess.Popen(["unshare", "--mount", "sh", "-c", node], stdout=open(log, "w"), stderr=subprocess.STDOUT)
ray.init(cluster.address, log_to_driver=False)
for _ in range(60):
    time.sleep(0.5)
    if len([one for one in ray.nodes() if one["Alive"]]) == 2:
        break
ray.shutdown()
sweep = subprocess.run([*sys.argv[4:], "--address", cluster.address])
second.terminate()
second.wait()
cluster.shutdown()
sys.exit(sweep.returncode)
"""


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="a node with other disks takes root")
def test_a_node_that_does_not_see_the_results_is_found_before_anything_is_trained(sweep_file, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no node with other disks can be made here")
    ray, path = Path(sys.executable).with_name("ray"), sweep_file()
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            APART,
            shared,
            tmp_path / "node.log",
            ray,
            *command("sweep", path, "--out", shared / "r"),
        ],
        capture_output=True,
        text=True,
        env=environment(RAY_USAGE_STATS_ENABLED="0"),
        timeout=200,
        check=False,
    )
    assert process.returncode == 2, process.stdout + process.stderr
    assert f"{shared / 'r'}: node " in process.stderr
    assert "of the cluster does not see this folder; --out must be a folder that all nodes share" in process.stderr
    assert "to train" not in process.stdout


def test_a_sweep_by_ray_client_shows_its_progress_and_brings_its_code(head, sweep_file, tmp_path):
    """Tune runs in a process on the cluster, whose node has another lthray installed or none."""
    source = tmp_path / "source"
    for package in ("lthray",):
        shutil.copytree(ROOT / package, source / package)
    init = source / "lthray" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.0.0+travelled"', init.read_text()))
    path = sweep_file(grid={"learning_rate": [0.001, 1e30], "seed": [0, 1]})
    process = lthray(
        *("sweep", path, "--out", tmp_path / "r", "--address", head.client),
        cwd=source, PYTHONPATH=str(source), **head.environment,
    )  # fmt: skip
    assert process.returncode == 1, process.stdout + process.stderr
    assert re.findall(r"trial 1 .*round (\d) of 2", process.stdout) == ["0", "1", "2"]
    assert process.stdout.count("the loss stopped being finite") == 4, "two as they happen, two in the table"
    assert "2 of 4 trajectories complete" in process.stdout
    assert process.stderr == ""
    alone = lthray("sweep", path, "--out", tmp_path / "alone")
    assert alone.returncode == 1
    for found, expected in zip(tables(tmp_path / "r"), tables(tmp_path / "alone"), strict=True):
        if "lthray_version" in found:
            assert set(found.pop("lthray_version")) == {"0.0.0+travelled"}
            expected = expected.drop(columns="lthray_version")
        pd.testing.assert_frame_equal(found, expected)


def test_a_sweep_by_ray_client_is_interrupted_like_any_other(head, sweep_file, tmp_path):
    path = sweep_file(trajectory=TINY["trajectory"] | {"rounds": 200, "iterations": 200}, grid={"seed": [0]})
    with subprocess.Popen(
        command("sweep", path, "--out", tmp_path / "r", "--address", head.client),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(**head.environment), start_new_session=True,
    ) as process:  # fmt: skip
        for line in process.stdout:
            if "round 1 of 200" in line:
                break
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, out + err
    assert "interrupted: run the same command again for the rest" in out
    assert err == ""
    kept = len(tables(tmp_path / "r")[0])
    assert 2 <= kept < 201
    rest = lthray("sweep", path, "--out", tmp_path / "r", "--set", f"rounds={kept + 1}", "--address", head.client,
                  **head.environment)  # fmt: skip
    assert rest.returncode == 0, rest.stdout + rest.stderr
    rounds, _ = tables(tmp_path / "r")
    assert sorted(rounds["round"]) == list(range(kept + 2))
