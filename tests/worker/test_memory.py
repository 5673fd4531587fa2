"""Memory, measured and run out of for real."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from lthray.worker.memory import Footprint
from lthray.worker.probe import is_out_of_memory
from tests.helpers import environment, lthray, tables

GIB = 2**30

MEASURE = """
import sys
import numpy as np
from lthray.worker import memory, probe
from lthray.engine.arrays import Arrays
from lthray.spec.trajectory import TrajectorySpec

draw = np.random.default_rng(0)
images = [draw.integers(0, 256, (n, 784), dtype=np.uint8) for n in (60_000, 1_000)]
labels = [draw.integers(0, 10, n, dtype=np.uint8) for n in (60_000, 1_000)]
spec = TrajectorySpec(dataset="mnist", batch_size=int(sys.argv[1]))
found = probe.measure(spec, Arrays(images[0], labels[0], images[1], labels[1], 255), 0, 2**40)
print(found.base, found.per_trajectory)
assert found.base + 5 * found.per_trajectory < memory.memory_bound(spec, 5), found
"""

STARVED = """
import resource, sys
import numpy as np
import torch
from lthray.worker import train as worker
from lthray.engine.arrays import Arrays
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store

draw, out, gib = np.random.default_rng(0), sys.argv[1], float(sys.argv[2])
images = [draw.integers(0, 256, (n, 784), dtype=np.uint8) for n in (60_000, 1_000)]
labels = [draw.integers(0, 10, n, dtype=np.uint8) for n in (60_000, 1_000)]
data = {"mnist": Arrays(images[0], labels[0], images[1], labels[1], 255)}
specs = [TrajectorySpec(dataset="mnist", rounds=0, iterations=1, batch_size=30_000, seed=seed) for seed in range(4)]
torch.zeros(1)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + int(gib * 2**30),) * 2)
store = Store(out)
store.create("name: starved")
worker.train_stack(specs, data, print, store=store, threads=1, gpus=0)
"""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, timeout=250, check=False, env=environment(),
    )  # fmt: skip


def test_what_fits_is_what_the_budget_leaves():
    assert Footprint(base=2 * GIB, per_trajectory=GIB / 4, budget=4 * GIB).fits == 8
    assert Footprint(base=2 * GIB, per_trajectory=GIB / 4, budget=GIB).fits == 0
    assert str(Footprint(base=2 * GIB, per_trajectory=GIB / 4, budget=4 * GIB)) == (
        "a trial takes 2.0 GiB and 256 MiB for each trajectory of its stack; of its 4.0 GiB, a stack of 8 fits"
    )


@pytest.mark.slow
def test_a_larger_batch_takes_more_and_less_than_the_generous_guess():
    small, large = (run(MEASURE, batch) for batch in (60, 20_000))
    assert small.returncode == large.returncode == 0, small.stderr + large.stderr
    (base, few), (_, many) = (map(float, one.stdout.split()) for one in (small, large))
    assert base > 60_000 * 784  # the images alone
    assert many > few + 20_000 * 784 * 2  # half a batch of them alone


def test_out_of_memory_is_known_from_other_errors():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**48)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    with pytest.raises(MemoryError) as missing:
        np.empty(2**60, dtype=np.uint8)
    assert is_out_of_memory(missing.value)
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(OSError(28, "No space left on device"))


@pytest.mark.slow
def test_a_sweep_on_a_machine_with_little_memory_says_what_fits(sweep_file, tmp_path):
    """Ray is told of little memory, so that a trial is measured before the sweep."""
    path = sweep_file(grid={"seed": [0, 1]}, resources={"cpus": 1, "gpus": 0, "stack": 2})
    resources = json.dumps({"CPU": 2, "memory": 2 * GIB})
    process = lthray("sweep", path, "--out", tmp_path / "r", RAY_OVERRIDE_RESOURCES=resources)
    assert process.returncode == 0, process.stderr
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("memory: ")]
    assert "for each trajectory of its stack; of its 1.0 GiB, a stack of" in line
    assert "2 of 2 trajectories complete" in process.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_a_stack_that_runs_out_of_memory_goes_on_in_halves(tmp_path):
    whole = run(STARVED, tmp_path / "whole", 16)
    assert whole.returncode == 0, whole.stderr
    assert "ran out of memory" not in whole.stdout
    for gib in (1.2, 0.9, 0.7, 0.6, 0.5):
        process = run(STARVED, tmp_path / str(gib), gib)
        if "ran out of memory" in process.stdout:
            break
    assert process.returncode == 0, process.stderr
    assert "a stack of 4 ran out of memory on cpu: going on with 2" in process.stdout
    for found, expected in zip(tables(tmp_path / str(gib)), tables(tmp_path / "whole"), strict=True):
        pd.testing.assert_frame_equal(found, expected)
