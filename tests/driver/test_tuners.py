"""Searches on Ray Tune: samples as trials, schedulers that stop, searchers that learn, and drivers that are killed."""

import json
import os
import shutil

import pandas as pd
import pytest
import yaml

from lthray.driver import samples, tuners
from lthray.engine.trajectory import run
from lthray.methods.attacks import Attack
from lthray.spec.search import SCHEDULERS, SEARCHERS, Sample
from lthray.spec.sweepfile import parse
from lthray.store.folder import Store
from tests.helpers import KEYS, TINY, lthray, readable, start, tables, wait_for

METRIC = "early_stopping_fgsm_accuracy_validation"
SEARCH = {
    "space": {"learning_rate": {"loguniform": [1e-5, 1e-2]}, "adversarial_weight": {"uniform": [0.1, 0.9]}},
    "samples": 3,
    "metric": METRIC,
}


def many() -> int:
    """Slots of a cluster where all trials fit at the same time."""
    return 9


def tiny(**search):
    trajectory = TINY["trajectory"] | {"rounds": 1, "iterations": 20}
    return TINY | {"trajectory": trajectory, "grid": {"seed": [0, 1]}, "search": SEARCH | search}


def write(folder, tree):
    path = folder / "search.yaml"
    path.write_text(yaml.safe_dump(tree, sort_keys=False))
    return path


def trained(sample, sweep, store, digits, rounds):
    """Trains a sample's first rounds and gives the metric after each, by hand."""
    accuracies = []
    for spec in sweep.stack_of(sample):
        mine = []
        for number, (result,) in enumerate(run([spec], digits)):
            if number == rounds:
                break
            store.write_round(result)
            mine.append(result.row(Attack("fgsm"), "validation", result.early_stopping_iteration).accuracy)
        accuracies.append(mine)
    return [sum(one) / len(one) for one in zip(*accuracies, strict=True)]


@pytest.mark.slow
def test_samples_drawn_at_random_are_a_grid_that_grows(tmp_path):
    """Without a scheduler: the same command trains nothing, more samples train what is new."""
    path = write(tmp_path, tiny())
    first = lthray("sweep", path, "--out", tmp_path / "r", "--set", "search.samples=2")
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr == ""
    assert "trained 8 rounds; 4 of 4 trajectories complete" in first.stdout
    before, _ = tables(tmp_path / "r")
    more = lthray("sweep", path, "--out", tmp_path / "r")
    assert more.returncode == 0, more.stdout + more.stderr
    assert "4 of 6 trajectories complete; to train: 2 trajectories" in more.stdout
    after, _ = tables(tmp_path / "r")
    drawn = parse(tiny()).search.draw()
    assert set(zip(after["learning_rate"], after["adversarial_weight"], strict=True)) == {
        tuple(one[name] for name in SEARCH["space"]) for one in drawn
    }
    pd.testing.assert_frame_equal(after.merge(before[KEYS[:2]]).sort_values(KEYS[:2], ignore_index=True), before)
    again = lthray("sweep", path, "--out", tmp_path / "r")
    assert "nothing to train; 6 of 6 trajectories complete" in again.stdout
    assert "search" in yaml.safe_load((tmp_path / "r" / "sweep.yaml").read_text())


def test_a_scheduler_hears_of_finished_samples_as_if_they_had_just_been_trained(digits, tmp_path):
    """ASHA with a reduction factor of 2: after round 0 whoever is below the median of those before is stopped."""
    sweep = parse(tiny(scheduler={"asha": {"reduction_factor": 2}}, samples=4))
    store = Store(tmp_path)
    first, second, third, fourth = sweep.samples()
    one, two = (trained(sample, sweep, store, digits, 2) for sample in (first, second))
    (three,) = trained(third, sweep, store, digits, 1)
    for spec in sweep.stack_of(third):
        store.write_stopped(spec, METRIC, three)
    missing = list(sweep.stack_of(fourth))
    (cell,) = tuners.read_cells(sweep, store, missing)
    assert (cell.waiting, cell.undrawn) == ([fourth], 0)
    assert cell.finished == [(first, one), (second, two), (third, [three])]
    tuning = tuners.tuning(sweep, store, [cell], None, many)
    assert tuning.options["num_samples"] == 1
    config = tuning.options["search_alg"].suggest("trial-id")
    assert config == {"trial": "1", "cell": {}, "drawn": fourth.drawn}
    assert list(tuning.stack_of(config)) == missing

    class Trial:
        trial_id = "trial-id"

    Trial.config = config
    median = sorted([one[0], two[0], three])[1]
    for value, action in ((median + 1e-6, "CONTINUE"), (median - 1e-6, "STOP")):
        scheduler = tuners.tuning(sweep, store, tuners.read_cells(sweep, store, missing), None, many).options[
            "scheduler"
        ]
        scheduler.on_trial_add(None, Trial)
        assert scheduler.on_trial_result(None, Trial, {"round": 1}) == "CONTINUE"
        assert scheduler.on_trial_result(None, Trial, {"metric": value, "rounds_done": 1}) == action
    assert store.stopped() >= {spec.trajectory_id for spec in missing}


