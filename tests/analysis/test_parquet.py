"""Files that several versions of lthray wrote, read into one frame."""

import pyarrow.parquet as pq
import pytest

from lthray.analysis import load, summarise
from lthray.analysis.numbers.fields import varied
from lthray.store.tables import ROUNDS
from tests.analysis import synthetic


@pytest.fixture
def mixed(tmp_path):
    """Trajectories of two norms; the files of the first version lack the field, the other files say its base value."""
    frames = synthetic.grid(norm=["linf", "l2"], seed=[0, 1], train_attack="fgsm", rounds=2)
    folder = synthetic.write(tmp_path / "mixed", frames)
    for frame in frames:
        name = frame["trajectory_id"].iloc[0]
        for part in ("rounds", "curves"):
            path = folder / part / f"{name}.parquet"
            table = pq.read_table(path)
            if frame["norm"].iloc[0] == "linf" and frame["seed"].iloc[0] == 0:
                table = table.drop_columns(["norm"])
            else:
                table = with_base(table, "norm")
            pq.write_table(table, path)
    return folder


def with_base(table, name):
    """The table with a column whose metadata are those of this version."""
    field = ROUNDS.field(name)
    return table.set_column(table.column_names.index(name), field, table[name].cast(field.type))


def test_a_field_that_an_older_file_lacks_has_its_base_value(mixed):
    results = load(mixed)
    assert results.rounds.groupby("norm")["seed"].nunique().to_dict() == {"l2": 2, "linf": 2}
    assert results.curves().groupby("norm", observed=True)["seed"].nunique().to_dict() == {"l2": 2, "linf": 2}
    assert varied(results.rounds) == ["norm"]
    assert set(summarise(results.rounds)["final_natural_accuracy_test_n"]) == {2}


def test_so_it_does_not_vary_where_later_files_have_the_base_value(mixed):
    for path in (mixed / "rounds").iterdir():
        table = pq.read_table(path)
        if "norm" in table.column_names and table["norm"][0].as_py() == "l2":
            path.unlink()
    rounds = load(mixed).rounds
    assert set(rounds["norm"]) == {"linf"}
    assert varied(rounds) == []


def test_a_measure_that_an_older_file_lacks_is_missing(mixed):
    path = min((mixed / "rounds").iterdir())
    pq.write_table(pq.read_table(path).drop_columns(["final_fgsm_accuracy_test"]), path)
    rounds = load(mixed).rounds
    assert rounds["final_fgsm_accuracy_test"].isna().sum() == 3
    assert set(rounds.loc[rounds["final_fgsm_accuracy_test"].isna(), "trajectory_id"]) == {path.stem}


def test_numbers_and_truth_values_keep_their_type(mixed):
    later = ["pgd.steps", "epsilon", "drop_last"]
    for place, path in enumerate(sorted((mixed / "rounds").iterdir())):
        table = pq.read_table(path)
        for name in later:
            table = with_base(table, name) if place else table.drop_columns([name])
        pq.write_table(table, path)
    rounds = load(mixed).rounds
    assert [rounds[name].dtype.kind for name in later] == ["i", "f", "b"]
    assert rounds[later].drop_duplicates().to_numpy().tolist() == [[10, 0.3, True]]
