"""Strategy transfer: whose masks, where from, and what is trained under them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from lthray.driver import transfer
from lthray.driver.datasets import known
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.files import location
from lthray.methods.attacks import Attack
from lthray.spec.sweepfile import parse
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import sources, tickets
from lthray.store.folder import Store
from lthray.worker import train as worker
from tests.helpers import lthray

SMALL = {
    "dataset": "digits-8x8", "rounds": 6, "iterations": 6, "eval_every": 6, "train_attack": "fgsm", "end_attacks": [],
}  # fmt: skip
FROM = {
    "name": "from",
    "trajectory": SMALL,
    "grid": {"strategy": ["reset", "random"], "seed": [0, 1]},
    "resources": {"cpus": 1, "gpus": 0},
}
OWN = FROM | {
    "name": "own",
    "trajectory": SMALL
    | {"rounds": 5, "train_attack": "pgd", "pgd.steps": 2, "end_attacks": ["fgsm"], "end_images": 50},  # of own rounds
    "grid": {"strategy": ["reset", "transfer"], "seed": [0, 1]},
}


METRIC = "final_none_accuracy_test"


def trained(tree: dict, folder: Path) -> Store:
    """The results of a sweep, trained without Ray."""
    sweep, store = parse(tree), Store(folder)
    specs = transfer.resolve_sources(sweep, sweep.trajectories(), store)
    store.create(sweep.resolved())
    transfer.copy_masks(sweep, specs, store)
    arrays = {"digits-8x8": known.read("digits-8x8", Path("unused"))}
    stacks: dict = {}
    for spec in specs:
        stacks.setdefault(spec.stack_key, []).append(spec)
    for stack in stacks.values():
        worker.train_stack(stack, arrays, lambda _: None, store=store, threads=1, gpus=0)
    return store


def own(folder: Path, where: dict | None = None, **changes) -> dict:
    transfer = {"from": str(folder / "from"), "where": {"strategy": "reset"} if where is None else where}
    trajectory = OWN["trajectory"] | changes.pop("trajectory", {})
    return OWN | {"transfer": transfer, "trajectory": trajectory} | changes


def found(tree: dict, folder: Path, *sets: str) -> list[TrajectorySpec]:
    sweep = parse(tree, sets)
    return transfer.resolve_sources(sweep, sweep.trajectories(), Store(folder))


def tables(store: Store) -> list[pd.DataFrame]:
    clocks = ["stack", "train_seconds", "eval_seconds"]
    keys = ["trajectory_id", "round", "iteration", "split", "attack"]
    rounds, curves = (pd.read_parquet(store.folder / name) for name in ("rounds", "curves"))
    return [
        rounds.drop(columns=clocks).sort_values(keys[:2], ignore_index=True),
        curves.sort_values(keys, ignore_index=True),
    ]


@pytest.fixture(scope="module")
def origin(tmp_path_factory) -> Path:
    """A folder with the results that masks are taken from, in `from`; to be read only."""
    folder = tmp_path_factory.mktemp("origin")
    trained(FROM, folder / "from")
    return folder


def test_the_masks_are_the_sources_in_every_round_and_the_weights_its_own_theta_0(origin, tmp_path, monkeypatch):
    import lthray.engine.trajectory

    starts, train = {}, lthray.engine.trajectory.train

    def seen(start, masks, specs, images, number, *rest):
        for i, spec in enumerate(specs):
            trained_for = spec.trajectory_id if number else spec.seed  # round 0 is shared
            starts[trained_for, number] = [weight[i].clone() for weight in start.weights]
        return train(start, masks, specs, images, number, *rest)

    monkeypatch.setattr(lthray.engine.trajectory, "train", seen)
    tree = own(origin)
    store, before = trained(tree, tmp_path / "own"), Store(origin / "from")
    transferred = [spec for spec in found(tree, tmp_path / "own") if spec.strategy == "transfer"]
    assert [spec.seed for spec in transferred] == [0, 1]
    rounds = pd.read_parquet(store.folder / "rounds")
    for spec in transferred:
        source = parse(FROM).trajectories()[spec.seed]
        assert spec.transfer.source == source.trajectory_id
        theta = glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT))
        for number in range(6):
            masks = before.ticket(source, number).masks
            ticket = store.ticket(spec, number)
            for layer, one in zip(masks, theta, strict=True):
                np.testing.assert_array_equal(ticket.masks[layer], masks[layer])
                place = list(masks).index(layer)
                start = starts[spec.trajectory_id if number else spec.seed, number]
                assert torch.equal(start[place], one * torch.tensor(masks[layer]))
        mine = rounds[rounds["trajectory_id"] == spec.trajectory_id].sort_values("round")
        assert set(mine["transfer.source"]) == {source.trajectory_id}
        assert set(mine["transfer.setting"]) == {"strategy=reset; train_attack=fgsm"}
        reset = rounds[(rounds["strategy"] == "reset") & (rounds["seed"] == spec.seed)].sort_values("round")
        assert mine["weights_remaining_count"].tolist() == reset["weights_remaining_count"].tolist()
        dense = "final_none_accuracy_test"
        assert mine[dense].iloc[0] == reset[dense].iloc[0]
        assert set(reset["transfer.source"]) == {""}


def test_numbers_are_those_of_a_run_with_these_masks_made_by_hand(origin, tmp_path, digits):
    tree = own(origin)
    spec = found(tree, tmp_path / "own")[2]
    source, before = parse(FROM).trajectories()[0], Store(origin / "from")
    stored = trained(tree, tmp_path / "own")
    by_hand = [one for (one,) in run([spec], digits, find_masks=lambda _, number: before.ticket(source, number).masks)]
    rounds = tables(stored)[0]
    rows = rounds[rounds["trajectory_id"] == spec.trajectory_id].to_dict("records")
    for result, row in zip(by_hand, rows, strict=True):
        measured = result.row(Attack("pgd"), "test", result.early_stopping_iteration)
        assert row["early_stopping_pgd_accuracy_test"] == measured.accuracy
        assert row["early_stopping_iteration"] == result.early_stopping_iteration
        for layer, weight in stored.ticket(spec, result.round).weights.items():
            np.testing.assert_array_equal(weight, result.ticket.weights[layer])


def test_it_goes_on_after_a_kill_without_the_folder_it_took_masks_from(origin, tmp_path, digits):
    shutil.copytree(origin / "from", tmp_path / "from")
    tree = own(tmp_path)
    whole = trained(tree, tmp_path / "whole")
    sweep, store = parse(tree), Store(tmp_path / "own")
    specs = found(tree, tmp_path / "own")
    store.create(sweep.resolved())
    transfer.copy_masks(sweep, specs, store)
    for results in run([specs[2]], digits, find_masks=lambda spec, number: sources.masks(store, spec, number)):
        store.write_round(results[0])
        if results[0].round == 2:
            break  # killed here
    shutil.rmtree(tmp_path / "from")
    trained(tree, tmp_path / "own")
    for one, other in zip(tables(whole), tables(store), strict=True):
        pd.testing.assert_frame_equal(one, other)
    again = parse(yaml.safe_load((store.folder / "sweep.yaml").read_text()))
    assert transfer.resolve_sources(again, again.trajectories(), store) == specs
    with pytest.raises(InputError, match=r"no such folder; among the copies from it, trajectory \w+ has rounds 0 to 5"):
        found(tree, tmp_path / "own", "rounds=6")


@pytest.mark.slow
def test_more_rounds_are_copied_when_they_are_asked_for_and_must_fit(origin, tmp_path):
    shutil.copytree(origin / "from", tmp_path / "from")
    trained(own(tmp_path), tmp_path / "own")
    store = trained(own(tmp_path, trajectory={"rounds": 6}), tmp_path / "own")
    assert {one.rounds for one in sources.copied(store)} == {7}
    assert len(pd.read_parquet(store.folder / "rounds")) == 4 * 7
    # a source that was trained again, differently
    for one in sources.copied(store):
        record = store.folder / "sources" / f"{one.trajectory_id}.json"
        record.write_text(json.dumps(json.loads(record.read_text()) | {"rounds": 6}))
        folder = location(tmp_path / "from" / "tickets" / one.trajectory_id)
        for number in range(1, 6):
            ticket = tickets.read(folder, number, ("hidden_1", "hidden_2", "output"))
            flipped = {name: mask[::-1].copy() for name, mask in ticket.masks.items()}
            tickets.write(folder, number, type(ticket)(ticket.weights, flipped), {})
    sweep = parse(own(tmp_path, trajectory={"rounds": 6}))
    with pytest.raises(InputError, match=r"is not what it was when .* was filled: it was trained again"):
        transfer.copy_masks(sweep, transfer.resolve_sources(sweep, sweep.trajectories(), store), store)


def test_several_sources_are_compared_and_their_ids_stand_for_them(origin, tmp_path):
    tree = own(origin, {"strategy": ["reset", "random"]})
    sweep = parse(tree)
    specs = found(tree, tmp_path)
    assert sweep.size() == len(specs) == 6
    assert [(spec.strategy, spec.seed, spec.transfer.setting) for spec in specs[2:]] == [
        ("transfer", seed, f"strategy={strategy}; train_attack=fgsm")
        for seed in (0, 1)
        for strategy in ("reset", "random")
    ]
    alone = [spec for spec in found(own(origin), tmp_path) if spec.strategy == "transfer"]
    assert {spec.trajectory_id for spec in alone} < {spec.trajectory_id for spec in specs}
    (moved,) = parse(tree | {"transfer": {"from": "elsewhere"}, "grid": {"strategy": ["transfer"]}}).trajectories()
    assert moved.stack_key == specs[2].stack_key


def test_a_source_says_how_its_masks_were_pruned(tmp_path):
    together = {"prune": {"scope": "global", "rate": 0.5, "criterion": "random"}}
    trained(FROM | {"trajectory": SMALL | {"rounds": 2} | together, "grid": {"seed": [0]}}, tmp_path / "from")
    tree = own(tmp_path, {}, trajectory={"rounds": 2}, grid={"strategy": ["transfer"]})
    (spec,) = found(tree, tmp_path / "own")
    assert spec.weights_left() == [{"all": 50_200}, {"all": 25_100}, {"all": 12_550}]
    rounds = tables(trained(tree, tmp_path / "own"))[0]
    assert rounds["weights_remaining_count"].tolist() == [50_200, 25_100, 12_550]
    assert set(rounds["prune.criterion"]) == {"random"}
    with pytest.raises(InputError, match=r"has seed 0, .*prune\.cutoff inclusive: there, prune\.cutoff is exclusive"):
        found(tree, tmp_path / "own", "prune.cutoff=inclusive")


def test_a_damaged_copy_fails_its_trajectory_alone(origin, tmp_path):
    tree = own(origin)
    store, specs = Store(tmp_path / "own"), found(tree, tmp_path / "own")
    sweep = parse(tree)
    store.create(sweep.resolved())
    assert transfer.copy_masks(sweep, specs, store) == 2
    assert transfer.copy_masks(sweep, specs, store) == 0
    (store.folder / "sources" / f"{specs[2].transfer.source}.safetensors").write_bytes(b"torn")
    trained(tree, tmp_path / "own")
    assert store.done(specs) == {spec.trajectory_id: 1 if spec is specs[2] else 6 for spec in specs}
    (failure,) = store.failures().values()
    assert failure["round"] == 1
    assert "safetensors: can't be read" in failure["error"]
    assert ".json to copy it again" in failure["error"]


MISTAKES = {
    "no such seed": (["grid.seed=[7]"], "none of its 4 trajectories has seed 7, .*: there, seed is 0, 1;"),
    "none together": (
        ["transfer.where={strategy: continued, seed: 9}"],
        "has seed 9, .* strategy continued: there, seed is 0, 1; strategy is random, reset;",
    ),
    "several": (
        ["transfer.where={}"],
        "2 trajectories have seed 0, model lenet-300-100, and differ in strategy: random, reset; name one under"
        r" transfer\.where, for example strategy: random",
    ),
    "other images": (["dataset=mnist"], r"layer hidden_1 is 300 x 64 there \(digits-8x8\), 300 x 784 here \(mnist\)"),
    "too few rounds": (["rounds=8"], r"has rounds 0 to 6, but rounds: 8 asks for 2 more; .* set rounds to 6 at most"),
    "no folder": (["transfer.from=nowhere"], r"transfer\.from: nowhere: .*nowhere: no such folder"),
    "the same seed's masks twice": (
        ["grid.prune.criterion=[magnitude, random]", "transfer.where={strategy: reset, prune.criterion: magnitude}"],
        "the source of two cells of the grid that are the same otherwise",
    ),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_source_that_is_not_to_be_found_gets_one_clear_line(what, origin, tmp_path):
    sets, line = MISTAKES[what]
    with pytest.raises(InputError, match=line) as caught:
        found(own(origin), tmp_path, *sets)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("transfer.from: ")


@pytest.mark.parametrize(
    ("tree", "sets", "line"),
    [
        ({}, ["strategy=transfer"], r"transfer: is missing, but strategy transfer needs it"),
        ({"transfer": {"where": {}}}, [], r"transfer\.from: is missing: the results folder"),
        ({"transfer": {"from": 3}}, [], r"transfer\.from: found 3, but it should be a valid string"),
        ({"transfer": {"from": "x", "were": {}}}, [], r"transfer\.were: unknown key; did you mean transfer\.where\?"),
        ({"transfer": ["x"]}, [], r"transfer: found a list, but it is a mapping of from, where"),
        ({"transfer": {"from": "x", "where": {"sed": 1}}}, [], r"transfer\.where\.sed: unknown key; did you mean seed"),
        ({"transfer": {"from": "x", "where": {"seed": []}}}, [], r"transfer\.where\.seed: is empty"),
        ({"transfer": {"from": "x", "where": {"seed": [1, 1]}}}, [], r"transfer\.where\.seed: .* given once"),
        ({"trajectory": {"transfer": {"source": "0" * 12}}}, [], r"trajectory\.transfer: unknown key"),
        (
            {"search": {"space": {"epsilon": {"uniform": [0.1, 0.2]}}, "samples": 2, "metric": METRIC},
             "transfer": {"from": "x"}},
            ["strategy=transfer"],
            "search: strategy transfer can't be searched",
        ),
    ],
)  # fmt: skip
def test_a_section_that_is_wrong_gets_one_clear_line(tree, sets, line):
    with pytest.raises(InputError, match=line) as caught:
        parse(FROM | tree, sets)
    assert "\n" not in str(caught.value)


def test_the_section_is_set_from_the_command_line():
    sweep = parse(FROM, ["strategy=transfer", "transfer.from=a", "transfer.where.train_attack=[fgsm, pgd]"])
    assert list(sweep.transfer.alternatives()) == [{"train_attack": "fgsm"}, {"train_attack": "pgd"}]
    assert parse(yaml.safe_load(sweep.resolved())).transfer == sweep.transfer


@pytest.mark.slow
def test_masks_come_from_and_go_to_urls(origin, s3):
    for path in (origin / "from").rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            (s3.parent / "from" / str(path.relative_to(origin / "from"))).write_bytes(path.read_bytes())
    tree = own(origin, grid={"strategy": ["transfer"], "seed": [0]})
    tree["transfer"]["from"] = str(s3.parent / "from")
    store = trained(tree, s3)
    (spec,) = found(tree, s3)
    assert store.done([spec]) == {spec.trajectory_id: 6}
    assert sources.masks(store, spec, 5).keys() == spec.layer_sizes.keys()


@pytest.mark.slow
def test_fgsm_masks_under_pgd_end_to_end(tmp_path):
    """By the command line: trained, extended, stopped short of masks, shown, reported."""
    for tree in (FROM, OWN | {"transfer": {"from": "results/from", "where": {"strategy": "reset"}}}):
        (tmp_path / f"{tree['name']}.yaml").write_text(yaml.safe_dump(tree))
    early = lthray("sweep", "own.yaml", cwd=tmp_path)
    assert early.returncode == 2
    assert early.stderr.count("\n") == 1
    assert "results/from: no such folder" in early.stderr
    assert not (tmp_path / "results").exists()
    assert lthray("sweep", "from.yaml", cwd=tmp_path).returncode == 0
    short = lthray("sweep", "own.yaml", "--set", "rounds=9", "--dry-run", cwd=tmp_path)
    assert short.returncode == 2
    assert "has rounds 0 to 6, but rounds: 9 asks for 3 more" in short.stderr
    sent = lthray("submit", "own.yaml", "--address", "http://127.0.0.1:9", "--out", "~/x", cwd=tmp_path)
    assert sent.returncode == 2
    assert "transfer.from results/from: is a path on the cluster" in sent.stderr
    dry = lthray("sweep", "own.yaml", "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0
    assert dry.stdout.count("strategy=reset; train_attack=fgsm") == 2
    swept = lthray("sweep", "own.yaml", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    assert "copied the masks of 2 sources" in swept.stdout
    shutil.rmtree(tmp_path / "results" / "from")
    again = lthray("sweep", "results/own/sweep.yaml", "--out", "results/own", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "nothing to train; 4 of 4 trajectories complete" in again.stdout
    assert lthray("status", "results/own", cwd=tmp_path).returncode == 0
    reported = lthray("report", "results/own", cwd=tmp_path)
    assert reported.returncode == 0, reported.stderr
