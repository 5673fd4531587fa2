"""Sweeps as Python holds them: what a sweep file would hold is made of their values."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lthray
from lthray.api.preparing import prepare
from lthray.spec.sweepfile import load
from tests.helpers import TINY


def test_values_of_python_are_those_of_a_file(tmp_path):
    attacks = ("fgsm",)  # the same object twice, which YAML would write as an alias
    trajectory = TINY["trajectory"] | {"epsilon": np.float64(0.1), "eval_attacks": attacks, "end_attacks": attacks}
    grid = {"seed": range(2), "pgd.steps": np.array([7, 10]), "learning_rate": (np.float32(0.5), 1e-5)}
    sweep = TINY | {"trajectory": trajectory, "grid": grid}
    prepared = prepare(sweep, out=tmp_path)
    (tmp_path / "sweep.yaml").write_text(prepared.sweep.resolved())
    _, again = load(tmp_path / "sweep.yaml")
    assert again == prepared.trajectories
    assert [spec.pgd.steps for spec in again[:4]] == [7, 7, 10, 10]
    assert {spec.epsilon for spec in again} == {0.1}
    plain = {"seed": [0, 1], "pgd.steps": [7, 10], "learning_rate": [0.5, 1e-5]}
    expected = TINY | {"trajectory": trajectory | {"epsilon": 0.1}, "grid": plain}
    pd.testing.assert_frame_equal(lthray.plan(sweep), lthray.plan(expected))


def test_paths_and_text_keep_their_letters(tmp_path):
    name = "größe \U0001f600.npz"
    for sets in ({"dataset": Path(name)}, {"dataset": name}):
        with pytest.raises(lthray.InputError, match=re.escape(name)):
            lthray.plan(TINY, set=sets, out=tmp_path)
    with pytest.raises(lthray.InputError, match=re.escape(name)):
        lthray.plan(TINY | {"trajectory": {"dataset": Path(name)}}, out=tmp_path)


@pytest.mark.parametrize("value", [np.mean, {1, 2}, object()], ids=["function", "set", "object"])
def test_what_no_file_can_hold_is_refused_in_a_line(value):
    with pytest.raises(lthray.InputError, match=r"model: found .* but a sweep file takes text, numbers"):
        lthray.plan(TINY, set={"model": value})
    with pytest.raises(lthray.InputError, match=r"sweep: found .*a class is named as text, such as nets\.py:Net"):
        lthray.plan(TINY | {"trajectory": {"model": value}})
