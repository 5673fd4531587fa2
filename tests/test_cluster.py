"""A sweep on a running Ray cluster of two nodes, on this machine."""

import subprocess
import sys

import pandas as pd
import pytest

from tests.conftest import TINY, environment, lthray
from tests.test_sweep import tables

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
