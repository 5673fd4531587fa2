"""Loggers of others, named in the sweep file: real files, read back."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from lthray.driver import loggers
from lthray.errors import InputError
from lthray.spec.sweepfile import parse
from tests.helpers import TINY, lthray


def scalars(file: Path) -> Iterator[tuple[str, int, float]]:
    """What TensorBoard would show: tag, step and value."""
    content = file.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)
        content = content[16 + length :]


def test_tensorboard_and_mlflow_are_a_line_in_the_sweep_file(sweep_file, tmp_path):
    pytest.importorskip("mlflow")
    named = {"tensorboard": {}, "mlflow": {"tracking_uri": f"file:{tmp_path}/mlflow", "experiment_name": "tiny"}}
    path = sweep_file(grid={"strategy": ["reset", "random"], "seed": [0]}, resources={"stack": 2}, loggers=named)
    process = lthray("sweep", path, "--out", tmp_path / "r", MLFLOW_ALLOW_FILE_STORE="true")
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""

    files = sorted((tmp_path / "r" / "logs").rglob("events.out.tfevents.*"))
    assert [file.parent.name for file in files] == ["trial-1-digits-8x8-fgsm-reset-random"]
    seen = list(scalars(files[0]))
    rounds = [(step, value) for tag, step, value in seen if tag == "ray/tune/weights_remaining"]
    assert rounds[-1] == (2 * 30 + 30, pytest.approx(0.6432, abs=1e-3))
    measures = {"round", "weights_remaining", "natural", "adversarial/fgsm", "rate", "running"}
    # TensorBoard's page of parameters has a summary of its own, which ends each trial.
    assert {tag for tag, _, _ in seen if not tag.startswith("_hparams_")} == {f"ray/tune/{name}" for name in measures}

    (parameter,) = (tmp_path / "mlflow").rglob("params/fields/strategy")
    assert parameter.read_text() == "reset+random"
    (accuracy,) = (tmp_path / "mlflow").rglob("metrics/adversarial/fgsm")
    assert accuracy.read_text().splitlines()[-1].split()[-1] == "90"
    (run,) = (file.parent.parent for file in (tmp_path / "mlflow").rglob("metrics/natural"))
    charts = {str(file.relative_to(run / "metrics")) for file in (run / "metrics").rglob("*") if file.is_file()}
    assert charts == measures | {"training_iteration"}
    assert (run / "tags" / "mlflow.runName").read_text() == "trial-1-digits-8x8-fgsm-reset-random"
    assert len(eval((run / "params" / "trajectories").read_text())) == 2

    again = lthray("status", tmp_path / "r")
    assert again.returncode == 0, again.stderr


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"wandb": {"project": "x"}}, "loggers.wandb: the package wandb is not installed: pip install wandb"),
        ({"tensorboard": {"colour": "red"}}, "loggers.tensorboard: .*unexpected keyword argument 'colour'"),
    ],
)
def test_loggers_that_are_not_to_be_had(given, said, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)  # also where it is installed
    with pytest.raises(InputError, match=said):
        loggers.callbacks(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["tb"], "loggers: found .*, but allowed are a list of tensorboard, mlflow, wandb, or a mapping"),
        ("tensorboard", "loggers: found 'tensorboard', but allowed are"),
        ({"mlflow": "x"}, "a logger's options are a mapping"),
        ([{"a": 1}], "loggers: found"),
    ],
)
def test_loggers_that_are_none(given, said):
    with pytest.raises(InputError, match=said):
        parse(TINY | {"loggers": given})


def test_a_list_of_names_will_do():
    assert parse(TINY | {"loggers": ["tensorboard", "wandb"]}).loggers == {"tensorboard": {}, "wandb": {}}
    assert "loggers: {}" in parse(TINY).resolved()