def test_cells_are_searched_on_their_own(tmp_path):
    """A cell that is worse throughout loses no sample to a better one."""
    tree = tiny(scheduler={"asha": {"reduction_factor": 2}})
    tree["grid"] = {"strategy": ["reset", "random"], "seed": [0]}
    sweep = parse(tree)
    found = tuners.read_cells(sweep, Store(tmp_path), sweep.trajectories())
    assert [(cell.fields["strategy"], len(cell.waiting)) for cell in found] == [("reset", 3), ("random", 3)]
    tuning = tuners.tuning(sweep, Store(tmp_path), found, None, many)
    configs = [tuning.options["search_alg"].suggest(str(number)) for number in range(7)]
    assert [one["cell"]["strategy"] for one in configs[:6]] == ["reset", "random"] * 3  # each in turn
    assert configs[6] == "FINISHED"
    scheduler, actions = tuning.options["scheduler"], []
    for number, value in enumerate([0.9, 0.1, 0.95, 0.15, 0.2, 0.05]):
        trial = type("Trial", (), {"trial_id": str(number), "config": configs[number]})
        scheduler.on_trial_add(None, trial)
        actions.append(scheduler.on_trial_result(None, trial, {"metric": value, "rounds_done": 1}))
    assert actions == ["CONTINUE"] * 4 + ["STOP"] * 2


def test_median_stopping_never_pauses(tmp_path):
    sweep = parse(
        tiny(scheduler={"median": {"min_samples_required": 2}}, mode="min", metric="early_stopping_iteration")
    )
    tuning = tuners.tuning(
        sweep, Store(tmp_path), tuners.read_cells(sweep, Store(tmp_path), sweep.trajectories()), None, many
    )
    scheduler, actions = tuning.options["scheduler"], []
    for number, value in enumerate([10, 20, 30]):
        config = tuning.options["search_alg"].suggest(str(number))
        trial = type("Trial", (), {"trial_id": str(number), "config": config})
        scheduler.on_trial_add(None, trial)
        actions.append(scheduler.on_trial_result(None, trial, {"metric": value, "rounds_done": 1}))
    assert actions == ["CONTINUE", "CONTINUE", "STOP"]


