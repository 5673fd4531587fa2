"""A user's folder with a network, a rule and data of their own: swept here, on a cluster and as a job."""

import json
import os
import shutil
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.helpers import ROOT, Head, failed, lthray, start, tables

NETS = """
    from torch import nn

    from blocks import activation


    class Net(nn.Module):
        def __init__(self, shape, classes, width=4):
            super().__init__()
            self.conv = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.dropout = nn.Dropout(0.2)
            self.output = nn.Linear(width * shape[1] * shape[2] // 4, classes)

        def forward(self, images):
            maps = nn.functional.max_pool2d(activation(self.bn(self.conv(images))), 2)
            return self.output(self.dropout(maps.flatten(1)))
"""
BREAKS = """

class Breaks(Net):
    def forward(self, images):
        raise RuntimeError("maps go astray")
"""
FILES = {
    "nets.py": NETS,
    "blocks.py": "def activation(maps):\n    return maps.relu()\n",
    "rules.py": """
        def signed(net):
            return tuple(-weight * slope for weight, slope in zip(net.weights, net.gradient()))

        def broken(net):
            raise RuntimeError("no scores today")

        def halved(past):
            return tuple(0.5 * tensor for tensor in past.trained), past.masks

        def blurred(at):
            return (at.images + at.setting.epsilon * at.gradient().sign() * at.noise().abs()).clamp(0, 1)

        def focal(outputs):
            import torch
            terms = []
            for logits in (outputs.natural, outputs.adversarial):
                log = (outputs.targets * logits.log_softmax(-1)).sum(-1)
                terms.append((-(1 - log.exp()) ** 2 * log).mean(-1).sum())
            return sum(terms) / 2

        def inverse(optimizer, course):
            import torch
            return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step / course.iterations))
    """,
}
SWEEP = {
    "name": "own",
    "trajectory": {
        "dataset": "digits-8x8", "model": "nets.py:Net", "rounds": 1, "iterations": 20, "eval_every": 10,
        "train_attack": "pgd", "pgd": {"steps": 2}, "epsilon": 0.1, "end_attacks": [], "augment": "crop-flip",
        "learning_rate": 0.05, "optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True},
        "schedule": {"name": "cosine", "warmup": 5}, "batch_size": 40,
    },
    "grid": {"objective.name": ["mixed", "trades"], "prune.criterion": ["magnitude", "rules.py:signed"]},
    "resources": {"cpus": 1, "gpus": 0},
}  # fmt: skip


