"""Stored tickets measured again: in this process, and by `lthray evaluate` on Ray."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml
from typer.testing import CliRunner

from lthray.cli.main import app
from lthray.driver import evaluate, lock
from lthray.driver.datasets.known import read
from lthray.engine.results import Failure
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.datasets import DatasetFacts
from lthray.spec.attack_settings import parse
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweep import SweepSpec
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.store.tables import EVALUATIONS
from lthray.worker.evaluate import measure_tickets
from tests.helpers import ROOT, TINY, command, environment, lthray, own_fields


@pytest.fixture(scope="module")
def arrays():
    return {"digits-8x8": read("digits-8x8", None)}


@pytest.fixture(scope="module")
def template(tmp_path_factory, digits) -> tuple[Path, list[TrajectorySpec]]:
    """A folder of two trajectories of six rounds whose tickets are compacted; the second has four rounds yet."""
    folder = tmp_path_factory.mktemp("trained")
    fields = TINY["trajectory"] | {"rounds": 5, "epsilon": 0.1, "iterations": 20, "eval_attacks": ["fgsm", "pgd"]}
    fields |= {"pgd": {"random_start": False, "steps": 3}}
    (folder / "x.yaml").write_text(yaml.safe_dump(TINY | {"trajectory": fields, "grid": {"seed": [0, 1]}}))
    sweep, specs = load(folder / "x.yaml")
    store = Store(folder / "r")
    store.create(sweep.resolved())
    for results in run(specs, digits):
        for result in results:
            if result.spec.seed == 0 or result.round < 4:
                store.write_round(result)
    assert store.compact(specs[0].trajectory_id)
    return folder / "r", specs


@pytest.fixture
def trained(template, tmp_path) -> tuple[Store, list[TrajectorySpec]]:
    """A copy of it."""
    folder, specs = template
    return Store(shutil.copytree(folder, tmp_path / "r")), specs


def measure(trained, arrays, request):
    store, specs = trained
    reports = []
    measure_tickets(specs, arrays, reports.append, request=request, store=store, threads=1, gpus=1)
    return reports


def asks(attack, split="test", images=None, rounds=()):
    return EvaluationRequest(parse(attack), split, images, frozenset(rounds))


def rows(store) -> pd.DataFrame:
    found = pd.read_parquet(store.folder / "evaluations")
    return found.sort_values(["seed", "round", "attack", "split"], ignore_index=True)


@pytest.mark.parametrize("attack", ["fgsm", "pgd"])
@pytest.mark.parametrize("split", ["test", "validation"])
def test_an_attack_without_random_starts_measures_what_the_sweep_has_measured(attack, split, trained, arrays):
    """Bit for bit, in dense and in sparse rounds, from compacted tickets and from those of their own."""
    store, _ = trained
    reports = measure(trained, arrays, asks(attack, split))
    found, rounds = rows(store), pd.read_parquet(store.folder / "rounds").sort_values(["seed", "round"])
    assert len(found) == len(reports) == len(rounds) == 10
    assert found["accuracy"].tolist() == rounds[f"final_{attack}_accuracy_{split}"].tolist()
    curves = pd.read_parquet(store.folder / "curves").sort_values(["seed", "round"])
    last = curves[(curves["iteration"] == 20) & (curves["split"] == split) & (curves["attack"] == attack)]
    assert found["loss"].tolist() == last["loss"].tolist()
    assert found["zero_gradient_share"].tolist() == last["zero_gradient_share"].tolist()
    assert found["weights_remaining_count"].tolist() == rounds["weights_remaining_count"].tolist()
    assert set(found["moment"]) == {"final"}
    assert set(found["images"]) == {360}
    assert (found["seconds"] > 0).all()
    assert list(found.columns) == EVALUATIONS.names
    assert [one.done_in_trial for one in reports] == [360 * (i + 1) for i in range(10)]


def test_what_has_its_row_is_not_measured_again_and_other_images_and_settings_are(trained, arrays):
    store, specs = trained
    assert len(measure(trained, arrays, asks("pgd(steps=5)", images=50, rounds=[0, 5]))) == 3
    before = rows(store)
    assert set(before["images"]) == {50}
    assert measure(trained, arrays, asks("pgd(steps=5)", images=50, rounds=[0, 5])) == []
    assert len(measure(trained, arrays, asks("pgd(steps=5)", images=50, rounds=[0, 1]))) == 2
    assert len(measure(trained, arrays, asks("pgd(steps=5)", images=51, rounds=[0]))) == 2
    assert len(measure(trained, arrays, asks("pgd(steps=6)", images=50, rounds=[0]))) == 2
    assert measure(trained, arrays, asks("pgd(steps=5)", images=51, rounds=[7])) == []
    after = rows(store)
    assert len(after) == 3 + 2 + 2 + 2
    pd.testing.assert_frame_equal(before, after.merge(before[["seed", "round", "attack", "images"]]))
    assert asks("pgd", images=10_000).image_count(specs[0]) == 360


def test_the_first_images_of_the_split_are_measured(trained, arrays, digits):
    store, (spec, _) = trained
    measure(trained, arrays, asks("fgsm(epsilon=0)", images=7, rounds=[0]))
    weights = [torch.tensor(layer) for layer in store.ticket(spec, 0).weights.values()]
    x = digits.test.as_floats().images[:7]
    for layer in weights[:-1]:
        x = (x @ layer.T).relu()
    right = ((x @ weights[-1].T).argmax(-1) == digits.test.labels[:7]).double().mean().item()
    assert rows(store)["accuracy"][0] == right


def test_random_starts_are_the_same_whatever_else_is_measured(trained, arrays):
    store, specs = trained
    attack = "pgd(random_start=true)"
    measure(trained, arrays, asks(attack))
    every = rows(store)
    for spec in specs:
        (store.folder / "evaluations" / f"{spec.trajectory_id}.parquet").unlink()
    measure(trained, arrays, asks(attack, rounds=[3]))
    alone = rows(store)
    assert alone["loss"].tolist() == every[every["round"] == 3]["loss"].tolist()
    assert every["loss"].nunique() == len(every)


def test_a_damaged_ticket_is_named_and_the_others_are_measured(trained, arrays):
    store, specs = trained
    (store.folder / "tickets" / specs[1].trajectory_id / "round-02.safetensors").write_bytes(b"torn")
    reports = measure(trained, arrays, asks("fgsm"))
    (failure,) = (message for message in reports if isinstance(message, Failure))
    assert (failure.spec, failure.round) == (specs[1], 2)
    assert "round-02.safetensors: can't be read" in failure.reason
    assert len(rows(store)) == 9


def test_more_rounds_and_a_round_trained_again_keep_the_rows_that_are_still_true(trained, arrays, digits):
    store, specs = trained
    measure(trained, arrays, asks("fgsm(epsilon=0.05)"))
    longer = specs[1].model_copy(update={"rounds": 7})
    for (result,) in run([longer], digits, 4, [store.resume(longer)]):
        store.write_round(result)
    found = rows(store)
    assert found[found["seed"] == 1]["round"].tolist() == [0, 1, 2, 3]
    assert set(found[found["seed"] == 1]["rounds"]) == {7}
    (store.folder / "rounds" / f"{specs[1].trajectory_id}.parquet").unlink()
    for (result,) in run([longer], digits):
        store.write_round(result)
        break
    assert set(rows(store)["seed"]) == {0}


def refused(*arguments) -> str:
    result = CliRunner().invoke(app, ["evaluate", *map(str, arguments)])
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("lthray: ")
    return line


def test_without_the_package_of_autoattack_it_is_said_what_to_install(trained, monkeypatch):
    monkeypatch.setattr("lthray.driver.evaluate.find_spec", lambda name: None)
    assert "pip install --no-deps 'torchattacks>=" in refused(trained[0].folder, "--attack", "autoattack")


@pytest.mark.parametrize(
    "facts", [DatasetFacts((784,), 10, 60, None, 9, {}), DatasetFacts((1, 8, 8), 3, 60, None, 9, {})]
)
def test_autoattack_refuses_features_and_few_classes(facts, make, tmp_path):
    spec = make(**own_fields(facts), validation_size=9, batch_size=9)
    request = EvaluationRequest(parse("autoattack"), "test", None, frozenset())
    with pytest.raises(
        InputError, match=r"takes square images of at least 4 classes; own.npz's are .*, of \d+ classes"
    ):
        evaluate.run(Store(tmp_path), SweepSpec(name="x"), [spec], request, tmp_path, None, print)


def test_mistakes_get_one_clear_line(trained, tmp_path):
    store, (spec, _) = trained
    folder = store.folder
    assert "none: no such folder" in refused(tmp_path / "none", "--attack", "pgd")
    assert "--attack cw: no such attack; there are fgsm, pgd, autoattack" in refused(folder, "--attack", "cw")
    said = refused(folder, "--attack", "pgd", "--set", "pgd.stepz=3")
    assert "pgd.stepz=3: no setting of an attack; did you mean pgd.steps?" in said
    said = refused(folder, "--attack", "fgsm", "--set", "pgd.steps=3")
    assert "fgsm has no setting steps; it has epsilon, norm, attack_label" in said
    said = refused(folder, "--attack", "autoattack", "--set", "attack_label=predicted")
    assert "autoattack has no setting attack_label; it has epsilon, norm" in said
    assert "pgd: steps: found 'many'" in refused(folder, "--attack", "pgd", "--set", "pgd.steps=many")
    said = refused(folder, "--attack", "pgd", "--set", "epsilon=2")
    assert f"trajectory {spec.trajectory_id}: epsilon: found 2, but with norm linf it should be" in said
    assert "restarts: without random_start" in refused(folder, "--attack", "pgd", "--set", "pgd.restarts=2")
    assert "no trajectory has a ticket of round 9 yet" in refused(folder, "--attack", "pgd", "--round", "9")
    assert "unknown field sed; did you mean seed?" in refused(folder, "--attack", "pgd", "--where", "sed=1")
    said = refused(folder, "--attack", "pgd", "--where", "seed=[7, 8]")
    assert f"none of the 2 trajectories of {folder} has seed=7 or 8" in said
    assert "it should be key=value" in refused(folder, "--attack", "pgd", "--where", "seed")


def test_a_dry_run_says_what_is_to_do_and_needs_neither_ray_nor_torch(trained, arrays):
    store, _ = trained
    measure(trained, arrays, asks("pgd(steps=2)", images=20, rounds=[0, 4]))
    arguments = [
        "evaluate",
        str(store.folder),
        "--attack",
        "pgd",
        "--set",
        "pgd.steps=2",
        "--images",
        "20",
        "--dry-run",
    ]
    code = (
        "import sys; from typer.testing import CliRunner; from lthray.cli.main import app;"
        f" r = CliRunner().invoke(app, {arguments!r}); print(r.output);"
        " sys.exit(r.exit_code or 'torch' in sys.modules or 'ray' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment(), check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    lines = process.stdout.strip().splitlines()
    assert [line.split()[1:] for line in lines[1:3]] == [["0", "2", "of", "6"], ["1", "1", "of", "4"]]
    assert "10 tickets, 3 of them measured under pgd(steps=2) (test) in" in process.stdout
    assert lines[-1].endswith("to do: 7 tickets, 140 images in all")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A tiny sweep, run to its end in a process of its own."""
    folder = tmp_path_factory.mktemp("evaluate")
    attacks = ["pgd", {"pgd": {"steps": 20, "step_size": 0.02}}]
    sweep = TINY | {"trajectory": TINY["trajectory"] | {"epsilon": 0.1, "eval_attacks": attacks}}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(sweep))
    process = lthray("sweep", "tiny.yaml", cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder


def evaluations(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "results" / "tiny" / "evaluations")


@pytest.mark.slow
def test_evaluate_measures_what_is_missing_and_nothing_else(finished):
    steps = ["--set", "pgd.steps=20", "--set", "pgd.step_size=0.02"]
    again = lthray("evaluate", "results/tiny", "--attack", "pgd", *steps, cwd=finished)
    assert again.returncode == 0, again.stderr
    said = "nothing to measure; 18 of 18 measured under pgd(steps=20;step_size=0.02) in results/tiny"
    assert again.stdout.splitlines()[0] == said, "the sweep has measured it"
    before = evaluations(finished)
    assert before["moment"].value_counts().to_dict() == {"training": 108, "early_stopping": 36, "final": 36}

    options = ["evaluate", "results/tiny", "--attack", "pgd", "--set", "pgd.restarts=4"]
    some = lthray(*options, "--where", "strategy=[reset, random]", "--round", "1", "--round", "2", cwd=finished)
    assert some.returncode == 0, some.stderr
    lines = some.stdout.splitlines()
    assert lines[0] == "starting Ray"
    assert "to measure under pgd(restarts=4): 8 tickets of 4 trajectories, 2,880 images" in lines
    assert lines[-2:] == [
        "measured 8 tickets; 8 of 8 measured under pgd(restarts=4) in results/tiny", "next: lthray report results/tiny",
    ]  # fmt: skip
    every = lthray(*options, cwd=finished)
    assert every.returncode == 0, every.stderr
    assert "measured 10 tickets; 18 of 18 measured under pgd(restarts=4)" in every.stdout
    found = evaluations(finished)
    assert len(found) == len(before) + 18
    assert not found.duplicated(["trajectory_id", "round", "moment", "iteration", "split", "attack", "images"]).any()
    report = lthray("report", "results/tiny", cwd=finished)
    assert report.returncode == 0, report.stderr
    page = (finished / "results" / "tiny" / "report" / "index.html").read_text()
    assert "pgd(restarts=4)" in page
    assert "pgd(steps=20;step_size=0.02)" in page


@pytest.mark.slow
def test_an_evaluation_interrupted_goes_on_and_keeps_sweeps_out(finished):
    options = ["evaluate", "results/tiny", "--attack", "pgd", "--set", "pgd.steps=10000"]
    process = subprocess.Popen(
        command(*options), cwd=finished, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    folder = finished / "results" / "tiny"
    until = time.monotonic() + 120
    while not (evaluations(finished)["attack"] == "pgd(steps=10000)").any():
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.2)
    refused = lthray("sweep", "tiny.yaml", cwd=finished)
    assert refused.returncode == 2
    assert "another sweep is writing into this folder" in refused.stderr
    status = lthray("status", "results/tiny", cwd=finished)
    assert "images/s" in status.stdout
    os.kill(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert out.splitlines()[-1] == "interrupted: run the same command again for the rest"
    done = int((evaluations(finished)["attack"] == "pgd(steps=10000)").sum())
    assert 0 < done < 18
    again = lthray(*options, cwd=finished)
    assert again.returncode == 0, again.stderr
    assert f"measured {18 - done} tickets; 18 of 18" in again.stdout
    with lock.hold(Store(folder).folder, dict, lambda: None, print):
        locked = lthray("evaluate", "results/tiny", "--attack", "fgsm", cwd=finished)
    assert locked.returncode == 2
    assert "another sweep is writing into this folder" in locked.stderr


@pytest.mark.slow
def test_a_ticket_that_can_not_be_read_fails_its_trajectory_alone(finished):
    ticket = next((finished / "results" / "tiny" / "tickets").glob("*/round-01.safetensors"))
    content = ticket.read_bytes()
    ticket.write_bytes(b"torn")
    try:
        process = lthray("evaluate", "results/tiny", "--attack", "fgsm", "--set", "norm=l2", cwd=finished)
    finally:
        ticket.write_bytes(content)
    assert process.returncode == 1, process.stderr
    assert ticket.parent.name in process.stdout
    assert "measured 17 tickets; 17 of 18 measured under fgsm(norm=l2)" in process.stdout
    assert process.stdout.splitlines()[-1] == "run the same command again to try just those that failed"
    again = lthray("evaluate", "results/tiny", "--attack", "fgsm", "--set", "norm=l2", cwd=finished)
    assert again.returncode == 0
    assert "measured 1 ticket; 18 of 18" in again.stdout