def test_optuna_is_told_what_there_is_and_repeats_nothing(digits, tmp_path):
    pytest.importorskip("optuna")
    sweep = parse(tiny(searcher="optuna", samples=6))
    store = Store(tmp_path)
    done, half = (Sample({}, values) for values in parse(tiny()).search.draw()[:2])
    for number, sample in enumerate((done, half)):
        samples.remember(sweep, store, sample, number)
    values = trained(done, sweep, store, digits, 2)
    trained(half, sweep, store, digits, 1)

    def begin():
        known = samples.trajectories(sweep, [], store)
        rounds = store.done(known)
        missing = [spec for spec in known if rounds[spec.trajectory_id] <= spec.rounds]
        cells = tuners.read_cells(sweep, store, missing)
        assert sum(map(len, tuners.planned(sweep, cells, set()).values())) == 2 * (6 - 1)
        return cells[0], tuners.tuning(sweep, store, cells, None, many).options["search_alg"]

    cell, searcher = begin()
    (told,) = (one for one in cell.searcher._ot_study.get_trials() if one.state.name == "COMPLETE")
    assert (told.params, told.value) == (done.drawn, values[-1])
    drawn = [searcher.suggest(str(number)) for number in range(3)]
    assert drawn[0]["drawn"] == half.drawn
    assert len(list((tmp_path / "samples").iterdir())) == 4
    searcher.on_trial_result("0", {"round": 1})
    searcher.on_trial_result("0", {"metric": 0.5, "rounds_done": 2})
    searcher.on_trial_complete("0", {"metric": 0.5, "rounds_done": 2})
    searcher.on_trial_complete("1", {"failure": {"round": 1}})
    states = [(one.state.name, one.value) for one in cell.searcher._ot_study.get_trials()]
    assert states == [("COMPLETE", 0.5), ("COMPLETE", values[-1]), ("FAIL", None), ("RUNNING", None)]

    _, searcher = begin()  # killed here: three wait, two more are drawn, and none of them anew
    again = [searcher.suggest(str(number)) for number in range(6)]
    assert [one["drawn"] for one in again[:3]] == [one["drawn"] for one in drawn]
    assert again[5] == "FINISHED"
    every = [json.dumps(values) for values in (done.drawn, *(one["drawn"] for one in again[:5]))]
    assert len(set(every)) == 6
    assert len(list((tmp_path / "samples").iterdir())) == 6


def test_optuna_draws_all_of_a_small_space(tmp_path):
    pytest.importorskip("optuna")
    sweep = parse(tiny(searcher="optuna", samples=4, space={"batch_size": {"choice": [30, 40, 50, 60]}}))
    searcher = tuners.tuning(sweep, Store(tmp_path), tuners.read_cells(sweep, Store(tmp_path), []), None, many).options[
        "search_alg"
    ]
    assert {searcher.suggest(str(number))["drawn"]["batch_size"] for number in range(4)} == {30, 40, 50, 60}


ASHA = tiny(
    space={"learning_rate": {"loguniform": [1e-5, 1e-2]}, "epsilon": {"uniform": [0.05, 0.4]}},
    samples=6,
    scheduler={"asha": {"reduction_factor": 3}},
) | {"trajectory": TINY["trajectory"] | {"rounds": 3, "iterations": 60, "eval_every": 30}}
ONE_AT_A_TIME = ["--set", f"resources.cpus={os.cpu_count()}"]


@pytest.fixture(scope="module")
def asha(tmp_path_factory):
    """A search with ASHA, run to its end; one trial at a time, so that a scheduler decides the same again."""
    path = write(tmp_path_factory.mktemp("asha"), ASHA)
    whole = lthray("sweep", path, "--out", path.parent / "whole", *ONE_AT_A_TIME)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    assert whole.stderr == ""
    return path, whole.stdout


@pytest.mark.slow
def test_asha_stops_poor_samples_and_they_stay_stopped(asha):
    path, said = asha
    rounds, _ = tables(path.parent / "whole")
    assert rounds["iterations"].sum() < 6 * 2 * 4 * 60
    stopped = Store(path.parent / "whole").stopped()
    last = rounds.groupby("trajectory_id")["round"].max()
    assert len(last) == 12
    assert stopped == set(last[last < 3].index)
    assert f"{12 - len(stopped)} of 12 trajectories complete, {len(stopped)} stopped by the scheduler" in said
    again = lthray("sweep", path, "--out", path.parent / "whole", *ONE_AT_A_TIME)
    assert again.returncode == 0
    assert "nothing to train; " in again.stdout
    told = json.loads(lthray("status", path.parent / "whole", "--json").stdout)
    assert (told["stopped"], told["waiting"], told["failed"]) == (len(stopped), 0, 0)
    assert "stopped" in lthray("status", path.parent / "whole").stdout


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["round 1 of 3", "stopped by the scheduler"])
def test_a_search_killed_hard_decides_and_trains_the_same(moment, asha, tmp_path):
    path, _ = asha
    process = start(path, tmp_path, *ONE_AT_A_TIME)
    wait_for(process, moment)
    process.kill()
    process.communicate(timeout=120)
    readable(tmp_path)
    expected = tables(path.parent / "whole")
    assert len(pd.read_parquet(tmp_path / "rounds")) < len(expected[0])
    again = lthray("sweep", path, "--out", tmp_path, *ONE_AT_A_TIME)
    assert again.returncode == 0, again.stdout + again.stderr
    for found, wanted in zip(tables(tmp_path), expected, strict=True):
        pd.testing.assert_frame_equal(found, wanted)
    assert Store(tmp_path).stopped() == Store(path.parent / "whole").stopped()


