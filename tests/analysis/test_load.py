import importlib
import json

import pandas as pd
import pytest

from lthray.analysis import NotResultsError, load, varied
from tests.analysis import synthetic


@pytest.fixture
def folder(tmp_path):
    trajectories = synthetic.grid(train_attack=["fgsm", "none"], seed=[0, 1], rounds=2)
    return synthetic.write(tmp_path / "results", trajectories)


def test_rounds_come_back_whole_and_in_order(folder):
    results = load(folder)
    assert results.folders == {"results": folder}
    assert len(results.rounds) == 4 * 3
    assert results.rounds.groupby("trajectory_id")["round"].apply(list).tolist() == [[0, 1, 2]] * 4
    assert set(synthetic.FIELDS) <= set(results.rounds.columns)
    fgsm = results.rounds[results.rounds["train_attack"] == "fgsm"]
    assert fgsm["final_pgd_accuracy_test"].isna().all()
    assert fgsm["final_fgsm_accuracy_test"].notna().all()


def test_sweep_and_failures(folder):
    identity = synthetic.write_failure(folder, "RuntimeError: out of memory", 1, seed=7, pgd__steps=40)
    results = load(str(folder))
    assert results.sweeps == {"results": {"name": "made-up", "protocol": "paper"}}
    failure = results.failures.iloc[0]
    assert failure["trajectory_id"] == identity
    assert (failure["round"], failure["error"]) == (1, "RuntimeError: out of memory")
    assert (failure["seed"], failure["pgd.steps"]) == (7, 40)


def test_without_sweep_and_failures(folder):
    (folder / "sweep.yaml").unlink()
    results = load(folder)
    assert results.sweeps == {"results": None}
    assert results.failures.empty
    assert list(results.failures.columns) == ["trajectory_id", "round", "error"]


def test_a_failure_may_nest_its_fields_or_be_unreadable(folder):
    (folder / "failures").mkdir()
    nested = {
        "trajectory_id": "a",
        "round": None,
        "error": "x",
        "fields": {"pgd": {"steps": 7}, "eval_attacks": ["pgd"]},
    }
    (folder / "failures" / "a.json").write_text(json.dumps(nested))
    (folder / "failures" / "b.json").write_text("{")
    failures = load(folder).failures.set_index("trajectory_id")
    assert failures.loc["a", "pgd.steps"] == 7
    assert failures.loc["a", "eval_attacks"] == "pgd"
    assert pd.isna(failures.loc["a", "round"])
    assert failures.loc["b", "error"] == "b.json is not readable"


def test_files_being_written_are_passed_over(folder):
    whole = load(folder).rounds
    (folder / "rounds" / ".stray.parquet").write_bytes(b"half a file")
    (folder / "curves" / ".stray.parquet").write_bytes(b"half a file")
    (folder / "failures").mkdir()
    (folder / "failures" / ".stray.json").write_text("{")
    results = load(folder)
    pd.testing.assert_frame_equal(results.rounds, whole)
    assert results.failures.empty
    assert len(results.curves()) > 0


def test_curves_read_what_is_asked(folder):
    curves = load(folder).curves
    assert len(curves()) == 2 * 3 * 3 * 2 * (2 + 3)
    some = curves(["iteration", "pgd.steps", "accuracy"], [("split", "==", "test"), ("attack", "==", "none")])
    assert list(some.columns) == ["iteration", "pgd.steps", "accuracy"]
    assert len(some) == 4 * 3 * 3
    assert curves(["loss"], [("pgd.steps", "==", 40)]).empty


def test_no_curves_is_an_empty_frame(folder):
    for path in (folder / "curves").iterdir():
        path.unlink()
    assert list(load(folder).curves(["loss"]).columns) == ["loss"]


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_results_is_named_in_one_line(tmp_path, make):
    folder = tmp_path / "nothing"
    if make:
        (folder / "rounds").mkdir(parents=True)
        (folder / "rounds" / ".being-written.parquet").write_bytes(b"")
    with pytest.raises(NotResultsError) as caught:
        load(folder)
    text = str(caught.value)
    assert str(folder) in text
    assert "rounds/*.parquet" in text
    assert "\n" not in text


def test_a_folder_of_failures_says_so(tmp_path):
    synthetic.write_failure(tmp_path, "boom", 0)
    with pytest.raises(NotResultsError, match="1 failed"):
        load(tmp_path)


def test_a_file_that_is_not_parquet_is_named(folder):
    (folder / "rounds" / "odd.parquet").write_bytes(b"this is not Parquet")
    with pytest.raises(NotResultsError, match=r"odd\.parquet") as caught:
        load(folder)
    assert "\n" not in str(caught.value)


def test_other_peoples_parquet_is_refused(tmp_path):
    (tmp_path / "rounds").mkdir()
    pd.DataFrame({"round": [0], "score": [1.0]}).to_parquet(tmp_path / "rounds" / "a.parquet")
    with pytest.raises(NotResultsError, match="lacks the columns trajectory_id"):
        load(tmp_path)


def test_a_broken_sweep_file_is_named(folder):
    (folder / "sweep.yaml").write_text("name: [")
    with pytest.raises(NotResultsError, match=r"sweep\.yaml"):
        load(folder)


def test_a_file_that_goes_while_it_reads_is_passed_over(folder, monkeypatch):
    gone = sorted((folder / "rounds").iterdir())[0]
    module = importlib.import_module("lthray.analysis.parquet")
    listed = module.list_files

    def files(of, suffix):
        found = listed(of, suffix)
        gone.unlink(missing_ok=True)
        return found

    monkeypatch.setattr(module, "list_files", files)
    assert load(folder).rounds["trajectory_id"].nunique() == 3


def test_each_argument_of_a_network_is_a_column_and_a_field(tmp_path):
    texts = ['{"depth": 2, "width": 8}', '{"depth": 3}', ""]
    frames = [
        synthetic.trajectory(seed=seed, model="nets.py:Net").assign(model_args=text) for seed, text in enumerate(texts)
    ]
    rounds = load(synthetic.write(tmp_path / "r", frames)).rounds
    first = rounds[rounds["round"] == 0].sort_values("seed")
    assert first["model_args.depth"].tolist()[:2] == [2, 3]
    assert first["model_args.depth"].isna().tolist() == [False, False, True]
    assert first["model_args.width"].isna().tolist() == [False, True, True]
    assert varied(rounds) == ["model_args.depth", "model_args.width"]
    table = pd.DataFrame({"trajectory_id": ["a", "b"], "model_args": texts[:2], "accuracy": [0.5, 0.6]})
    (tmp_path / "r" / "evaluations").mkdir()
    table.to_parquet(tmp_path / "r" / "evaluations" / "a.parquet")
    assert load(tmp_path / "r").evaluations()["model_args.depth"].tolist() == [2, 3]
    assert "model_args.depth" not in load(synthetic.write(tmp_path / "s", synthetic.grid(seed=[0]))).rounds
