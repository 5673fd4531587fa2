"""benchmarks/gpu.py, tried out on a CPU: it needs no Ray, and its loops and counts are what they are said to be."""

import gzip
import json
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from lthray.engine.stack import StackTraining
from tests.helpers import CPU, ROOT, environment

BLOCKED = ("ray", "pandas", "pyarrow", "safetensors", "fsspec", "upath", "rich", "typer", "matplotlib")
RUN = f"""
import runpy, sys

sys.modules.update(dict.fromkeys({BLOCKED}))  # as if they were not installed
sys.path.insert(0, "benchmarks")
runpy.run_path("benchmarks/gpu.py", run_name="__main__")
"""


def run_gpu(*arguments, code=RUN):
    """Runs the command where none of the packages of BLOCKED can be imported."""
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True, text=True, cwd=ROOT, env=environment(PYTHONPATH=str(ROOT)), timeout=280,
    )  # fmt: skip


@pytest.fixture
def loops(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from gpu_parts import loops

    return loops


@pytest.mark.slow
def test_every_section_runs_where_neither_ray_nor_pandas_is_there(tmp_path):
    file = tmp_path / "gpu.json"
    process = run_gpu("--device", "cpu", "--quick", "--json", file)
    assert process.returncode == 0, process.stderr
    report = json.loads(file.read_text())
    assert report["failed"] == []
    trajectories = {
        (row["train_attack"], row["loop"], row["networks"]): row["an_hour"]
        for row in report["speed"]
        if row["work"] == "trajectory"
    }
    assert len(trajectories) == 3 * (1 + 2 * 2)
    assert all(rate > 0 for rate in trajectories.values())
    graphs = [row["largest_difference_of_ways"] for row in report["agreement"] if "steps" in row]
    assert graphs == [0, 0, 0]
    curves = [row for row in report["agreement"] if "accuracy" in row]
    assert {row["round"] for row in curves} == {0, 1}
    assert all(cpu == device for row in curves for cpu, device in (row["accuracy"], row["loss"]))
    for row in report["grid"]:
        assert row["hours"] > 21 * (50_000 * row["step"] + 101 * row["evaluation"]) / 3600
        assert row["wall"] > 2 * (10 * row["step"] + 3 * row["evaluation"])
    for section in ("utilisation", "saturation", "precision", "compile"):
        assert report[section]
        assert f"\n{section}: " in process.stdout


def test_a_section_that_fails_does_not_lose_the_others(tmp_path):
    broken = RUN.replace(
        "runpy.run_path", "import gpu_parts.speed as s; s.measure_saturation = lambda bench: 1 / 0; runpy.run_path"
    )
    file = tmp_path / "gpu.json"
    process = run_gpu(
        "--device", "cpu", "--quick", "--json", file, "--sections", "saturation", "precision", code=broken
    )
    assert process.returncode == 1
    assert "ZeroDivisionError" in process.stderr
    report = json.loads(file.read_text())
    assert report["failed"] == ["saturation"]
    assert report["precision"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_it_says_so():
    process = run_gpu("--quick")
    assert process.returncode == 2
    assert len(process.stderr.splitlines()) == 1
    assert "--device cpu" in process.stderr


def test_packed_files_are_unpacked_and_others_stay(tmp_path, loops):
    from gpu_parts.bench import unpack

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (raw / f"{name}.gz").write_bytes(gzip.compress(b"packed"))
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"here already")
    unpack("mnist", tmp_path)
    assert (raw / "train-images-idx3-ubyte").read_bytes() == b"packed"
    assert (raw / "t10k-labels-idx1-ubyte").read_bytes() == b"here already"


@pytest.mark.parametrize("train_attack", ["none", "fgsm", "pgd"])
def test_the_plain_loop_trains_as_a_stack_does(train_attack, make, digits, loops):
    """20 steps in single precision, within rounding; test_training says why no more."""
    spec = make(train_attack=train_attack, pgd={"random_start": False})
    plain = loops.PlainLoop(spec, digits)
    plain.train(20)
    training, work = loops.training_job(StackTraining, [spec], digits.train, 20)
    start = loops.begin([spec], CPU)[0].weights
    work()
    layers = [layer.weight.data for layer in plain.model if hasattr(layer, "weight")]
    for layer, weight, first in zip(layers, training.current()[0], start, strict=True):
        assert (layer - weight[0]).norm() < 0.005 * layer.norm()
        assert (layer - first[0]).norm() > 0.01 * layer.norm()


def test_the_plain_loop_evaluates_under_the_attacks_of_a_stack(make, digits, loops):
    """Its losses are sums over chunks; those of a stack are means."""
    spec = make(train_attack="pgd", pgd={"random_start": False}, label_smoothing=0)
    values = loops.PlainLoop(spec, digits).evaluate()
    measurements = loops.evaluation_job([spec], digits)[0]()
    for loss, correct, measurement in zip(values[::2], values[1::2], measurements, strict=True):
        assert loss / 360 == pytest.approx(measurement.loss[0], rel=1e-5)
        assert correct / 360 == pytest.approx(measurement.accuracy[0], abs=1e-6)


@pytest.mark.parametrize("train_attack", ["none", "pgd"])
def test_the_compiled_step_is_the_stacks_bit_for_bit(train_attack, make, digits, loops):
    """Traced as a whole, but not translated: what a compiler then makes of it rounds as it likes."""
    specs = [make(train_attack=train_attack, pgd={"steps": 2}, seed=seed) for seed in (0, 1)]
    weights = []
    for way in (StackTraining, lambda *stack: loops.CompiledTraining(*stack, backend="eager")):
        training, work = loops.training_job(way, specs, digits.train, 5)
        work()
        weights.append(training.stack.weights if way is not StackTraining else training.weights)
    for eager, compiled in zip(*weights, strict=True):
        assert torch.equal(eager, compiled)


@pytest.mark.parametrize("train_attack", ["none", "fgsm", "pgd"])
def test_the_operations_of_a_step_are_those_that_torch_counts(train_attack, make, digits, loops):
    specs = [make(train_attack=train_attack, seed=seed) for seed in (0, 1)]
    _, step = loops.training_job(StackTraining, specs, digits.train, 1)
    with FlopCounterMode(display=False) as counter:
        step()
    assert counter.get_total_flops() == 2 * loops.count_operations(specs[0])
    products, _ = loops.products_job(specs[0], 2, CPU, loops.capture(CPU), 1)
    with FlopCounterMode(display=False) as counter:
        products()
    assert counter.get_total_flops() == 2 * loops.count_operations(specs[0])
