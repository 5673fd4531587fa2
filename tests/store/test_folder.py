"""The results folder on a real disk."""

import json
import platform

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import lthray
from lthray.engine.results import Failure, Resume, RoundResult
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.attacks import Attack
from lthray.spec.evaluation import EvaluationRequest
from lthray.store.evaluations import unmeasured
from lthray.store.folder import Store
from lthray.store.tables import CURVES, EVALUATIONS, ROUNDS
from tests.helpers import evaluations, tables


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    store.create("name: x\n")
    return store


@pytest.fixture
def rounds(make, digits) -> list[RoundResult]:
    spec = make(train_attack="fgsm", iterations=20, eval_every=10)
    return [one for stack in run([spec], digits) for one in stack]


def read(store: Store, table: str) -> pd.DataFrame:
    return pd.read_parquet(store.folder / table)


def test_a_round_is_readable_without_lthray(store, rounds):
    for one in rounds:
        store.write_round(one)
    table, curves = read(store, "rounds"), read(store, "curves")
    assert table["round"].tolist() == [0, 1, 2]
    assert len(curves) == 3 * 3 * 2 * 2
    assert list(table.columns) == ROUNDS.names
    assert list(curves.columns) == CURVES.names
    spec = rounds[0].spec
    for name, value in spec.flat().items():
        assert set(table[name]) == set(curves[name]) == {value}
    first = table.iloc[0]
    assert first["trajectory_id"] == spec.trajectory_id
    assert (first["weights_remaining"], first["weights_remaining_count"]) == (1.0, 50_200)
    assert (first["lthray_version"], first["python_version"]) == (lthray.__version__, platform.python_version())
    assert first["torch_version"]
    assert first["device"] == "cpu"
    last = curves[(curves["round"] == 0) & (curves["split"] == "test") & (curves["attack"] == "fgsm")].iloc[-1]
    assert first["final_fgsm_accuracy_test"] == last["accuracy"]
    assert np.isnan(first["final_pgd_accuracy_test"])
    assert first["final_zero_gradient_share_test"] == last["zero_gradient_share"]
    assert curves.loc[curves["attack"] == "none", "zero_gradient_share"].isna().all()


def test_a_ticket_is_laid_out_as_a_linear_layer_and_names_its_trajectory(store, rounds):
    store.write_round(rounds[1])
    spec = rounds[1].spec
    path = store.folder / "tickets" / spec.trajectory_id / "round-01.safetensors"
    tensors = load_file(path)
    assert {name: (one.shape, str(one.dtype)) for name, one in tensors.items()} == {
        "hidden_1.weight": ((300, 64), "float32"), "hidden_1.mask": ((300, 64), "uint8"),
        "hidden_2.weight": ((100, 300), "float32"), "hidden_2.mask": ((100, 300), "uint8"),
        "output.weight": ((10, 100), "float32"), "output.mask": ((10, 100), "uint8"),
    }  # fmt: skip
    with safe_open(path, "numpy") as file:
        metadata = {name: json.loads(value) for name, value in file.metadata().items()}
    assert metadata["trajectory_id"] == spec.trajectory_id
    assert metadata["round"] == 1
    assert metadata["pgd.steps"] == 10
    assert metadata["weights_remaining_count"] == rounds[1].weights_remaining_count


def test_writing_a_round_again_changes_nothing_nor_does_a_worker_that_should_be_dead(store, rounds):
    for one in rounds:
        store.write_round(one)
    before = read(store, "rounds"), read(store, "curves")
    for one in (rounds[2], rounds[1]):
        store.write_round(one)
        assert read(store, "rounds").equals(before[0])
        assert read(store, "curves").equals(before[1])


def test_rounds_are_done_as_far_as_none_is_missing(store, rounds):
    for one in rounds:
        store.write_round(one)
    path = store.folder / "rounds" / f"{rounds[0].spec.trajectory_id}.parquet"
    table = pd.read_parquet(path)
    table[table["round"] != 1].to_parquet(path)
    assert store.rounds_done(rounds[0].spec.trajectory_id) == 1
    for one in rounds[1:]:
        store.write_round(one)
    assert read(store, "rounds")["round"].tolist() == [0, 1, 2]
    assert not read(store, "curves").duplicated(["round", "iteration", "split", "attack"]).any()


def test_what_is_done_and_where_to_go_on(store, rounds):
    spec = rounds[0].spec
    assert store.rounds_done(spec.trajectory_id) == 0
    assert store.resume(spec) is None
    store.write_round(rounds[0])
    store.write_round(rounds[1])
    resume = store.resume(spec)
    assert isinstance(resume, Resume)
    assert resume.dense is None
    for name, weight in rounds[1].ticket.weights.items():
        assert np.array_equal(resume.last.weights[name], weight)
        assert np.array_equal(resume.last.masks[name], rounds[1].ticket.masks[name])


def test_the_dense_ticket_comes_along_where_it_is_rewound_to(store, make, digits):
    spec = make(rewind_to="end-of-round-0", rounds=1, iterations=5)
    found = [one for stack in run([spec], digits) for one in stack]
    for one in found:
        store.write_round(one)
    dense = store.resume(spec).dense
    assert np.array_equal(dense.weights["output"], found[0].ticket.weights["output"])