@pytest.fixture
def mine(tmp_path):
    """The user's folder."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / name).write_text(textwrap.dedent(text))
    (folder / "own.yaml").write_text(yaml.safe_dump(SWEEP))
    return folder


@pytest.mark.slow
def test_a_network_a_rule_and_their_files_are_swept_kept_and_held_to_what_they_were(mine, tmp_path):
    sweep, out = mine / "own.yaml", tmp_path / "out"
    dry = lthray("sweep", sweep, "--out", out, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert "4 trajectories trained by autograd on the module" in dry.stdout
    done = lthray("sweep", sweep, "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds, curves = tables(out)
    assert len(rounds) == 8
    assert np.isfinite(curves["loss"]).all()
    packages = {folder.name: sorted(file.name for file in folder.iterdir()) for folder in (out / "code").iterdir()}
    assert {f"lthray_code_{code}" for code in rounds["own.code"]} == {*packages}
    assert sorted(packages.values()) == [["blocks.py", "nets.py"], ["blocks.py", "nets.py", "rules.py"]]
    again = lthray("sweep", sweep, "--out", out)
    assert "nothing to train" in again.stdout

    (mine / "blocks.py").write_text("def activation(maps):\n    return maps.tanh()\n")
    failed(lthray("sweep", sweep, "--out", out), "blocks.py changed since 4 trajectories", "--accept-changed-code")
    accepted = lthray("sweep", sweep, "--out", out, "--set", "rounds=2", "--accept-changed-code")
    assert accepted.returncode == 0, accepted.stdout + accepted.stderr
    codes = pd.read_parquet(out / "rounds").groupby("round")["own.code"].unique()
    assert {*codes[2]}.isdisjoint(codes[0])
    assert len(list((out / "code").iterdir())) == 4

    shutil.rmtree(mine)  # what follows needs the results folder alone
    assert "12 of 12" in lthray("status", out).stdout
    evaluated = lthray("evaluate", out, "--attack", "pgd", "--set", "pgd.steps=3", "--images", 50, "--round", 1)
    assert evaluated.returncode == 0, evaluated.stdout + evaluated.stderr
    reported = lthray("report", out)
    assert reported.returncode == 0, reported.stderr


def test_mistakes_in_the_users_files_are_said_in_a_line_before_anything_runs(mine, tmp_path):
    sweep, out = mine / "own.yaml", tmp_path / "out"
    failed(lthray("sweep", sweep, "--out", out, "--set", "model=nets.py:Missing"), "nets.py has no Missing")
    failed(lthray("sweep", sweep, "--out", out, "--set", "model=other.py:Net"), "there is no file")
    failed(lthray("sweep", sweep, "--out", out, "--set", "model_args.depth=3"), "model_args", "depth")
    (mine / "nets.py").write_text("class Net(:\n")
    failed(lthray("sweep", sweep, "--out", out), "nets.py: line 1: ")
    assert not out.exists()


@pytest.mark.slow
def test_strategy_attack_loss_and_schedule_of_the_users_own(mine, tmp_path):
    """On a network with its gradients in closed form, from the sweep to the report."""
    sweep = SWEEP | {
        "trajectory": {
            "dataset": "digits-8x8", "rounds": 1, "iterations": 20, "eval_every": 10, "epsilon": 0.1,
            "end_attacks": [], "eval_attacks": ["pgd"], "schedule": {"name": "rules.py:inverse"},
        },
        "grid": {
            "strategy": ["reset", "rules.py:halved"],
            "train_attack": ["pgd", "rules.py:blurred"],
            "objective.name": ["mixed", "rules.py:focal"],
        },
    }  # fmt: skip
    (mine / "own.yaml").write_text(yaml.safe_dump(sweep))
    out = tmp_path / "out"
    done = lthray("sweep", mine / "own.yaml", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "broke" not in done.stdout
    rounds, curves = tables(out)
    assert len(rounds) == 16
    assert {*curves["attack"]} == {"none", "pgd"}  # all that the contract of `curves` knows
    evaluations = pd.read_parquet(out / "evaluations")
    assert {*evaluations["attack"]} == {"rules.py:blurred"}
    assert evaluations.groupby(["trajectory_id", "round", "split"])["moment"].nunique().min() >= 2
    assert np.isfinite(evaluations["loss"]).all()

    own = [option for name in ("train_attack=rules.py:blurred", "strategy=reset") for option in ("--where", name)]
    again = ["evaluate", out, "--attack", "rules.py:blurred", "--set", "epsilon=0.2", "--images", 40, *own]
    measured = lthray(*again, "--round", 1)
    assert "measured 2 tickets" in measured.stdout, measured.stdout + measured.stderr
    failed(lthray("evaluate", out, "--attack", "others.py:blurred"), "was trained without others.py")

    halved = rounds[(rounds["round"] == 1)].set_index(["strategy", "train_attack", "objective.name"])
    assert halved["final_none_accuracy_test"].nunique() > 4  # every rule changes something
    reported = lthray("report", out)
    assert reported.returncode == 0, reported.stderr
    page = (out / "report" / "index.html").read_text()
    assert "own.code" not in page
    assert "trained against rules.py:blurred" in page


def test_an_exception_in_the_users_code_is_shown_once_and_fails_its_trajectories_alone(mine, tmp_path):
    sweep, out = mine / "own.yaml", tmp_path / "out"
    (mine / "nets.py").write_text((mine / "nets.py").read_text() + BREAKS)
    grid = {
        "seed": [0, 1],
        "model": ["nets.py:Net", "nets.py:Breaks"],
        "prune.criterion": ["magnitude", "rules.py:broken"],
    }
    settings = ["objective.name=mixed", *(f"grid.{name}={json.dumps(values)}" for name, values in grid.items())]
    run = lthray("sweep", sweep, "--out", out, *(part for setting in settings for part in ("--set", setting)))
    assert run.returncode == 1, run.stdout + run.stderr
    for text in ("no scores today", "maps go astray"):
        assert run.stdout.count(f"RuntimeError: {text}\n") == 1, run.stdout  # the last line of its traceback
    assert '  File "rules.py", line 6, in broken\n    raise RuntimeError' in run.stdout
    assert "lthray/" not in run.stdout.split("Traceback", 1)[1].split("RuntimeError")[0]

    rounds, _ = tables(out)
    assert sorted(rounds.value_counts(["model", "prune.criterion"]).items()) == [
        (("nets.py:Net", "magnitude"), 4),
        (("nets.py:Net", "rules.py:broken"), 2),  # round 0, which no criterion prunes
    ]
    failures = [json.loads(path.read_text()) for path in (out / "failures").iterdir()]
    assert sorted((each["round"], each["error"]) for each in failures) == [
        *[(0, "RuntimeError: maps go astray (line 22 of nets.py)")] * 4,
        *[(1, "RuntimeError: no scores today (line 6 of rules.py)")] * 2,
    ]
    assert all(each["traceback"].startswith("Traceback") for each in failures)


def test_an_exception_while_the_network_is_made_is_shown_before_anything_runs(mine, tmp_path):
    (mine / "nets.py").write_text("def Net(shape):\n    raise KeyError('width')\n")
    run = lthray("sweep", mine / "own.yaml", "--out", tmp_path / "out")
    assert run.returncode == 2
    *traceback, line = run.stderr.splitlines()
    assert line.endswith("own.yaml: model nets.py:Net: KeyError: 'width' (line 2 of nets.py)")
    assert traceback == [
        "Traceback (most recent call last):",
        '  File "nets.py", line 2, in Net',
        "    raise KeyError('width')",
        "KeyError: 'width'",
    ]
    (mine / "nets.py").write_text("import lost\nNet = lost.Net\n")
    lost = lthray("sweep", mine / "own.yaml")
    assert "nets.py:Net: ModuleNotFoundError: No module named 'lost' (line 1 of nets.py)" in lost.stderr


@pytest.mark.slow
def test_data_of_the_users_own_beside_the_sweep_file(mine, tmp_path):
    draw = np.random.default_rng(0)
    labels = np.arange(90) % 3
    images = (draw.random((90, 3, 8, 8)) * 0.3 + labels[:, None, None, None] / 3).clip(0, 1).astype(np.float32)
    np.savez(
        mine / "data.npz",
        train_images=images, train_labels=labels, test_images=images[:30], test_labels=labels[:30],
    )  # fmt: skip
    settings = [
        "dataset=data.npz",
        "validation_size=20",
        "rounds=0",
        "objective.name=mixed",
        "prune.criterion=magnitude",
        "grid.model_args.width=[3,4]",
        "end_attacks=[fgsm]",
    ]
    sets = [option for setting in settings for option in ("--set", setting)]
    done = lthray("sweep", mine / "own.yaml", "--out", tmp_path / "out", *sets, "--set", "batch_size=10")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = tables(tmp_path / "out")[0].to_dict("records")
    for row in rows:
        assert (row["own.shape"], row["own.classes"], row["own.examples"], row["own.test"]) == ("3x8x8", 3, 90, 30)
    assert {row["model_args"] for row in rows} == {'{"width": 3}', '{"width": 4}'}
    status = lthray("status", tmp_path / "out")
    assert [line.split()[0] for line in status.stdout.splitlines()[-3:]] == ["3", "4", "all"], status.stderr
    reported = lthray("report", tmp_path / "out")
    assert reported.returncode == 0, reported.stderr


CIFAR = Path(os.environ.get("LTHRAY_DATA_DIR", "")) / "cifar10-jpeg"
needs_cifar = pytest.mark.skipif(not (CIFAR / "train").is_dir(), reason="CIFAR-10's pictures are in no LTHRAY_DATA_DIR")


def options(settings: dict[str, object]) -> list[str]:
    return [option for name, value in settings.items() for option in ("--set", f"{name}={value}")]


@needs_cifar
@pytest.mark.slow
def test_the_sweep_of_resnet_20_runs_on_real_pictures(tmp_path):
    """A few iterations on a few pictures: both losses, SGD under a cosine, crops and flips, PGD-7 at 8/255."""
    for split, count in (("train", 20), ("test", 5)):
        for folder in (CIFAR / split).iterdir():
            (tmp_path / "few" / split / folder.name).mkdir(parents=True)
            for picture in sorted(folder.iterdir())[:count]:
                shutil.copyfile(picture, tmp_path / "few" / split / folder.name / picture.name)
    small = {
        "dataset": tmp_path / "few", "validation_size": 50, "batch_size": 20, "iterations": 4, "eval_every": 4,
        "rounds": 1, "rewind_to": "iteration:2", "schedule.warmup": 1, "end_attacks": [], "grid.seed": [0],
        "grid.strategy": "[reset]", "resources.gpus": 0, "resources.cpus": 1,
    }  # fmt: skip
    done = lthray("sweep", ROOT / "sweeps/own/cifar10-resnet.yaml", "--out", tmp_path / "out", *options(small))
    assert done.returncode == 0, done.stdout + done.stderr
    rounds, curves = tables(tmp_path / "out")
    assert {*rounds["objective.name"]} == {"mixed", "trades"}
    left = rounds.groupby("round")["weights_remaining_count"].unique().map(list).to_dict()
    assert left == {0: [268_336], 1: [214_797]}  # a fifth of all weights but the 640 of the output layer
    assert np.isfinite(curves["loss"]).all()


@needs_cifar
@pytest.mark.slow
def test_a_small_network_of_the_users_learns_cifar_10(tmp_path):
    small = {
        "dataset": CIFAR, "model": "cifar10.py:ConvNet", "train_attack": "none", "eval_attacks": "[fgsm]",
        "eval_attacks_at": "ends", "end_attacks": [], "rounds": 0, "iterations": 700, "eval_every": 700,
        "schedule.warmup": 50, "rewind_to": "init", "grid.objective.name": "[mixed]", "grid.strategy": "[reset]",
        "grid.seed": [0], "resources.gpus": 0, "resources.cpus": 1,
    }  # fmt: skip
    done = lthray("sweep", ROOT / "sweeps/own/cifar10-resnet.yaml", "--out", tmp_path / "out", *options(small))
    assert done.returncode == 0, done.stdout + done.stderr
    (row,) = tables(tmp_path / "out")[0].to_dict("records")
    assert row["own.test"] == 10_000
    assert row["final_none_accuracy_test"] > 0.45


@pytest.mark.slow
def test_killed_and_resumed_on_a_cluster_and_as_a_job_the_rows_are_the_same_to_the_bit(mine, head: Head, tmp_path):
    sweep, alone = mine / "own.yaml", tmp_path / "alone"
    assert lthray("sweep", sweep, "--out", alone).returncode == 0
    with start(sweep, tmp_path / "killed") as process:
        for line in process.stdout:
            if "round 1 of 1" in line:
                break
        process.kill()
    resumed = lthray("sweep", sweep, "--out", tmp_path / "killed")
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    cluster = lthray("sweep", sweep, "--out", tmp_path / "cluster", "--address", head.address, **head.environment)
    assert cluster.returncode == 0, cluster.stdout + cluster.stderr
    job = lthray("submit", sweep, "--out", tmp_path / "job", "--address", head.url, **head.environment)
    assert job.returncode == 0, job.stdout + job.stderr
    for folder in ("killed", "cluster", "job"):
        for found, expected in zip(tables(tmp_path / folder), tables(alone), strict=True):
            pd.testing.assert_frame_equal(found, expected)
