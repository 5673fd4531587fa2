"""`lthray compact`, as a user runs it."""

import json
import shutil

import pandas as pd
import pytest

from tests.helpers import GOLDEN, failed, lthray


@pytest.fixture
def folder(tmp_path):
    """A folder of lthray 0.1 with four trajectories."""
    return shutil.copytree(GOLDEN / "source", tmp_path / "source")


def test_a_folder_of_an_older_version_is_packed_for_readers(folder):
    rounds = pd.read_parquet(folder / "rounds")
    process = lthray("compact", folder)
    assert process.returncode == 0, process.stderr
    said = process.stdout.splitlines()
    assert said[0].startswith("migrated 4 trajectories")
    assert f"wrote rounds.parquet: {len(rounds)} rows of 4 trajectories" in said
    merged = pd.read_parquet(folder / "rounds.parquet")
    measures = [name for name in rounds.columns if "accuracy" in name]
    key = ["seed", "strategy", "train_attack", "round"]
    pd.testing.assert_frame_equal(
        merged.sort_values(key, ignore_index=True)[measures], rounds.sort_values(key, ignore_index=True)[measures]
    )
    assert set(merged["norm"]) == {"linf"}
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "rounds"), merged)


def test_status_says_where_a_merged_table_is_out_of_date(folder):
    lthray("compact", folder)
    assert json.loads(lthray("status", folder, "--json").stdout)["stale"] == []
    next((folder / "rounds").iterdir()).unlink()
    said = " ".join(lthray("status", folder).stdout.split())
    assert f"out of date: rounds.parquet; run lthray compact {folder}" in said


def test_a_folder_without_results_and_a_damaged_file_are_a_line(folder, tmp_path):
    failed(lthray("compact", tmp_path / "none"), "no such folder")
    lthray("compact", folder)
    damaged = next((folder / "curves").iterdir())
    damaged.write_bytes(b"x")
    failed(lthray("compact", folder), damaged.name, "can't be read")
