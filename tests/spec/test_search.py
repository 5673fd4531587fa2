"""The `search` section: draws, cells and seeds, what is written back, and a clear line for every mistake."""

import dataclasses
import hashlib
import json
import math
from itertools import islice

import numpy as np
import pytest
import yaml

from lthray.driver import samples
from lthray.engine.results import Failure
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.attacks import Attack
from lthray.spec import search, spaces
from lthray.spec.metrics import METRICS
from lthray.spec.search import SPACES, Sample
from lthray.spec.strict import Strict
from lthray.spec.sweepfile import parse
from lthray.store.folder import Store
from lthray.store.tables import ROUNDS
from lthray.worker.report import Progress, Score
from lthray.worker.sample import train_sample
from tests.helpers import TINY, lthray

SEARCH = {
    "space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "adversarial_weight": {"uniform": [0.1, 0.9]}},
    "samples": 4,
    "metric": "early_stopping_fgsm_accuracy_validation",
}


def sweep(*sets, trajectory=None, grid=None, **keys):
    """A sweep with a search; keywords replace its keys."""
    sections = {"trajectory": TINY["trajectory"] | (trajectory or {}), "search": SEARCH | keys}
    return parse(TINY | sections | ({"grid": grid} if grid else {}), sets)


def test_every_sample_has_all_seeds_and_every_cell_has_the_same_samples():
    one = sweep(grid={"strategy": ["reset", "random"], "seed": [3, 7, 9]})
    found = one.trajectories()
    assert len(found) == one.size() == 2 * 4 * 3
    drawn = one.search.draw()
    expected = [
        (strategy, values["learning_rate"], values["adversarial_weight"], seed)
        for strategy in ("reset", "random")
        for values in drawn
        for seed in (3, 7, 9)
    ]
    assert [(s.strategy, s.learning_rate, s.adversarial_weight, s.seed) for s in found] == expected
    assert len({values["learning_rate"] for values in drawn}) == 4


def test_without_seeds_in_the_grid_there_is_the_one_of_the_trajectory():
    found = sweep(trajectory={"seed": 5}, grid={"strategy": ["reset"]}).trajectories()
    assert [one.seed for one in found] == [5] * 4


def test_draws_depend_on_the_seed_alone_and_more_samples_are_more_of_the_same():
    few, many = sweep(samples=3).search.draw(), sweep(samples=30).search.draw()
    assert many[:3] == few
    assert sweep(samples=3, seed=1).search.draw() != few
    alone = sweep(space={"learning_rate": SEARCH["space"]["learning_rate"]}, samples=3).search.draw()
    assert [one["learning_rate"] for one in alone] == [one["learning_rate"] for one in few]


def test_the_draws_of_a_seed_are_these():
    """From version to version too: they say what a folder's trajectories are."""
    first = sweep().search.draw()[0]
    source = np.random.RandomState(int.from_bytes(hashlib.sha256(b"0/adversarial_weight").digest()[:4]))
    assert first["adversarial_weight"] == source.uniform(0.1, 0.9, size=1)[0]


@pytest.mark.parametrize(
    ("space", "is_one"),
    [
        ({"uniform": [0.1, 0.9]}, lambda v: 0.1 <= v < 0.9),
        ({"quniform": [0.1, 0.9, 0.1]}, lambda v: math.isclose(v * 10, round(v * 10)) and 0.09 < v < 0.91),
        ({"loguniform": [1e-3, 1.0]}, lambda v: 1e-3 * (1 - 1e-12) <= v <= 1.0),
        ({"qloguniform": [0.01, 1.0, 0.01]}, lambda v: math.isclose(v * 100, round(v * 100)) and 0.009 < v < 1.01),
        ({"randint": [3, 40]}, lambda v: 3 <= v < 40),
        ({"qrandint": [5, 100, 5]}, lambda v: v % 5 == 0 and 5 <= v <= 100),
        ({"lograndint": [1, 1000]}, lambda v: 1 <= v < 1000),
        ({"qlograndint": [2, 64, 2]}, lambda v: v % 2 == 0 and 2 <= v <= 64),
        ({"choice": [5, 10, 20, 40]}, lambda v: v in (5, 10, 20, 40)),
    ],
)
def test_every_space_draws_within_its_bounds_and_different_values(space, is_one):
    (name,) = space
    count = 4 if name == "choice" else 8
    domain = spaces.domains({"x": space})["x"]
    drawn = [one["x"] for one in islice(spaces.draws({"x": space}, 0), count)]
    assert all(is_one(value) and type(value) in (int, float) and spaces.holds(domain, value) for value in drawn)
    assert len(set(drawn)) == count <= spaces.settings(domain)
    assert set(SPACES) >= {name}


