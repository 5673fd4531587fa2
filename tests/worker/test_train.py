"""The body of a trial, without Ray."""

from dataclasses import replace
from functools import partial

import pandas as pd
import pytest

from lthray.driver.datasets import known
from lthray.engine import recorder
from lthray.engine.results import Failure
from lthray.store import checkpoints
from lthray.store.folder import Store
from lthray.worker import train as worker
from lthray.worker.report import Note, Progress, Score
from lthray.worker.sample import train_sample
from tests.helpers import KEYS, evaluations, tables


@pytest.fixture
def arrays():
    return {"digits-8x8": known.read("digits-8x8", None)}


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.create("name: x\n")
    return store


def train(specs, store, arrays, minutes=0, largest=None):
    reports = []
    options = {"store": store, "threads": 1, "gpus": 1, "checkpoint_minutes": minutes}
    worker.train_stack(specs, arrays, reports.append, largest, **options)
    return reports


def finished(reports):
    return [message for message in reports if isinstance(message, Progress) and message.round_done]


def test_it_trains_writes_and_reports_every_round(make, store, arrays):
    specs = [make(seed=seed, train_attack="fgsm") for seed in (0, 1)]
    done = finished(train(specs, store, arrays))
    assert [(one.round, one.done_in_round, one.running, one.done_in_trial) for one in done] == [
        (0, 40, 2, 80), (1, 40, 2, 160), (2, 40, 2, 240),
    ]  # fmt: skip
    assert done[1].weights_remaining == 40_260 / 50_200
    assert done[0].rate > 0
    assert {(one.unit, one.device) for one in done} == {("iterations", "cpu")}
    rounds = pd.read_parquet(store.folder / "rounds")
    assert len(rounds) == 6
    last = rounds[rounds["round"] == 2]
    assert done[2].natural == pytest.approx(last["final_none_accuracy_test"].mean())
    assert done[2].adversarial == {"fgsm": pytest.approx(last["final_fgsm_accuracy_test"].mean())}


def test_no_more_are_trained_at_once_than_a_worker_that_died_allows(make, store, arrays, tmp_path):
    """Two strategies share round 0, which one of each seed trains."""
    fields = {"train_attack": "fgsm", "rounds": 1}
    specs = [make(seed=seed, strategy=name, **fields) for seed in range(5) for name in ("reset", "random")]
    whole = Store(tmp_path / "whole")
    whole.create("name: x\n")
    train(specs, whole, arrays)
    reports = train(specs, store, arrays, largest=2)
    assert max(message.running for message in reports if message.round) == 2
    rounds = pd.read_parquet(store.folder / "rounds")
    assert rounds["stack"].max() == 2
    assert len(rounds) == 20
    for mine, expected in zip(tables(store.folder), tables(whole.folder), strict=True):
        pd.testing.assert_frame_equal(mine, expected)


def test_it_goes_on_where_each_trajectory_stands(make, store, arrays):
    """After a kill, some of a stack may have a round more than others."""
    specs = [make(seed=seed) for seed in (0, 1)]
    train(specs, store, arrays)
    whole = pd.read_parquet(store.folder / "curves")
    for table in ("rounds", "curves"):
        path = store.folder / table / f"{specs[0].trajectory_id}.parquet"
        frame = pd.read_parquet(path)
        frame[frame["round"] < 1].to_parquet(path)
    reports = train(specs, store, arrays)
    assert [(one.round, one.running) for one in finished(reports)] == [(1, 1), (2, 1)]
    again = pd.read_parquet(store.folder / "curves")
    keys = ["trajectory_id", "round", "iteration", "split", "attack"]
    pd.testing.assert_frame_equal(
        whole.sort_values(keys, ignore_index=True), again.sort_values(keys, ignore_index=True)
    )
    assert train(specs, store, arrays) == []


def test_a_failure_is_written_and_reported(make, store, arrays):
    spec = make(learning_rate=1e30)
    *_, failure, last = train([spec], store, arrays)
    assert (failure.spec, failure.round, last.running) == (spec, 0, 0)
    assert store.failures()[spec.trajectory_id]["error"] == failure.reason
    assert store.rounds_done(spec.trajectory_id) == 0