def test_the_network_that_is_rewound_to_comes_along_and_compacting_leaves_it(store, make, digits):
    spec = make(rewind_to="iteration:3", rounds=5, iterations=5)
    found = [one for stack in run([spec], digits) for one in stack]
    for one in found:
        store.write_round(one)
    kept = store.folder / "tickets" / spec.trajectory_id / "round-00-iteration-3.safetensors"
    assert store.compact(spec.trajectory_id)
    rewound = store.resume(spec).rewound
    for name, weight in load_file(kept).items():
        layer, kind = name.split(".")
        assert np.array_equal(weight, rewound.weights[layer] if kind == "weight" else rewound.masks[layer])
        assert np.array_equal(weight, getattr(found[0].rewound, f"{kind}s")[layer])
    with safe_open(kept, "numpy") as file:
        assert json.loads(file.metadata()["iteration"]) == 3
    kept.unlink()
    with pytest.raises(InputError, match=r"round-00-iteration-3\.safetensors: can't be read"):
        store.resume(spec)


def test_a_crash_between_curves_and_rounds_leaves_the_round_undone(store, rounds, monkeypatch):
    store.write_round(rounds[0])
    append = Store._append

    def crash(self, table, *rest):
        if table == "rounds":
            raise KeyboardInterrupt
        append(self, table, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "_append", crash)
        with pytest.raises(KeyboardInterrupt):
            store.write_round(rounds[1])
    assert store.rounds_done(rounds[0].spec.trajectory_id) == 1
    store.write_round(rounds[1])
    assert read(store, "rounds")["round"].tolist() == [0, 1]
    assert not read(store, "curves").duplicated(["round", "iteration", "split", "attack"]).any()


def test_a_new_sweep_clears_what_a_killed_writer_left(store):
    stray = store.folder / "rounds" / ".abc.parquet.123.part"
    stray.parent.mkdir()
    stray.write_bytes(b"torn")
    store.create("name: y\n")
    assert not stray.exists()
    assert (store.folder / "sweep.yaml").read_text() == "name: y\n"


def test_more_rounds_are_named_in_the_old_rows_too(store, make, digits):
    short, long = make(rounds=0, iterations=5), make(rounds=1, iterations=5)
    (first,) = next(run([short], digits))
    store.write_round(first)
    rest = [one for stack in run([long], digits, 1, [store.resume(long)]) for one in stack]
    store.write_round(rest[0])
    assert read(store, "rounds")["rounds"].tolist() == [1, 1]
    assert set(read(store, "curves")["rounds"]) == {1}


def test_failures_are_kept_until_the_trajectory_goes_on(store, rounds):
    spec = rounds[0].spec
    store.write_failure(Failure(spec, 0, "the loss stopped being finite"))
    found = store.failures()
    assert found[spec.trajectory_id]["error"] == "the loss stopped being finite"
    assert found[spec.trajectory_id]["fields"]["train_attack"] == "fgsm"
    store.write_round(rounds[0])
    assert store.failures() == {}


def test_a_damaged_ticket_is_named(store, rounds):
    store.write_round(rounds[0])
    spec = rounds[0].spec
    path = store.folder / "tickets" / spec.trajectory_id / "round-00.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"round-00\.safetensors: can't be read"):
        store.resume(spec)
    path.unlink()
    with pytest.raises(InputError, match="can't be read"):
        store.resume(spec)


def test_a_damaged_table_is_named(store, rounds):
    store.write_round(rounds[0])
    path = store.folder / "rounds" / f"{rounds[0].spec.trajectory_id}.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(InputError, match=r"\.parquet: can't be read .*delete it"):
        store.rounds_done(rounds[0].spec.trajectory_id)


def test_folders_that_are_none(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        Store(tmp_path / "missing").require()
    with pytest.raises(InputError, match="holds no results"):
        Store(tmp_path).require()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="can't be written"):
        Store(tmp_path / "file" / "results").create("")