@pytest.mark.slow
def test_without_the_scheduler_what_it_stopped_is_trained_on(asha, tmp_path):
    """ASHA spends less, and the rounds that it leaves are those of a search without it."""
    path, _ = asha
    shutil.copytree(path.parent / "whole", tmp_path / "on")
    runs = [
        lthray("sweep", path, "--out", tmp_path / name, "--set", "search.scheduler=none", *ONE_AT_A_TIME)
        for name in ("on", "all")
    ]
    assert [one.returncode for one in runs] == [0, 0]
    on, everything = tables(tmp_path / "on")[0], tables(tmp_path / "all")[0]
    pd.testing.assert_frame_equal(on, everything)
    assert Store(tmp_path / "on").stopped() == set()
    whole = tables(path.parent / "whole")[0]
    assert whole["iterations"].sum() < everything["iterations"].sum() == 6 * 2 * 4 * 60
    shared = everything.merge(whole[KEYS[:2]]).sort_values(KEYS[:2], ignore_index=True)
    pd.testing.assert_frame_equal(shared, whole)


@pytest.mark.slow
def test_optuna_killed_goes_on_with_the_samples_it_has(tmp_path):
    pytest.importorskip("optuna")
    path = write(tmp_path, tiny(searcher="optuna", samples=5))
    process = start(path, tmp_path / "r")
    wait_for(process, "trial 3")
    process.kill()
    process.communicate(timeout=120)
    folder = tmp_path / "r" / "samples"
    before = {one.name: one.read_text() for one in folder.iterdir()}
    assert 3 <= len(before) <= 5
    kept, _ = tables(tmp_path / "r")
    status = lthray("status", tmp_path / "r")
    if len(before) < 5:
        assert f"{2 * (5 - len(before))} more trajectories to come, of samples not drawn yet" in status.stdout

    again = lthray("sweep", path, "--out", tmp_path / "r")
    assert again.returncode == 0, again.stdout + again.stderr
    assert again.stderr == ""
    assert "10 of 10 trajectories complete" in again.stdout
    after = {one.name: one.read_text() for one in folder.iterdir()}
    assert len(after) == 5
    assert after.items() >= before.items()
    rounds, _ = tables(tmp_path / "r")
    assert rounds.groupby("trajectory_id")["round"].apply(list).tolist() == [[0, 1]] * 10
    pd.testing.assert_frame_equal(rounds.merge(kept[KEYS[:2]]).sort_values(KEYS[:2], ignore_index=True), kept)
    values = [json.loads(text)["drawn"] for text in after.values()]
    assert set(rounds["learning_rate"]) == {one["learning_rate"] for one in values}
    more = lthray("sweep", path, "--out", tmp_path / "r", "--set", "search.samples=6")
    assert more.returncode == 0, more.stdout + more.stderr
    assert "trained 4 rounds; 12 of 12 trajectories complete" in more.stdout


@pytest.mark.slow
def test_a_sample_with_a_seed_that_diverges_is_a_failure_and_stops_no_other(tmp_path):
    tree = tiny(space={"learning_rate": {"choice": [0.001, 1e30]}}, samples=2, scheduler="asha")
    path = write(tmp_path, tree)
    process = lthray("sweep", path, "--out", tmp_path / "r")
    assert process.returncode == 1, process.stdout + process.stderr
    assert "2 of 4 trajectories complete" in process.stdout
    assert process.stdout.count("the loss stopped being finite") >= 2
    assert set(tables(tmp_path / "r")[0]["learning_rate"]) == {0.001}


def test_every_scheduler_and_searcher_that_a_sweep_file_may_name_can_be_made():
    assert tuners.SCHEDULERS.keys() == SCHEDULERS.keys()
    assert {"random", *tuners.SEARCHERS} == SEARCHERS.keys()