def test_long_rounds_report_in_between_but_not_too_often(make, store, arrays, monkeypatch):
    monkeypatch.setattr(worker, "REPORT_SECONDS", 0.0)
    often = train([make(iterations=20, eval_every=5, rounds=0)], store, arrays)
    assert [one.done_in_round for one in often] == [0, 0, 5, 10, 15, 20, 20]
    assert [one.round_done for one in often] == [False] * 6 + [True]
    assert (often[0].natural, often[0].adversarial) == (None, {})  # training begins
    assert 0 < often[1].natural < 0.5
    monkeypatch.setattr(worker, "REPORT_SECONDS", 3600.0)
    seldom = train([make(iterations=20, eval_every=5, rounds=1, seed=1)], store, arrays)
    assert [(one.round, one.done_in_round) for one in seldom] == [(0, 0), (0, 20), (1, 20)]
    assert (seldom[0].rate, seldom[0].done_in_trial) == (0, 0)


def test_a_damaged_ticket_is_the_failure_of_its_trajectory_alone(make, store, arrays):
    specs = [make(seed=seed, rounds=1) for seed in (0, 1)]
    train(specs, store, arrays)
    (store.folder / "tickets" / specs[0].trajectory_id / "round-01.safetensors").write_bytes(b"torn")
    longer = [make(seed=seed, rounds=2) for seed in (0, 1)]
    failure, *_, last = train(longer, store, arrays)
    assert (failure.spec, failure.round) == (longer[0], 2)
    assert "round-01.safetensors: can't be read" in failure.reason
    assert (last.round, last.running, last.round_done) == (2, 1, True)
    assert store.rounds_done(longer[1].trajectory_id) == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"rewind_to": "iteration:7"},
        {
            "rewind_to": "iteration:7",
            "strategy": "shuffled",
            "prune": {"schedule": "one-shot", "criterion": "gradient"},
        },
        {"strategy": "kept-signs", "prune": {"scope": "global", "criterion": "adversarial-gradient", "rate": 0.1}},
    ],
)
def test_a_kill_after_any_round_changes_no_number(fields, make, tmp_path, arrays):
    """A worker that dies as it has written a round, and another that goes on from the files."""
    spec = make(train_attack="fgsm", **fields)
    whole, torn = Store(tmp_path / "whole"), Store(tmp_path / "torn")
    for store in (whole, torn):
        store.create("name: x\n")
    train([spec], whole, arrays)

    class KilledError(Exception):
        pass

    def report(message):
        if message.round_done:
            raise KilledError

    for number in range(3):
        with pytest.raises(KilledError):
            worker.train_stack([spec], arrays, report, store=torn, threads=1, gpus=1)
        assert torn.rounds_done(spec.trajectory_id) == number + 1
    frames = [pd.read_parquet(store.folder / "curves") for store in (whole, torn)]
    pd.testing.assert_frame_equal(*frames)
    for number in range(3):
        one, other = (store.ticket(spec, number) for store in (whole, torn))
        for name in spec.layer_sizes:
            assert (one.weights[name] == other.weights[name]).all()
            assert (one.masks[name] == other.masks[name]).all()


def test_a_round_that_can_t_begin_is_a_failure_each_time(make, store, arrays, monkeypatch):
    """The second time nothing is trained before."""
    import torch

    from lthray.methods.criteria import CRITERIA

    def by_layer(net):
        return tuple(torch.full_like(weight, place) for place, weight in enumerate(net.weights))

    monkeypatch.setitem(CRITERIA, "random", by_layer)
    spec = make(prune={"criterion": "random", "scope": "global", "rate": 0.4})
    for _ in range(2):
        reports = train([spec], store, arrays)
        assert [message for message in reports if isinstance(message, Failure)] == [
            Failure(spec, 1, "prune.scope global took the last weight of hidden_1")
        ]
        assert store.rounds_done(spec.trajectory_id) == 1
    assert len(reports) == 1


