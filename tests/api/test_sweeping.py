"""Sweeps from Python: in a script without a guard, in a thread, beside and on a Ray that runs already."""

import subprocess
import sys
import textwrap

import pytest

import lthray
from tests.helpers import TINY, environment

SWEEP = {
    "name": "own",
    "trajectory": {
        "dataset": "digits-8x8", "model": "nets.py:Net", "rounds": 1, "iterations": 20, "eval_every": 10,
        "end_attacks": [], "train_attack": "fgsm",
    },
    "grid": {"strategy": ["reset", "random"]},
    "resources": {"cpus": 1, "gpus": 0},
}  # fmt: skip
NETS = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.output = nn.Linear(64, classes)

    def forward(self, images):
        return self.output(images.flatten(1))
"""


@pytest.fixture
def script(tmp_path):
    """Runs a script in a folder that has `nets.py`."""
    (tmp_path / "nets.py").write_text(NETS)

    def run(text):
        (tmp_path / "script.py").write_text(f"import lthray\nSWEEP = {SWEEP!r}\n{textwrap.dedent(text)}")
        return subprocess.run(
            [sys.executable, "script.py"], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
        )

    return run


def test_a_script_sweeps_evaluates_and_uses_its_networks(script):
    """Without `if __name__ == "__main__"`, and in another thread than the main one."""
    done = script(
        """
        import threading

        print("once")
        assert list(lthray.plan(SWEEP)["rounds_left"]) == [2, 2]
        kept = []
        thread = threading.Thread(target=lambda: kept.append(lthray.sweep(SWEEP, set={"iterations": 10})))
        thread.start()
        thread.join()
        (results,) = kept
        assert len(results.rounds) == 4 and set(results.rounds["iterations"]) == {10}
        assert list(results.status.columns) == ["trajectory_id", "strategy", "state", "rounds_done", "rounds"]
        assert list(results.status["state"]) == ["complete", "complete"]
        again = lthray.sweep(SWEEP, set=["iterations=10"], progress=False)
        measured = lthray.evaluate(
            again, "pgd", settings={"steps": 2}, rounds=[1], images=50, where={"strategy": "reset"}
        )
        assert len(measured.evaluations()) == 1
        print(type(measured.module({"strategy": "random"})).__name__)
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines().count("once") == 1
    assert done.stdout.count("starting Ray") == 2  # for the first sweep and the evaluation; the second had no work
    assert done.stdout.splitlines()[-1] == "Net"


def test_a_sweep_joins_the_ray_that_runs_in_its_process(script):
    done = script(
        """
        import ray

        ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
        address = ray.get_runtime_context().gcs_address
        results = lthray.sweep(SWEEP, set={"model": "lenet-300-100"}, address="auto")
        assert len(results.rounds) == 4
        assert ray.is_initialized()
        print(address)
        """
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, address = done.stdout.splitlines()
    assert f"connecting to Ray at {address}" in lines


def test_mistakes_are_one_line_of_an_exception(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for sweep, settings, line in (
        ({**TINY, "trajectory": {"iterations": "many"}}, {}, "sweep: trajectory.iterations: found 'many'"),
        (TINY, {"pgd.stepps": 3}, r"--set pgd.stepps=3: .*did you mean pgd.steps"),
        (TINY, {"seed": {1, object()}}, "seed: found .* but a sweep file takes text"),
        ("missing.yaml", {}, "missing.yaml: no such file"),
        (SWEEP, {}, "nets.py:Net: there is no file"),
    ):
        with pytest.raises(lthray.InputError, match=line):
            lthray.sweep(sweep, set=settings)
    with pytest.raises(lthray.InputError, match=r"address 10\.0\.0\.5: allowed are auto, local, and HOST:PORT"):
        lthray.sweep(TINY, address="10.0.0.5")
    with pytest.raises(lthray.InputError, match="nowhere: no such folder"):
        lthray.evaluate(tmp_path / "nowhere", "pgd")
    with pytest.raises(lthray.InputError, match="attack pdg: pdg is no attack; allowed are"):
        lthray.evaluate(tmp_path, "pdg")
    with pytest.raises(lthray.InputError, match="where: unknown field sed; did you mean seed"):
        lthray.evaluate(tmp_path, "pgd", where={"sed": 0})
    assert not list(tmp_path.iterdir())


def test_settings_have_the_values_that_a_sweep_file_would_have():
    plan = lthray.plan(
        TINY, set={"learning_rate": 1e-5, "grid.strategy": ["reset"], "eval_attacks": [{"pgd": {"steps": 3}}]}
    )
    assert {*plan["learning_rate"]} == {1e-5}
    assert {*plan["eval_attacks"]} == {"fgsm,pgd(steps=3)"}
    assert list(plan["seed"]) == [0, 1]
    assert plan["way"].str.startswith("by compiled kernels").all()


LIGHT = """
import sys
import lthray
dir(lthray)
assert "sweep" in dir(lthray)
print(*sorted({"torch", "ray", "pandas", "pydantic", "matplotlib"} & sys.modules.keys()))
"""


def test_the_import_alone_is_light():
    process = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert process.stdout.split() == []
    with pytest.raises(AttributeError, match="has no attribute 'swep'"):
        lthray.swep  # noqa: B018
