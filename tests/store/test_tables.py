"""Columns say in the files what they are, and old files learn it when a round is added."""

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lthray import analysis
from lthray.analysis.numbers.fields import field_columns
from lthray.engine.trajectory import run
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.store.tables import CURVES, EVALUATIONS, ROUNDS

ROLES = {b"field", b"identity", b"measure", b"bookkeeping"}


@pytest.mark.parametrize("schema", [CURVES, ROUNDS, EVALUATIONS], ids=["curves", "rounds", "evaluations"])
def test_every_column_has_a_role_and_every_result_a_unit(schema):
    roles = {column.name: column.metadata[b"role"] for column in schema}
    assert set(roles.values()) == ROLES
    fields = {name for name, role in roles.items() if role == b"field"}
    assert fields | {"transfer.source", "own.code", "own.tensors"} == set(TrajectorySpec().flat())
    for column in schema:
        number = not (pa.types.is_string(column.type) or pa.types.is_boolean(column.type))
        if number and column.metadata[b"role"] in (b"measure", b"bookkeeping"):
            assert column.metadata[b"unit"]


def test_units_are_those_of_columns_that_count():
    units = {column.name: column.metadata.get(b"unit") for column in ROUNDS}
    assert units["eval_every"] == units["early_stopping_iteration"] == b"iterations"
    assert units["batch_size"] == b"images"
    assert units["final_pgd_accuracy_test"] == b"share"
    assert units["train_seconds"] == b"seconds"
    assert units["learning_rate"] is units["strategy"] is None


def test_a_field_says_what_it_was_before_it_existed():
    bases = {column.name: column.metadata.get(b"base") for column in ROUNDS}
    assert (bases["norm"], bases["pgd.restarts"], bases["pgd.random_start"]) == (b'"linf"', b"1", b"true")
    assert bases["retrain.iterations"] is bases["final_pgd_accuracy_test"] is None  # follows a field; is none


def test_a_file_without_roles_gets_them_with_its_next_round(make, digits, tmp_path):
    first, second, _ = (result for (result,) in run([make(iterations=10, eval_every=10)], digits))
    store = Store(tmp_path / "results")
    store.create("name: x\n")
    store.write_round(first)
    for table in ("rounds", "curves"):  # as lthray 0.1 wrote them
        path = store.folder / table / f"{first.spec.trajectory_id}.parquet"
        whole = pq.read_table(path)
        pq.write_table(
            whole.cast(pa.schema([pa.field(name, whole.schema.field(name).type) for name in whole.schema.names])), path
        )
    old = analysis.load(store.folder)
    assert "seed" not in old.rounds.attrs["roles"]
    store.write_round(second)
    for table, schema in (("rounds", ROUNDS), ("curves", CURVES)):
        written = pq.read_schema(store.folder / table / f"{first.spec.trajectory_id}.parquet")
        assert written.equals(schema, check_metadata=True)
    new = analysis.load(store.folder)
    assert new.rounds.attrs["roles"]["seed"] == "field"
    assert new.curves().attrs["units"]["loss"] == "nats"
    assert field_columns(new.rounds) == field_columns(old.rounds)
    assert pd.read_parquet(store.folder / "rounds")["round"].tolist() == [0, 1]
