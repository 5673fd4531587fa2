"""What the documents say of reading a folder: their code runs and answers, and readers do what docs/readers.md says."""

import re

import duckdb
import pandas as pd
import polars as pl
import polars.exceptions
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lthray import analysis
from lthray.store.folder import Store
from lthray.store.merged_tables import merge
from lthray.store.tables import ROUNDS
from tests.analysis import synthetic
from tests.analysis.tickets import with_tickets
from tests.helpers import ROOT

DOCUMENTS = (
    "README.md", "docs/readers.md", "docs/evaluate.md", "docs/ablations.md", "docs/reference/tables.md",
    "docs/reference/python-analysis.md",
)  # fmt: skip
BLOCKS = [
    (document, block)
    for document in DOCUMENTS
    for block in re.findall(r"^```python\n(.*?)^```", (ROOT / document).read_text("utf-8"), re.DOTALL | re.MULTILINE)
]
ANSWERS = [block for _, block in BLOCKS if "answer =" in block]


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    """The folder that `results/paper` lies in, by other names too: two seeds of each strategy, with tickets."""
    folder = tmp_path_factory.mktemp("readers")
    axes = {"train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random", "continued"], "seed": [0, 1]}
    trajectories = synthetic.grid(**axes, rounds=8)
    with_tickets(folder / "results" / "paper", trajectories, rounds=8)
    (folder / "results" / "paper" / "evaluations").mkdir()
    measured = synthetic.evaluations(trajectories[0], "pgd(steps=100)", 0.1, moment="final")
    measured.to_parquet(folder / "results" / "paper" / "evaluations" / "measured.parquet")
    for path in (folder / "results" / "paper" / "rounds").iterdir():
        table = pq.read_table(path)
        pq.write_table(table.cast(pa.schema([ROUNDS.field(name) for name in table.column_names])), path)
    merge(Store(folder / "results" / "paper"))
    for other in ("quickstart", "retraining"):
        (folder / "results" / other).symlink_to("paper")
    return folder


@pytest.mark.parametrize(
    ("document", "block"), BLOCKS, ids=[f"{page}-{place}" for place, (page, _) in enumerate(BLOCKS)]
)
def test_the_code_runs_as_it_stands(document, block, parent, monkeypatch):
    monkeypatch.chdir(parent)
    exec(compile(block, document, "exec"), {})


def test_there_are_an_answer_each_and_they_agree(parent, monkeypatch):
    monkeypatch.chdir(parent)
    summary = analysis.summarise(analysis.load("results/paper").rounds)
    wanted = summary[summary["train_attack"] == "pgd"].sort_values(["strategy", "round"], ignore_index=True)
    readers = []
    for block in ANSWERS:
        names = {}
        exec(compile(block, "docs/readers.md", "exec"), names)
        answer = names["answer"]
        frame = answer if isinstance(answer, pd.DataFrame) else pd.DataFrame(answer.to_dict(as_series=False))
        assert frame["strategy"].tolist() == wanted["strategy"].tolist()
        assert frame["round"].tolist() == wanted["round"].tolist()
        assert frame["P_m"].tolist() == pytest.approx(wanted["weights_remaining"].tolist())
        assert frame["accuracy"].tolist() == pytest.approx(
            wanted["early_stopping_adversarial_accuracy_test_mean"].tolist()
        )
        readers += [name for name in ("pandas", "duckdb", "polars") if name in names]
    assert readers == ["pandas", "duckdb", "polars"]


@pytest.fixture(params=["first", "later"])
def mixed(request, tmp_path):
    """Two files, the first or the later of which lacks the column `norm`; the pattern of their paths."""
    whole = pa.table({"trajectory_id": ["a"], "norm": ["linf"]})
    order = (whole.drop_columns(["norm"]), whole) if request.param == "first" else (whole, whole.drop_columns(["norm"]))
    for name, table in zip("ab", order, strict=True):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    return request.param, tmp_path, str(tmp_path / "*.parquet")


def test_pandas_takes_the_columns_of_the_first_file(mixed):
    lacking, folder, _ = mixed
    frame = pd.read_parquet(folder)
    assert ("norm" in frame) == (lacking == "later")
    assert lacking == "first" or frame["norm"].isna().tolist() == [False, True]


def test_duckdb_refuses_unless_it_unites_by_name(mixed):
    _, _, pattern = mixed
    with pytest.raises(duckdb.Error):
        duckdb.sql(f"SELECT norm FROM '{pattern}'").fetchall()
    rows = duckdb.sql(f"SELECT norm FROM read_parquet('{pattern}', union_by_name=true)").fetchall()
    assert sorted(rows, key=str) == [("linf",), (None,)]


def test_polars_refuses_unless_it_is_told_what_to_do(mixed):
    lacking, folder, pattern = mixed
    with pytest.raises(pl.exceptions.PolarsError):
        pl.scan_parquet(pattern).collect()
    inserting = pl.scan_parquet(pattern, missing_columns="insert")
    if lacking == "first":
        with pytest.raises(pl.exceptions.PolarsError):
            inserting.collect()
        ignoring = pl.scan_parquet(pattern, missing_columns="insert", extra_columns="ignore").collect()
        assert ignoring.columns == ["trajectory_id"]
    else:
        assert inserting.collect()["norm"].to_list() == ["linf", None]
    files = sorted(folder.iterdir())
    both = pl.concat([pl.scan_parquet(file) for file in files], how="diagonal").collect()
    assert set(both["norm"].to_list()) == {"linf", None}