def test_a_sample_reports_its_score_after_each_round_also_of_rounds_finished_earlier(make, store, arrays):
    specs = [make(seed=seed, rounds=1) for seed in (0, 1)]
    train([specs[0].model_copy(update={"rounds": 0}), specs[1]], store, arrays)
    reports = []
    body = partial(worker.train_stack, store=store, threads=1, gpus=0)
    train_sample(specs, arrays, reports.append, train=body, store=store, metric="final_none_accuracy_test")
    rounds = pd.read_parquet(store.folder / "rounds")
    means = rounds.groupby("round")["final_none_accuracy_test"].mean()
    assert [type(message) for message in reports] == [Score, Progress, Progress, Score]
    assert [message for message in reports if isinstance(message, Score)] == [Score(means[0], 1), Score(means[1], 2)]


class KilledError(Exception):
    """Stands for a kill: nothing after it runs."""


def interrupt(specs, store, arrays, monkeypatch, at):
    """Trains until an evaluation, writing checkpoints at each, and is cut off right after."""
    evaluate = recorder.evaluate

    def evaluate_or_die(weights, members, splits, number, iteration):
        if (number, iteration) == at:
            raise KilledError
        return evaluate(weights, members, splits, number, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "evaluate", evaluate_or_die)
        with pytest.raises(KilledError):
            train(specs, store, arrays, 1e-9)


def iterations_trained(specs, store, arrays, monkeypatch):
    """Trains what is missing; the iterations of each evaluation, by trajectory and round."""
    seen, evaluate = {}, recorder.evaluate

    def note(weights, members, splits, number, iteration):
        for spec in members:
            seen.setdefault((spec.seed, number), []).append(iteration)
        return evaluate(weights, members, splits, number, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "evaluate", note)
        train(specs, store, arrays)
    return seen


UNSTEADY = {"train_attack": "fgsm", "learning_rate": 0.03, "end_attacks": ["pgd(steps=2)"]}
"""Early stopping comes before the end of most rounds."""


@pytest.mark.parametrize("fields", [UNSTEADY, {"rewind_to": "iteration:15", "train_attack": "pgd"}])
@pytest.mark.parametrize("at", [(0, 30), (1, 30)])
def test_an_interrupted_round_goes_on_from_its_checkpoint(fields, at, make, store, arrays, tmp_path, monkeypatch):
    specs = [make(seed=seed, eval_every=10, pgd={"steps": 2}, rounds=1, **fields) for seed in (0, 1, 2)]
    whole = Store(tmp_path / "whole")
    whole.create("name: x\n")
    train(specs, whole, arrays)
    interrupt(specs[:2], store, arrays, monkeypatch, at)
    files = sorted((store.folder / "checkpoints").iterdir())
    assert len(files) == 2
    files[0].write_bytes(files[0].read_bytes()[:-1])  # damaged: that trajectory alone starts the round anew
    seen = iterations_trained(specs, store, arrays, monkeypatch)
    damaged = next(spec.seed for spec in specs if spec.trajectory_id == files[0].stem)
    assert seen[damaged, at[0]] == [0, 10, 20, 30, 40]
    assert seen[1 - damaged, at[0]] == [30, 40]
    assert seen[2, 0] == [0, 10, 20, 30, 40]
    assert not list((store.folder / "checkpoints").iterdir())
    for mine, expected in zip(tables(store.folder), tables(whole.folder), strict=True):
        pd.testing.assert_frame_equal(mine, expected)
    if fields == UNSTEADY:
        pd.testing.assert_frame_equal(evaluations(store.folder), evaluations(whole.folder))
    for spec in specs:
        for name, weight in whole.ticket(spec, 1).weights.items():
            assert (store.ticket(spec, 1).weights[name] == weight).all()


def test_a_checkpoint_of_another_device_is_left_alone(make, store, arrays, monkeypatch):
    spec = make(rounds=0, eval_every=10)
    interrupt([spec], store, arrays, monkeypatch, (0, 30))
    store.write_checkpoint(replace(store.checkpoint(spec, 0), device="cuda (A card)"))
    assert iterations_trained([spec], store, arrays, monkeypatch)[0, 0] == [0, 10, 20, 30, 40]


