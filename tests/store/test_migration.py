"""Folders of lthray 0.1 get the ids of now: nothing is lost, at whatever moment it is killed."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lthray.driver.samples import drawn, remember
from lthray.errors import InputError
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import migration
from lthray.store.folder import Store
from lthray.store.migration import find_outdated, migrate
from tests.helpers import GOLDEN


@pytest.fixture
def old(tmp_path) -> Store:
    """A folder of lthray 0.1 with its sources."""
    shutil.copytree(GOLDEN / "transfer", tmp_path / "old")
    return Store(tmp_path / "old")


def move(store: Store) -> None:
    migrate(store, find_outdated(store, ()))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def rows(folder: Path, table: str) -> pd.DataFrame:
    return pd.concat(pd.read_parquet(file) for file in sorted((folder / table).iterdir()))


def same_but_for_ids(before: pd.DataFrame, after: pd.DataFrame) -> None:
    keys = [name for name in ("strategy", "seed", "round", "iteration", "split", "attack") if name in before]
    ids = ["trajectory_id", "transfer.source"]
    assert (after["end_attacks"] == "").all(), "rows older than the field were not measured under any"
    assert (after["end_images"] == 2_000).all()
    same = [name for name in before if name not in ids]
    later = {*after} - {*before}
    assert {"end_attacks", "end_images", "eval_attacks_at"} <= later <= {*TrajectorySpec().flat()}
    tables = [one[same].sort_values(keys, ignore_index=True) for one in (before, after)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)
    assert not set(before["trajectory_id"]) & set(after["trajectory_id"])


@pytest.mark.parametrize("name", ["source", "transfer"])
def test_every_file_is_named_by_the_id_of_its_fields_and_every_row_is_kept(name, tmp_path):
    shutil.copytree(GOLDEN / name, tmp_path / name)
    store = Store(tmp_path / name)
    move(store)
    ids = set()
    for file in (store.folder / "rounds").iterdir():
        spec = TrajectorySpec.from_flat(store.fields("rounds", file.stem))
        assert spec.trajectory_id == file.stem
        assert set(pd.read_parquet(file)["trajectory_id"]) == {file.stem}
        ids.add(file.stem)
    for part in ("rounds", "curves", "evaluations"):
        if (GOLDEN / name / part).exists():
            same_but_for_ids(rows(GOLDEN / name, part), rows(store.folder, part))
            assert {file.stem for file in (store.folder / part).iterdir()} == ids
    assert set(store.with_tickets()) == ids
    assert sorted(content(store.folder / "tickets").values()) == sorted(content(GOLDEN / name / "tickets").values())
    assert not find_outdated(store, ())
    before = content(store.folder)
    move(store)
    assert content(store.folder) == before


def test_sources_are_migrated_with_the_trajectories_that_use_them(old):
    move(old)
    used = set(rows(old.folder, "rounds")["transfer.source"]) - {""}
    records = {file.stem: json.loads(file.read_text()) for file in (old.folder / "sources").glob("*.json")}
    assert used == set(records) == {file.stem for file in (old.folder / "sources").glob("*.safetensors")}
    for name, record in records.items():
        assert record["trajectory_id"] == name == TrajectorySpec.from_flat(record["fields"]).trajectory_id
        assert record["asked"] == {"from": "results/source", "where": {"strategy": "reset"}}
    masks = [
        sorted(one.read_bytes() for one in folder.glob("sources/*.safetensors"))
        for folder in (GOLDEN / "transfer", old.folder)
    ]
    assert masks[0] == masks[1]


class Killed(BaseException):
    pass


def test_killed_between_any_two_steps_and_run_again_it_ends_the_same(old, tmp_path, monkeypatch):
    shutil.copytree(old.folder, tmp_path / "whole")
    move(Store(tmp_path / "whole"))
    whole = content(tmp_path / "whole")

    def killing(step, left):
        def wrapped(*arguments, **options):
            if left and not left.pop():
                raise Killed
            return step(*arguments, **options)

        return wrapped

    kills = 0
    while True:
        folder = tmp_path / f"killed-{kills}"
        shutil.copytree(old.folder, folder)
        left = [False, *[True] * kills]  # the step after the last True is the kill
        with monkeypatch.context() as patch:
            for step in ("replace", "unlink", "rmdir"):
                patch.setattr(os, step, killing(getattr(os, step), left))
            try:
                move(Store(folder))
            except Killed:
                done = False
            else:
                done = True
        for _ in range(2):
            Store(folder).clear_parts()
            move(Store(folder))
            assert content(folder) == whole, f"killed before step {kills}"
        shutil.rmtree(folder)
        if done:
            break
        kills += 1
    assert kills > 40


def test_on_an_object_store_it_is_the_same(old, s3, monkeypatch):
    for name, data in content(old.folder).items():
        (s3 / name).write_bytes(data)
    write, calls = migration._write_anew, []

    def kill(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise Killed
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(migration, "_write_anew", kill)
        with pytest.raises(Killed):
            move(Store(s3))
    move(Store(s3))
    move(old)
    there = {str(file.relative_to(s3)): file.read_bytes() for file in s3.rglob("*") if file.is_file()}
    assert there == content(old.folder)


def test_files_of_ids_that_are_expected_are_not_read(old, monkeypatch):
    move(old)
    ids = [file.stem for file in (old.folder / "rounds").iterdir()]
    monkeypatch.setattr(Store, "read", lambda *_: pytest.fail("a table was read"))
    assert not find_outdated(old, ids)


def test_an_old_table_without_a_field_gets_its_base_value(old):
    name = "prune.schedule"  # as if 0.1 had not known it
    for table in ("rounds", "curves"):
        for file in (old.folder / table).iterdir():
            pq.write_table(pq.read_table(file).drop_columns([name]), file)
    move(old)
    for table in ("rounds", "curves"):
        same_but_for_ids(rows(GOLDEN / "transfer", table), rows(old.folder, table))


def test_results_of_a_newer_version_are_left_alone(old):
    for file in (old.folder / "rounds").iterdir():
        table = pq.read_table(file)
        place = table.column_names.index("round")
        pq.write_table(table.add_column(place, "momentum", pa.array([0.9] * len(table))), file)
    before = content(old.folder / "rounds")
    assert not find_outdated(old, ()).trajectories
    move(old)
    assert content(old.folder / "rounds") == before


def test_a_failure_and_a_stop_follow_their_trajectory(tmp_path):
    shutil.copytree(GOLDEN / "source", tmp_path / "old")
    store = Store(tmp_path / "old")
    begun, failed = sorted(file.stem for file in (store.folder / "rounds").iterdir())[:2]
    specs = {name: TrajectorySpec.from_flat(store.fields("rounds", name)) for name in (begun, failed)}
    for part, name, more in (
        ("stopped", begun, {"metric": "final_none_accuracy_test", "value": 0.5}),
        ("failures", failed, {"error": "diverged", "fields": specs[failed].flat()}),
    ):
        (store.folder / part).mkdir()
        store.path(part, name).write_text(json.dumps({"trajectory_id": name, "round": 0} | more))
    for part in ("rounds", "curves", "evaluations"):
        store.path(part, failed).unlink()  # it failed in round 0: nothing but the failure tells what it is
    move(store)
    assert store.stopped() == {specs[begun].trajectory_id}
    ((name, failure),) = store.failures().items()
    assert name == failure["trajectory_id"] == specs[failed].trajectory_id
    assert (failure["error"], failure["fields"]) == ("diverged", specs[failed].flat())


def test_the_trajectory_with_more_rounds_wins(old):
    """A later lthray that did not migrate may have begun it again under the id of now."""
    name = sorted(file.stem for file in (old.folder / "rounds").iterdir())[0]
    whole = old.read("rounds", name)
    spec = find_outdated(old, ()).trajectories[name]
    new = spec.trajectory_id
    pq.write_table(whole.slice(0, 1), old.path("rounds", new))
    move(old)
    assert old.rounds_done(new) == len(whole)
    shutil.copy(GOLDEN / "transfer" / "rounds" / f"{name}.parquet", old.path("rounds", name))
    pq.write_table(whole.slice(0, 2), old.path("rounds", name))
    move(old)
    assert old.rounds_done(new) == len(whole)
    assert not old.path("rounds", name).exists()


def test_a_damaged_table_is_named(old):
    file = sorted((old.folder / "rounds").iterdir())[0]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"rounds/{file.name}: can't be read .*delete it"):
        find_outdated(old, ())


def test_samples_are_named_by_the_ids_of_now(tmp_path):
    pytest.importorskip("optuna")
    (tmp_path / "sweep.yaml").write_text(
        "name: s\ntrajectory: {dataset: digits-8x8, rounds: 0}\ngrid: {seed: [3, 4]}\n"
        "search: {space: {learning_rate: {uniform: [0.001, 0.002]}}, samples: 2, searcher: optuna,"
        " metric: final_none_accuracy_validation}\n"
    )
    sweep, _ = load(tmp_path / "sweep.yaml")
    store = Store(tmp_path)
    record = {"cell": {}, "drawn": {"learning_rate": 0.0015}, "number": 0}
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "0123456789ab.json").write_text(json.dumps(record))
    (sample,) = drawn(sweep, store)
    move(store)
    assert drawn(sweep, store) == [sample]
    remember(sweep, store, sample, 0)  # the same file: no sample counts twice
    assert [file.stem for file in (tmp_path / "samples").iterdir()] == [sweep.sample_id(sample)]