def test_the_number_of_settings_is_counted():
    counted = {"choice": ["a", "b"], "randint": [0, 5], "qrandint": [0, 20, 5], "quniform": [0.1, 0.5, 0.1]}
    found = {name: spaces.settings(spaces.domain("x", name, values)) for name, values in counted.items()}
    assert found == {"choice": 2, "randint": 5, "qrandint": 5, "quniform": 5}
    assert spaces.settings(spaces.domain("x", "uniform", [0.0, 1.0])) == math.inf


def test_all_of_a_small_space_is_drawn():
    whole = sweep(space={"batch_size": {"choice": [30, 60]}, "pgd.steps": {"randint": [1, 4]}}, samples=6)
    assert len({spec.trajectory_id for spec in whole.trajectories()}) == 6 * 6


def test_samples_survive_yaml_json_and_parquet_to_the_last_bit(digits, tmp_path):
    one = sweep(grid={"seed": [0]}, trajectory={"rounds": 0, "iterations": 1, "eval_every": 1})
    found = one.trajectories()
    again = parse(yaml.safe_load(one.resolved()))
    assert [s.trajectory_id for s in again.trajectories()] == [s.trajectory_id for s in found]
    assert again.search == one.search
    store = Store(tmp_path)
    for spec, values in zip(found, one.search.draw(), strict=True):
        store.write_round(next(run([spec], digits))[0])
        assert store.means([spec], "learning_rate") == [values["learning_rate"]]
        assert json.loads(json.dumps(values)) == values


def test_set_changes_the_search():
    one = sweep(
        "search.samples=7", "search.space.epsilon={uniform: [0.1, 0.2]}", "search.space.pgd.steps={choice: [3, 4]}",
        "search.scheduler={asha: {grace_period: 2}}", "search.seed=4",
    )  # fmt: skip
    assert (one.search.samples, one.search.seed) == (7, 4)
    assert list(one.search.space) == ["learning_rate", "adversarial_weight", "epsilon", "pgd.steps"]
    assert one.search.scheduler == {"asha": {"grace_period": 2, "reduction_factor": 4}}
    assert sweep("learning_rate=1e-3").search.space.keys() == {"adversarial_weight"}
    assert sweep("search=null").search is None
    assert parse(TINY, [f"search={json.dumps(SEARCH)}"]).search == sweep().search
    assert "search" not in yaml.safe_load(parse(TINY).resolved())


def test_a_scheduler_and_a_searcher_are_an_entry_each(monkeypatch):
    class Patience(Strict):
        rounds: int = 2

    monkeypatch.setitem(search.SCHEDULERS, "patience", Patience)
    monkeypatch.setitem(search.SEARCHERS, "grid", lambda space, arguments: "" if space == "choice" else "only choice")
    assert sweep(scheduler={"patience": {"rounds": 3}}).search.scheduler == {"patience": {"rounds": 3}}
    with pytest.raises(InputError, match=r"search\.scheduler: .*patience\.round: unknown key; did you mean rounds\?"):
        sweep(scheduler={"patience": {"round": 3}})
    assert sweep(searcher="grid", space={"epsilon": {"choice": [0.1, 0.2]}}).search.adaptive
    with pytest.raises(InputError, match=r"^search\.space\.learning_rate: only choice$"):
        sweep(searcher="grid")