def test_no_checkpoint_is_written_without_minutes_or_before_they_are_over(make, store, arrays, monkeypatch):
    written = []
    monkeypatch.setattr(Store, "write_checkpoint", lambda *_: written.append(1))
    for seed, minutes in enumerate((0, 5)):
        train([make(rounds=0, eval_every=5, seed=seed)], store, arrays, minutes)
    assert not written
    train([make(rounds=0, eval_every=5, seed=2)], store, arrays, 1e-9)
    assert written


def test_a_checkpoint_that_cannot_be_written_is_said_and_training_goes_on(make, store, arrays, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "write", fail)
    spec = make(rounds=0)
    assert Note("a checkpoint could not be written: No space left on device") in train([spec], store, arrays, 1e-9)
    assert store.rounds_done(spec.trajectory_id) == 1


def test_a_round_that_ends_in_a_failure_leaves_no_checkpoint(make, store, arrays, monkeypatch):
    spec, evaluate = make(rounds=0, eval_every=10), recorder.evaluate

    def diverge(weights, members, splits, number, iteration):
        if iteration == 40:
            weights[0].fill_(float("nan"))
        return evaluate(weights, members, splits, number, iteration)

    monkeypatch.setattr(recorder, "evaluate", diverge)
    train([spec], store, arrays, 1e-9)
    assert list(store.failures()) == [spec.trajectory_id]
    assert not list((store.folder / "checkpoints").iterdir())


STRATEGIES = ("reset", "random", "continued")


@pytest.fixture
def alone(tmp_path, arrays):
    """Trains each trajectory in a folder of its own; all their rows of each table."""

    def train_alone(specs):
        frames = []
        for spec in specs:
            store = Store(tmp_path / "alone" / spec.trajectory_id)
            store.create("name: x\n")
            train([spec], store, arrays)
            frames.append(tables(store.folder))
        return [
            pd.concat(parts).sort_values([key for key in KEYS if key in parts[0]], ignore_index=True)
            for parts in zip(*frames, strict=True)
        ]

    return train_alone


def test_a_stack_trains_each_round_0_once_and_no_number_changes(make, store, arrays, alone, monkeypatch):
    specs = [make(strategy=strategy, seed=seed, train_attack="fgsm") for strategy in STRATEGIES for seed in (0, 1)]
    members, evaluate = [], recorder.evaluate

    def count(weights, stack, splits, number, iteration):
        members.append((number, iteration, len(stack)))
        return evaluate(weights, stack, splits, number, iteration)

    with monkeypatch.context() as patch:
        patch.setattr(recorder, "evaluate", count)
        reports = train(specs, store, arrays)
    assert members == [(0, i, 2) for i in (0, 20, 40)] + [(number, i, 6) for number in (1, 2) for i in (0, 20, 40)]
    done = [(one.round, one.running, one.done_in_trial) for one in finished(reports)]
    assert done == [(0, 2, 80), (0, 6, 240), (1, 6, 480), (2, 6, 720)]
    rounds = pd.read_parquet(store.folder / "rounds").query("round == 0")
    assert rounds["train_seconds"].notna().sum() == 2
    heirs = rounds[rounds["train_seconds"].isna()]
    assert finished(reports)[1].natural == pytest.approx(heirs["final_none_accuracy_test"].mean())
    assert finished(reports)[1].adversarial == {"fgsm": pytest.approx(heirs["final_fgsm_accuracy_test"].mean())}
    for mine, own in zip(tables(store.folder), alone(specs), strict=True):
        pd.testing.assert_frame_equal(mine, own)


