"""A sweep on a running Ray cluster of two nodes, on this machine."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import TINY, command, environment, lthray, tables

pytestmark = pytest.mark.slow

SCRIPT = """
import subprocess, sys
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": HEAD_CPUS})
NODES
sweep = subprocess.Popen([*sys.argv[1:], "--address", cluster.address], stdout=subprocess.PIPE, text=True)
for line in sweep.stdout:
    print(line, end="")
REACTION
status = sweep.wait()
cluster.shutdown()
sys.exit(status)
"""
"""Runs a sweep on a cluster, and reacts to the lines that it prints."""


def sweep_on_cluster(path, out, reaction="", head_cpus=1, nodes=""):
    """What a sweep prints on a cluster whose nodes come and go while it runs.

    Args:
        path: The sweep file.
        out: The results folder.
        reaction: Statements run after each `line` that the sweep prints.
        head_cpus: CPUs of the head.
        nodes: Statements that add further nodes to `cluster` before the sweep begins.
    """
    reaction = textwrap.indent(textwrap.dedent(reaction), "    ")
    script = SCRIPT.replace("HEAD_CPUS", str(head_cpus)).replace("NODES", nodes).replace("REACTION", reaction)
    process = subprocess.run(
        [sys.executable, "-c", script, *command("sweep", path, "--out", out)],
        capture_output=True,
        text=True,
        env=environment(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled"),
        timeout=280,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def assert_rows_are_those_of_a_sweep_alone(path, out, alone):
    process = lthray("sweep", path, "--out", alone)
    assert process.returncode == 0
    for shared, expected in zip(tables(out), tables(alone), strict=True):
        pd.testing.assert_frame_equal(shared, expected)


@pytest.mark.parametrize("what", ["leave", "kill"])
def test_a_sweep_on_two_nodes_is_complete_also_when_one_is_lost(what, sweep_file, tmp_path):
    fields = TINY["trajectory"] | {"rounds": 4, "iterations": 200, "eval_every": 50}
    path = sweep_file(trajectory=fields, grid={"strategy": ["reset", "continued"], "seed": [0, 1]})
    lose = """
        if "round 1 of" in line and second is not None:
            cluster.remove_node(second, allow_graceful=False)
            second = None
    """
    out = tmp_path / "r"
    printed = sweep_on_cluster(path, out, lose if what == "kill" else "", nodes="second = cluster.add_node(num_cpus=1)")
    assert "connecting to Ray at" in printed
    assert "4 trajectories in 2 trials" in printed
    assert ("resuming from its last checkpoint or finished round" in printed) == (what == "kill")
    assert_rows_are_those_of_a_sweep_alone(path, out, tmp_path / "alone")


def test_a_node_that_joins_takes_stacks_that_are_split_for_it(sweep_file, tmp_path):
    fields = TINY["trajectory"] | {"rounds": 2, "iterations": 2000, "eval_every": 500}
    path = sweep_file(trajectory=fields, grid={"train_attack": ["none", "fgsm"], "seed": [0, 1, 2]})
    join = """
        if "trial 1 " in line and len(cluster.list_all_nodes()) == 1:
            cluster.add_node(num_cpus=3)
    """
    out = tmp_path / "r"
    printed = sweep_on_cluster(path, out, join)
    assert "6 trajectories in 2 trials" in printed
    assert "nodes have joined, 4 trials can run at the same time now: what waits is planned anew in 3 trials" in printed
    assert "6 of 6 trajectories complete" in printed
    stacks = pd.read_parquet(out / "rounds").groupby("train_attack")["stack"].unique()
    assert sorted(stacks.map(list)) == [[1], [3]]
    assert_rows_are_those_of_a_sweep_alone(path, out, tmp_path / "alone")


def test_a_sweep_whose_nodes_are_all_lost_says_so_and_goes_on_when_one_joins(sweep_file, tmp_path):
    fields = TINY["trajectory"] | {"rounds": 4, "iterations": 200, "eval_every": 50}
    path = sweep_file(trajectory=fields, grid={"seed": [0]})
    lose_and_join = """
        if "round 1 of" in line and worker is not None:
            cluster.remove_node(worker, allow_graceful=False)
            worker = None
        if "waiting until one joins" in line and len(cluster.list_all_nodes()) == 1:
            cluster.add_node(num_cpus=1)
    """
    nodes = "worker = cluster.add_node(num_cpus=1)"
    printed = sweep_on_cluster(path, tmp_path / "r", lose_and_join, head_cpus=0, nodes=nodes)
    assert "no node with 1 CPUs is left in the cluster: waiting until one joins" in printed
    assert "1 of 1 trajectory complete" in printed


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


REFUSED = "set RAY_AUTH_MODE=token, and the cluster's token as RAY_AUTH_TOKEN or in ~/.ray/auth_token"


@pytest.mark.parametrize(
    ("access", "said"),
    [
        ({"RAY_AUTH_MODE": "disabled"}, "the cluster asks for a token"),
        ({"RAY_AUTH_MODE": "token"}, "the cluster asks for a token"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another"}, "the cluster refuses this token"),
    ],
)
def test_a_token_that_is_missing_or_wrong_is_said_to_be_that(access, said, guarded_head, sweep_file, tmp_path):
    where = {"HOME": str(tmp_path), "RAY_TMPDIR": guarded_head.environment["RAY_TMPDIR"]}
    for name, address in ("sweep", guarded_head.address), ("submit", guarded_head.url):
        process = lthray(name, sweep_file(), "--out", tmp_path / "r", "--address", address, **where, **access)
        assert process.returncode == 2, process.stdout + process.stderr
        assert process.stderr == f"lthray: --address {address}: {said}: {REFUSED}\n"


def test_with_its_token_a_cluster_takes_sweeps_by_address_by_ray_address_and_as_jobs(
    guarded_head, sweep_file, tmp_path
):
    path = sweep_file(trajectory=TINY["trajectory"] | {"rounds": 0}, grid={"seed": [0]})
    access = guarded_head.environment
    for out, (name, *options), variables in [
        ("address", ("sweep", "--address", guarded_head.address), {}),
        ("variable", ("sweep",), {"RAY_ADDRESS": guarded_head.address}),
        ("job", ("submit", "--address", guarded_head.url), {}),
    ]:
        process = lthray(name, path, *options, "--out", tmp_path / out, **access, **variables)
        assert process.returncode == 0, process.stdout + process.stderr
        assert f"connecting to Ray at {guarded_head.address}" in process.stdout
        assert "1 of 1 trajectory complete" in process.stdout
