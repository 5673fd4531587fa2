"""One file for the rows of all trajectories: what it holds, and that it is never out of date unnoticed."""

import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lthray import analysis
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.evaluations import write_evaluation
from lthray.store.folder import Store
from lthray.store.merged_tables import find_stale, merge, update_columns
from lthray.store.tables import CURVES, EVALUATIONS, ROUNDS

LATER = ["norm", "pgd.restarts", "retrain.iterations"]
"""Fields that a file of an older version lacks."""


@pytest.fixture(scope="module")
def results(digits):
    small = {"dataset": "digits-8x8", "rounds": 2, "iterations": 10, "eval_every": 10, "train_attack": "fgsm"}
    specs = [
        TrajectorySpec.model_validate(small | {"seed": seed, "eval_attacks": ["fgsm", {"pgd": {"steps": 2}}]})
        for seed in (0, 1)
    ]
    return [result for stack in run(specs, digits) for result in stack]


@pytest.fixture
def store(tmp_path, results):
    """Two trajectories with two of their three rounds."""
    store = Store(tmp_path / "results")
    store.create("name: x\n")
    for result in results:
        if result.round < 2:
            store.write_round(result)
    return store


@pytest.fixture
def older(store, results):
    """The id of the trajectory whose files an older version wrote: the first in the folder."""
    name = min(result.spec.trajectory_id for result in results)
    for part in ("rounds", "curves", "evaluations"):
        table = pq.read_table(store.path(part, name))
        pq.write_table(table.drop_columns(LATER).replace_schema_metadata(None), store.path(part, name))
    return name


def test_a_merged_table_holds_every_row_in_order(store, results):
    rounds, evaluations = merge(store)
    assert (rounds.name, rounds.trajectories, rounds.rows) == ("rounds.parquet", 2, 4)
    assert (evaluations.name, evaluations.trajectories) == ("evaluations.parquet", 2)
    for part, schema in (("rounds", ROUNDS), ("evaluations", EVALUATIONS)):
        table = pq.read_table(store.merged(part))
        assert table.schema.equals(schema, check_metadata=False)
        assert all(table.schema.field(column.name).metadata == column.metadata for column in schema)
        frame = table.to_pandas()
        assert frame[["trajectory_id", "round"]].apply(tuple, axis=1).is_monotonic_increasing
        pd.testing.assert_frame_equal(frame, pd.read_parquet(store.folder / part))
    assert json.loads(pq.read_schema(store.merged("rounds")).metadata[b"lthray"])["rows"] == 4
    assert not store.merged("curves").exists()


def test_readers_of_the_folder_are_left_alone(store):
    before = pd.read_parquet(store.folder / "rounds"), analysis.load(store.folder)
    merge(store)
    pd.testing.assert_frame_equal(pd.read_parquet(store.folder / "rounds"), before[0])
    after = analysis.load(store.folder)
    pd.testing.assert_frame_equal(after.rounds, before[1].rounds)
    pd.testing.assert_frame_equal(after.evaluations(), before[1].evaluations())


def test_files_of_an_older_version_get_base_values(store, older):
    assert "norm" not in pd.read_parquet(store.folder / "rounds")  # pandas takes the columns of the first file
    assert [update_columns(store, part) for part in ("rounds", "curves", "evaluations")] == [1, 1, 1]
    for part, schema in (("rounds", ROUNDS), ("curves", CURVES), ("evaluations", EVALUATIONS)):
        assert pq.read_schema(store.path(part, older)).equals(schema, check_metadata=True)
        frame = pd.read_parquet(store.folder / part)
        assert set(frame["norm"]) == {"linf"}
        assert set(frame["pgd.restarts"]) == {1}
        assert set(frame["retrain.iterations"]) == {10}
    assert [update_columns(store, part) for part in ("rounds", "curves", "evaluations")] == [0, 0, 0]


def test_no_number_changes_with_the_columns(store, older):
    before = pd.read_parquet(store.path("rounds", older))
    update_columns(store, "rounds")
    after = pd.read_parquet(store.path("rounds", older))
    pd.testing.assert_frame_equal(after.drop(columns=LATER), before)


def test_a_newer_versions_files_keep_their_columns(store, results):
    name = max(result.spec.trajectory_id for result in results)
    path = store.path("rounds", name)
    table = pq.read_table(path)
    field = pa.field("momentum", pa.float64(), metadata={"role": "field"})
    pq.write_table(table.add_column(1, field, pa.array([0.9] * len(table))), path)
    content = path.read_bytes()
    assert update_columns(store, "rounds") == 0
    assert path.read_bytes() == content
    merge(store)
    merged = pq.read_table(store.merged("rounds"))
    assert merged.schema.field("momentum").metadata == {b"role": b"field"}
    assert merged.to_pandas().groupby("trajectory_id")["momentum"].max().isna().tolist() == [True, False]


def test_whatever_adds_rows_removes_the_table_they_belong_in(store, results):
    merge(store)
    last = next(result for result in results if result.round == 2)
    row = pq.read_table(store.path("evaluations", last.spec.trajectory_id)).to_pylist()[0]
    write_evaluation(store, last.spec, row)
    assert not store.merged("evaluations").exists()
    assert store.merged("rounds").exists()
    merge(store)
    store.write_round(last)
    assert not store.merged("rounds").exists()
    assert find_stale(store) == []


def test_what_changes_files_by_hand_is_noticed(store, results, tmp_path):
    assert find_stale(store) == []
    merge(store)
    assert find_stale(store) == []
    name = results[0].spec.trajectory_id
    shutil.move(store.path("rounds", name), tmp_path / "aside.parquet")
    assert find_stale(store) == ["rounds.parquet"]
    shutil.move(tmp_path / "aside.parquet", store.path("rounds", name))
    assert find_stale(store) == []
    store.merged("evaluations").write_bytes(b"half a file")
    assert find_stale(store) == ["evaluations.parquet"]


def test_a_folder_without_rows_gets_no_table(tmp_path):
    store = Store(tmp_path / "empty")
    store.create("name: x\n")
    assert merge(store) == []
    assert [file.name for file in store.folder.iterdir()] == ["sweep.yaml"]


@pytest.mark.parametrize("action", [merge, lambda store: update_columns(store, "rounds")], ids=["merge", "update"])
def test_a_damaged_file_is_named_and_nothing_is_written(store, results, action):
    path = store.path("rounds", results[0].spec.trajectory_id)
    path.write_bytes(b"not Parquet")
    with pytest.raises(InputError, match=f"{path}: can't be read"):
        action(store)
    assert not store.merged("rounds").exists()


def test_columns_of_two_types_are_named_in_a_line(store, results):
    path = store.path("rounds", results[0].spec.trajectory_id)
    table = pq.read_table(path)
    place = table.column_names.index("norm")
    pq.write_table(table.set_column(place, "norm", pa.array([2.5] * len(table))), path)
    with pytest.raises(InputError, match=r"rounds: files can't be merged: .*norm"):
        merge(store)


def test_on_an_object_store_it_is_the_same(store, s3, results):
    for file in store.folder.rglob("*.parquet"):
        (s3 / file.relative_to(store.folder).as_posix()).write_bytes(file.read_bytes())
    remote = Store(s3)
    assert merge(remote) == merge(store)
    assert remote.merged("rounds").read_bytes() == store.merged("rounds").read_bytes()
    assert find_stale(remote) == []
    assert update_columns(remote, "rounds") == 0
    remote.write_table("rounds", "0" * 12, pq.read_table(store.merged("rounds")))
    assert not remote.merged("rounds").exists()