@pytest.mark.parametrize(
    "fields", [{}, {"rewind_to": "iteration:20"}, {"prune": {"schedule": "one-shot"}}, {"rewind_to": "end-of-round-0"}]
)
def test_a_stack_that_takes_over_all_rounds_0_goes_on_with_round_1(fields, make, store, arrays, alone, monkeypatch):
    first, second = [
        [make(strategy=strategy, seed=seed, rounds=1, **fields) for seed in (0, 1)] for strategy in STRATEGIES[:2]
    ]
    train(first, store, arrays)
    seen = iterations_trained(second, store, arrays, monkeypatch)
    assert seen == {(seed, 1): [0, 20, 40] for seed in (0, 1)}
    for mine, own in zip(tables(store.folder), alone([*first, *second]), strict=True):
        pd.testing.assert_frame_equal(mine, own)


def test_a_trajectory_without_further_rounds_is_complete_by_taking_over(make, store, arrays):
    train([make()], store, arrays)
    reports = train([make(strategy="random", rounds=0)], store, arrays)
    assert [(one.round, one.round_done, one.done_in_trial) for one in reports] == [(0, True, 40)]


def test_the_score_of_a_round_taken_over_is_reported_before_round_1(make, store, arrays):
    train([make(rounds=1)], store, arrays)
    reports, spec = [], make(strategy="random", rounds=1)
    body = partial(worker.train_stack, store=store, threads=1, gpus=0)
    train_sample([spec], arrays, reports.append, train=body, store=store, metric="final_none_accuracy_test")
    assert [type(message) for message in reports] == [Progress, Score, Progress, Score]


@pytest.mark.parametrize("at", [(0, 0), (0, 30), (1, 0), (1, 30)])
def test_a_kill_at_any_time_leaves_round_0_shared_and_no_number_changed(at, make, store, arrays, alone, monkeypatch):
    specs = [make(strategy=strategy, eval_every=10, rounds=1, train_attack="fgsm") for strategy in STRATEGIES]
    interrupt(specs, store, arrays, monkeypatch, at)
    seen = iterations_trained(specs, store, arrays, monkeypatch)
    if at[0] == 0:
        assert seen[0, 0] == [i for i in (0, 10, 20, 30, 40) if i >= at[1]]
    else:
        assert (0, 0) not in seen
    assert not list((store.folder / "checkpoints").glob("*"))
    for mine, own in zip(tables(store.folder), alone(specs), strict=True):
        pd.testing.assert_frame_equal(mine, own)


def test_a_kill_between_two_that_take_over_changes_no_number(make, store, arrays, alone, monkeypatch):
    specs = [make(strategy=strategy, rounds=1) for strategy in STRATEGIES]
    train(specs[:1], store, arrays)
    write = Store.write_rows

    def write_or_die(self, spec, *rest):
        write(self, spec, *rest)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(Store, "write_rows", write_or_die)
        with pytest.raises(KilledError):
            train(specs, store, arrays)
    assert [store.rounds_done(spec.trajectory_id) for spec in specs] == [2, 1, 0]
    assert (0, 0) not in iterations_trained(specs, store, arrays, monkeypatch)
    for mine, own in zip(tables(store.folder), alone(specs), strict=True):
        pd.testing.assert_frame_equal(mine, own)


def test_a_damaged_sibling_costs_the_training_and_another_one_takes_its_place(make, store, arrays, alone, monkeypatch):
    specs = [make(strategy=strategy, rounds=0) for strategy in STRATEGIES]
    train(specs[:1], store, arrays)
    ticket = store.tickets(specs[0].trajectory_id) / "round-00.safetensors"
    ticket.write_bytes(b"torn")
    assert iterations_trained(specs[1:2], store, arrays, monkeypatch) == {(0, 0): [0, 20, 40]}
    assert iterations_trained(specs[2:], store, arrays, monkeypatch) == {}
    for mine, own in zip(tables(store.folder), alone(specs), strict=True):
        pd.testing.assert_frame_equal(mine, own)


def test_a_round_0_that_fails_is_the_failure_of_each_that_would_have_shared_it(make, store, arrays):
    specs = [make(learning_rate=1e30, strategy=strategy) for strategy in STRATEGIES]
    reports = train(specs, store, arrays)
    failures = [message.spec for message in reports if isinstance(message, Failure)]
    assert failures == specs
    assert store.failures().keys() == {spec.trajectory_id for spec in specs}