def test_attacks_without_columns_of_their_own_have_rows_in_evaluations(store, make, digits):
    attack = {"pgd": {"steps": 2, "norm": "l2"}}
    spec = make(train_attack="fgsm", rounds=1, eval_attacks=["pgd", attack], retrain={"iterations": 20})
    results = [result for (result,) in run([spec], digits)]
    for result in results:
        store.write_round(result)
    table, curves, rounds = (read(store, name) for name in ("evaluations", "curves", "rounds"))
    assert list(rounds.columns) == ROUNDS.names
    assert list(table.columns) == EVALUATIONS.names
    assert set(table["attack"]) == {"pgd(norm=l2;steps=2)"}
    assert set(curves["attack"]) == {"none", "fgsm", "pgd"}
    told = table[table["moment"] != "training"]
    assert len(told) == 2 * 2 * 2
    assert not table.duplicated(["round", "moment", "iteration", "split", "attack"]).any()
    plain = curves[curves["attack"] == "pgd"]
    moments = [set(one[["round", "iteration"]].itertuples(index=False, name=None)) for one in (table, plain)]
    assert moments[0] == moments[1]
    assert (table["eval_attacks"] == "fgsm,pgd,pgd(norm=l2;steps=2)").all()
    assert set(table["images"]) == {360}
    assert table["seconds"].isna().all()
    measured = {
        (one.round, row.iteration, row.split): row for one in results for row in one.curves if row.attack.settings
    }
    for row in table.itertuples():
        one = measured[row.round, row.iteration, row.split]
        assert (row.loss, row.accuracy, row.zero_gradient_share) == (one.loss, one.accuracy, one.zero_gradient_share)
    assert told[told["moment"] == "final"].groupby("round")["iteration"].max().tolist() == [40, 20]
    early = dict(zip(rounds["round"], rounds["early_stopping_iteration"], strict=True))
    stopped = table[table["moment"] == "early_stopping"]
    assert stopped["iteration"].tolist() == [early[number] for number in stopped["round"]]


def test_end_attacks_have_a_row_for_each_moment_and_none_twice(store, make, digits):
    """One of them is an eval attack too, on as many images: its rows are those of the evaluations."""
    own, end = "pgd(steps=2)", "pgd(steps=3)"
    fields = {"train_attack": "fgsm", "learning_rate": 0.03, "eval_every": 5}
    spec = make(**fields, eval_attacks=["fgsm", own], end_attacks=[own, end], end_images=10_000)
    results = [result for (result,) in run([spec], digits)]
    for result in results:
        store.write_round(result)
    table, rounds = read(store, "evaluations"), read(store, "rounds")
    assert not table.duplicated(["round", "moment", "iteration", "split", "attack", "images"]).any()
    assert (table["end_attacks"] == f"{own},{end}").all()
    ends = table[table["attack"] == end]
    assert list(ends["round"]) == [0, 0, 1, 1, 2, 2]
    assert list(ends["moment"]) == ["early_stopping", "final"] * 3
    assert list(ends["iteration"]) == [i for early in rounds["early_stopping_iteration"] for i in (early, 40)]
    assert set(ends["split"]) == {"test"}
    assert set(ends["images"]) == {360}
    told = table[(table["attack"] == own) & (table["moment"] != "training") & (table["split"] == "test")]
    assert len(told) == len(ends)


@pytest.mark.parametrize("train_attack", ["none", "pgd"])
def test_eval_attacks_at_the_ends_leave_the_same_rows_but_fewer_of_curves(train_attack, make, digits, tmp_path):
    own, kept = "pgd(steps=3)", {}
    fields = {"train_attack": train_attack, "eval_attacks": ["fgsm", "pgd", own], "learning_rate": 0.3, "eval_every": 5}
    for at in ("every", "ends"):
        store = Store(tmp_path / at)
        for (result,) in run([make(**fields, eval_attacks_at=at)], digits):
            store.write_round(result)
        kept[at] = [
            table.drop(columns="eval_attacks_at") for table in (*tables(store.folder), evaluations(store.folder))
        ]
    (rounds, curves, further), (same_rounds, fewer_curves, fewer) = kept.values()
    assert (rounds["early_stopping_iteration"] < rounds["iterations"]).any()
    pd.testing.assert_frame_equal(rounds, same_rounds)
    assert len(fewer_curves) < len(curves)
    assert len(fewer_curves.merge(curves)) == len(fewer_curves)
    at_ends = further[further["moment"] != "training"].reset_index(drop=True)
    pd.testing.assert_frame_equal(fewer, at_ends)


def test_rounds_of_before_the_end_attacks_do_not_claim_to_have_been_measured(store, make, digits):
    old, new = make(rounds=1), make(rounds=1, end_attacks=["fgsm"])
    assert old.trajectory_id == new.trajectory_id
    (first,), _ = run([old], digits)
    _, (second,) = run([new], digits)
    store.write_round(first)
    for table in ("rounds", "curves"):  # as a version without these fields wrote them
        rows = store.read(table, old.trajectory_id).drop_columns(["end_attacks", "end_images"])
        store.write_table(table, old.trajectory_id, rows)
    store.write_round(second)
    for table in ("rounds", "curves"):
        rows = read(store, table).groupby("round")[["end_attacks", "end_images"]].agg(set)
        assert rows["end_attacks"].tolist() == [{""}, {"fgsm"}]
        assert rows["end_images"].tolist() == [{2_000}] * 2
    assert set(read(store, "evaluations")["round"]) == {1}


def test_a_sweep_without_such_attacks_has_no_evaluations(store, rounds):
    store.write_round(rounds[0])
    assert not (store.folder / "evaluations").exists()
    request = EvaluationRequest(Attack("pgd"), "test", 20, frozenset())
    assert unmeasured(store, rounds[0].spec, request) == [0]
    (store.folder / "evaluations").mkdir()
    (store.folder / "evaluations" / f"{rounds[0].spec.trajectory_id}.parquet").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"can't be read .* delete it, and run again"):
        unmeasured(store, rounds[0].spec, request)
