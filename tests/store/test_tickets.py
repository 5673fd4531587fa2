"""The ticket files of a trajectory: many, and few after compacting."""

import json

import numpy as np
import pytest
from safetensors import safe_open

from lthray.engine.results import Ticket
from lthray.errors import InputError
from lthray.files import location
from lthray.store import tickets

LAYERS = ("hidden_1", "output")


def ticket(number: int) -> Ticket:
    draw = np.random.default_rng(number)
    masks = {name: draw.integers(0, 2, (3, 4)).astype(np.uint8) for name in LAYERS}
    return Ticket({name: draw.normal(size=(3, 4)).astype(np.float32) * mask for name, mask in masks.items()}, masks)


def write(folder, *numbers: int) -> None:
    for number in numbers:
        tickets.write(folder, number, ticket(number), {"round": number, "dataset": "mnist"})


def holds(folder, count: int) -> None:
    for number in range(count):
        found, expected = tickets.read(folder, number, LAYERS), ticket(number)
        for name in LAYERS:
            np.testing.assert_array_equal(found.weights[name], expected.weights[name])
            np.testing.assert_array_equal(found.masks[name], expected.masks[name])


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(params=["disk", "s3"])
def folder(request, tmp_path):
    return location(tmp_path / "abc") if request.param == "disk" else request.getfixturevalue("s3")


def test_a_few_stay_as_they_are(folder):
    write(folder, 0, 1, 2, 3)
    assert not tickets.compact(folder)
    assert files(folder) == [f"round-0{number}.safetensors" for number in range(4)]


def test_many_become_three_and_hold_the_same(folder):
    write(folder, *range(6))
    assert tickets.compact(folder)
    assert files(folder) == ["round-00.safetensors", "round-05.safetensors", "rounds-01-04.safetensors"]
    holds(folder, 6)
    assert not tickets.compact(folder)


def test_more_rounds_join_those_before(folder):
    write(folder, *range(6))
    tickets.compact(folder)
    write(folder, 6, 7)
    assert tickets.compact(folder)
    assert files(folder) == ["round-00.safetensors", "round-07.safetensors", "rounds-01-06.safetensors"]
    holds(folder, 8)


def test_a_compacted_file_is_readable_without_lthray(tmp_path):
    write(location(tmp_path), *range(6))
    tickets.compact(location(tmp_path))
    with safe_open(tmp_path / "rounds-01-04.safetensors", "numpy") as file:
        assert sorted(file.keys()) == sorted(
            f"round-0{number}.{name}.{what}"
            for number in (1, 2, 3, 4)
            for name in LAYERS
            for what in ("weight", "mask")
        )
        assert json.loads(file.metadata()["round-03"]) == {"round": 3, "dataset": "mnist"}


@pytest.mark.parametrize("at", range(4))
def test_a_kill_in_the_middle_loses_nothing(folder, monkeypatch, at):
    write(folder, *range(6))
    unlink, left = type(folder).unlink, [at]

    def killed(path, missing_ok=False):
        if path.name.endswith(".safetensors"):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        unlink(path, missing_ok=missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(type(folder), "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            tickets.compact(folder)
    holds(folder, 6)
    tickets.compact(folder)
    holds(folder, 6)
    assert len(files(folder)) <= tickets.FEW


def test_a_damaged_file_is_named_and_nothing_is_changed(folder):
    write(folder, *range(6))
    torn = tickets.path(folder, 2)
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(InputError, match=r"round-02\.safetensors: can't be read"):
        tickets.compact(folder)
    assert len(files(folder)) == 6


def test_a_ticket_that_is_nowhere_is_named(folder):
    write(folder, *range(6))
    tickets.compact(folder)
    with pytest.raises(InputError, match=r"round-06\.safetensors: can't be read"):
        tickets.read(folder, 6, LAYERS)
