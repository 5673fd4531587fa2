import json

import pytest
from upath import UPath

from lthray.analysis.looks import Look, take_look

CONDITIONS = {"margin": 0.01, "at": None}


@pytest.fixture
def folder(tmp_path):
    return UPath(tmp_path)


def test_the_same_seeds_are_the_same_look(folder):
    assert take_look([folder], {"a": [0, 1]}, CONDITIONS) == Look(1, recorded=True)
    assert take_look([folder], {"a": [0, 1]}, CONDITIONS) == Look(1, recorded=True)
    (look,) = json.loads((folder / "looks.json").read_text())["looks"]
    assert look["seeds"] == {"a": [0, 1]}


def test_more_seeds_another_margin_or_sparsity_are_another_look(folder):
    take_look([folder], {"a": [0, 1]}, CONDITIONS)
    assert take_look([folder], {"a": [0, 1, 2]}, CONDITIONS).number == 2
    assert take_look([folder], {"a": [0, 1, 2]}, CONDITIONS | {"margin": 0.02}).number == 3
    assert take_look([folder], {"a": [0, 1, 2]}, CONDITIONS | {"at": 0.2}).number == 4
    assert take_look([folder], {"a": [0, 1]}, CONDITIONS).number == 1


def test_a_setting_that_comes_later_is_no_new_look(folder):
    take_look([folder], {"a": [0, 1]}, CONDITIONS)
    assert take_look([folder], {"a": [0, 1], "b": [0, 1]}, CONDITIONS).number == 1
    assert take_look([folder], {"b": [0, 1, 2]}, CONDITIONS).number == 2


def test_without_a_verdict_nothing_is_recorded(folder):
    assert take_look([folder], {}, CONDITIONS) == Look(1, recorded=True)
    assert not (folder / "looks.json").exists()


def test_of_several_folders_the_one_looked_at_most_often_counts(tmp_path):
    one, two = UPath(tmp_path / "one"), UPath(tmp_path / "two")
    take_look([one], {"a": [0, 1]}, CONDITIONS)
    assert take_look([one, two], {"a": [0, 1, 2]}, CONDITIONS).number == 2
    assert take_look([two], {"a": [0, 1, 2]}, CONDITIONS).number == 1


def test_a_folder_that_cannot_be_written_is_said_to_be(folder):
    (folder / "looks.json").mkdir()
    assert take_look([folder], {"a": [0]}, CONDITIONS) == Look(1, recorded=False)


def test_a_damaged_file_is_begun_anew(folder):
    (folder / "looks.json").write_text("{")
    assert take_look([folder], {"a": [0]}, CONDITIONS) == Look(1, recorded=True)