def test_a_nested_field_may_be_nested_in_the_space():
    assert list(sweep(space={"pgd": {"steps": {"choice": [3, 4]}}}, samples=1).search.space) == ["pgd.steps"]


def test_metrics_are_the_numbers_of_rounds():
    assert set(METRICS) <= set(ROUNDS.names)


SPACE = SEARCH["space"]
MISTAKES = {
    "no mapping": ({"search": [1]}, ["search", "a list", "mapping of space, samples"]),
    "an unknown key": ({"search": SEARCH | {"sample": 3}}, ["search.sample", "did you mean search.samples?"]),
    "a field beside the space": ({"search": SEARCH | {"epsilon": 3}}, ["search.epsilon", "search.space.epsilon"]),
    "no space": ({"search": SEARCH | {"space": {}}}, ["search.space", "is empty"]),
    "space is missing": ({"search": {"samples": 3, "metric": SEARCH["metric"]}}, ["search.space", "is missing"]),
    "samples are missing": ({"search": {k: v for k, v in SEARCH.items() if k != "samples"}}, ["search.samples"]),
    "no samples": ({"search": SEARCH | {"samples": 0}}, ["search.samples", "greater than or equal to 1"]),
    "an unknown field": (
        {"search": SEARCH | {"space": {"learning_rat": {"uniform": [0, 1]}}}},
        ["search.space.learning_rat", "did you mean learning_rate?"],
    ),
    "a group": ({"search": SEARCH | {"space": {"prune.rates": 3}}}, ["search.space.prune.rates", "prune.rates.output"]),
    "no space but a value": ({"search": SEARCH | {"space": {"epsilon": 0.3}}}, ["search.space.epsilon", "one space"]),
    "an unknown space": (
        {"search": SEARCH | {"space": {"epsilon": {"unifrom": [0, 1]}}}},
        ["search.space.epsilon", "unifrom", "did you mean uniform?"],
    ),
    "a space without bounds": (
        {"search": SEARCH | {"space": {"epsilon": {"randn": [0, 1]}}}},
        ["search.space.epsilon", "randn: unknown space"],
    ),
    "too few arguments": (
        {"search": SEARCH | {"space": {"epsilon": {"quniform": [0, 1]}}}},
        ["search.space.epsilon", "takes 3 numbers: [lower, upper, q]"],
    ),
    "text for a number": (
        {"search": SEARCH | {"space": {"epsilon": {"uniform": [0, "1"]}}}},
        ["search.space.epsilon", "takes 2 numbers"],
    ),
    "a fraction for a whole number": (
        {"search": SEARCH | {"space": {"pgd.steps": {"randint": [1, 2.5]}}}},
        ["search.space.pgd.steps", "takes 2 whole numbers"],
    ),
    "bounds the wrong way round": (
        {"search": SEARCH | {"space": {"epsilon": {"uniform": [0.4, 0.1]}}}},
        ["search.space.epsilon", "lower must be less than upper"],
    ),
    "bounds that Tune refuses": (
        {"search": SEARCH | {"space": {"epsilon": {"loguniform": [0, 0.1]}}}},
        ["search.space.epsilon", "Ray Tune says", "greater than 0"],
    ),
    "bounds beyond the field's": (
        {"search": SEARCH | {"space": SPACE | {"epsilon": {"uniform": [0.1, 1.5]}}}},
        ["search.space.epsilon", "1.5", "less than or equal to 1"],
    ),
    "a choice beyond the field's": (
        {"search": SEARCH | {"space": SPACE | {"train_attack": {"choice": ["fgsm", "cw"]}}}},
        ["search.space.train_attack", "'cw'", "pgd"],
    ),
    "fractions for a field of whole numbers": (
        {"search": SEARCH | {"space": SPACE | {"pgd.steps": {"uniform": [1, 20]}}}},
        ["search.space.pgd.steps", "integer"],
    ),
    "impossible together": (
        {"search": SEARCH | {"space": SPACE | {"batch_size": {"randint": [60, 5000]}}}},
        ["batch_size", "4999", "1077 training images"],
    ),
    "a choice twice": (
        {"search": SEARCH | {"space": {"epsilon": {"choice": [0.1, 0.1]}}}},
        ["search.space.epsilon", "different values"],
    ),
    "seeds": (
        {"search": SEARCH | {"space": {"seed": {"randint": [0, 9]}}}},
        ["search.space.seed", "every seed of grid.seed"],
    ),
    "in the grid too": (
        {"search": SEARCH, "grid": {"learning_rate": [0.1]}},
        ["search.space.learning_rate", "stands in grid too"],
    ),
    "more samples than settings": (
        {"search": SEARCH | {"space": {"pgd.steps": {"choice": [5, 10]}}, "samples": 3}},
        ["search.samples", "found 3", "only 2 settings"],
    ),
    "an unknown metric": (
        {"search": SEARCH | {"metric": "accuracy_validation"}},
        ["search.metric", "'accuracy_validation'", "did you mean"],
    ),
    "a metric that is not measured": (
        {"search": SEARCH | {"metric": "final_pgd_accuracy_test"}},
        ["search.metric", "under train_attack fgsm only fgsm is measured"],
    ),
    "a mode": ({"search": SEARCH | {"mode": "best"}}, ["search.mode", "'best'", "'max'"]),
    "an unknown scheduler": (
        {"search": SEARCH | {"scheduler": "hyperband"}},
        ["search.scheduler", "'hyperband'", "none, asha, median"],
    ),
    "an unknown option of a scheduler": (
        {"search": SEARCH | {"scheduler": {"asha": {"grace": 2}}}},
        ["search.scheduler", "asha.grace", "grace_period, reduction_factor"],
    ),
    "an unknown searcher": (
        {"search": SEARCH | {"searcher": "bayes"}},
        ["search.searcher", "'bayes'", "allowed are random, optuna"],
    ),
    "what Optuna can't draw": (
        {"search": SEARCH | {"searcher": "optuna", "space": {"epsilon": {"qloguniform": [0.1, 0.4, 0.1]}}}},
        ["search.space.epsilon", "Optuna does not quantize"],
    ),
    "too many": ({"search": SEARCH | {"samples": 500_000}}, ["3,000,000"]),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_gets_one_clear_line(what):
    sections, parts = MISTAKES[what]
    with pytest.raises(InputError) as caught:
        parse(TINY | sections).trajectories()
    line = str(caught.value)
    assert "\n" not in line
    for part in parts:
        assert part in line, line


def test_dry_run_says_how_many_samples_in_how_many_cells(sweep_file):
    path = sweep_file(search=SEARCH | {"scheduler": "asha"}, grid={"strategy": ["reset", "random"], "seed": [0, 1, 2]})
    process = lthray("sweep", path, "--set", "search.samples=5", "--dry-run")
    assert process.returncode == 0, process.stderr
    lines = process.stdout.splitlines()
    assert lines[0].split()[:4] == ["trajectory", "learning_rate", "adversarial_weight", "strategy"]
    assert (
        lines[-2]
        == "a search of 5 samples in 2 cells of the grid, with 3 seeds each: 30 trajectories at most, because asha"
        " stops poor samples"
    )
    assert lines[-1].startswith("30 trajectories, 0 of them complete")
    wrong = lthray("sweep", path, "--set", "search.samples=many", "--dry-run")
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1


@pytest.fixture
def sample(digits, tmp_path):
    """A sample of two seeds with two rounds done by the first and one by the second."""
    one = sweep(grid={"seed": [0, 1]}, trajectory={"rounds": 2, "iterations": 4, "eval_every": 4}, samples=1)
    store, stack = Store(tmp_path), one.trajectories()
    results = [list(run([spec], digits)) for spec in stack]
    for spec, count in ((0, 2), (1, 1)):
        for number in range(count):
            store.write_round(results[spec][number][0])
    return store, stack, results


def accuracy(result):
    return result.row(Attack("fgsm"), "validation", result.early_stopping_iteration).accuracy


def test_the_metric_is_the_mean_over_seeds_of_the_rounds_that_all_have(sample):
    store, stack, results = sample
    expected = (accuracy(results[0][0][0]) + accuracy(results[1][0][0])) / 2
    assert store.means(stack, SEARCH["metric"]) == [pytest.approx(expected, abs=1e-15)]
    assert store.means(stack[:1], "early_stopping_iteration") == [
        one[0].early_stopping_iteration for one in results[0][:2]
    ]
    other = stack[0].model_copy(update={"seed": 9})
    assert store.means([*stack, other], SEARCH["metric"]) == []


def test_a_sample_reports_the_rounds_it_has_and_then_each_once(sample):
    store, stack, results = sample
    messages = []

    def progress(number, round_done):
        return Progress("iterations", number, 40, 40, round_done, 1.0, 0.8, 0.9, {"fgsm": 0.5}, 2, "cpu")

    def train(specs, data, report, largest):
        assert specs == stack
        store.write_round(results[1][1][0])  # the second seed catches up, and both do the last round
        report(progress(1, True))
        report(progress(2, False))
        store.write_round(results[0][2][0])
        report(progress(2, True))
        store.write_round(results[1][2][0])
        report(progress(2, True))

    train_sample(stack, {}, messages.append, train=train, store=store, metric=SEARCH["metric"])
    means = store.means(stack, SEARCH["metric"])
    assert len(means) == 3
    assert messages == [
        Score(means[0], 1), progress(1, True), Score(means[1], 2), progress(2, False), progress(2, True),
        progress(2, True), Score(means[2], 3),
    ]  # fmt: skip


def test_who_was_stopped_is_remembered_until_it_is_trained_on(sample):
    store, stack, results = sample
    store.write_stopped(stack[0], SEARCH["metric"], 0.25)
    told = json.loads((store.folder / "stopped" / f"{stack[0].trajectory_id}.json").read_bytes())
    assert told == {"trajectory_id": stack[0].trajectory_id, "round": 1, "metric": SEARCH["metric"], "value": 0.25}
    assert store.stopped() == {stack[0].trajectory_id}
    assert samples.stopped(sweep(), store) == set()  # without a scheduler it is trained on
    assert samples.stopped(sweep(scheduler="median"), store) == store.stopped()
    store.write_failure(Failure(stack[0], 2, "no"))
    store.write_round(results[0][2][0])
    assert store.stopped() == set()


def test_the_folder_remembers_the_samples_of_a_searcher_that_are_still_of_its_space(tmp_path):
    one = sweep(searcher="optuna", grid={"strategy": ["reset", "random"], "seed": [0, 1]}, samples=2)
    store = Store(tmp_path)
    values = [{"learning_rate": lr, "adversarial_weight": 0.5} for lr in (0.1 + 0.2, 1 / 300, 2e-4, 3e-4)]
    drawn = [Sample({"strategy": "random"}, values[1]), Sample({"strategy": "random"}, values[2])]
    for number, this in enumerate([Sample({"strategy": "random"}, values[0]), *drawn]):
        samples.remember(one, store, this, number)
    samples.remember(one, store, Sample({"strategy": "continued"}, values[3]), 0)
    samples.remember(one, store, Sample({"strategy": "reset"}, {"learning_rate": 1e-3}), 0)
    assert samples.drawn(one, store) == drawn  # 0.30000000000000004 is out of bounds, and the rest of other searches
    assert [dataclasses.astuple(two)[1] for two in drawn] == values[1:3]
    assert one.trajectories() == []
    found = samples.trajectories(one, [], store)
    assert [(spec.learning_rate, spec.seed) for spec in found] == [(1 / 300, 0), (1 / 300, 1), (2e-4, 0), (2e-4, 1)]
