"""Checkpoints inside a round: written, read back to the bit, and ignored where they are not whole."""

from dataclasses import replace

import numpy as np
import pytest

from lthray.engine.trajectory import run
from lthray.store.folder import Store


@pytest.fixture
def checkpoint(make, digits):
    spec = make(rounds=1, rewind_to="iteration:5", train_attack="pgd", eval_attacks=[{"pgd": {"steps": 2}}])
    taken = []
    next(run([spec], digits, observe=lambda progress: taken.extend(progress.checkpoints())))
    assert [one.iteration for one in taken] == [20, 40]
    return taken[0]


def file(folder, spec):
    return folder / "checkpoints" / f"{spec.trajectory_id}.safetensors"


def test_a_checkpoint_reads_back_as_it_was(checkpoint, tmp_path):
    store = Store(tmp_path)
    store.write_checkpoint(checkpoint)
    found = store.checkpoint(checkpoint.spec, 0)
    for field in ("weights", "mean", "square", "rewound"):
        before, after = getattr(checkpoint, field), getattr(found, field)
        assert before.keys() == after.keys()
        assert all(np.array_equal(before[name], after[name]) for name in before)
    assert np.array_equal(found.generator, checkpoint.generator)
    arrays = dict.fromkeys(("weights", "mean", "square", "rewound", "generator"))
    assert replace(found, **arrays) == replace(checkpoint, **arrays)
    store.write_checkpoint(replace(checkpoint, rewound=None))
    assert store.checkpoint(checkpoint.spec, 0).rewound is None


def test_one_that_is_not_whole_or_of_another_round_counts_as_none(checkpoint, tmp_path, make):
    store, spec = Store(tmp_path), checkpoint.spec
    assert store.checkpoint(spec, 0) is None
    store.write_checkpoint(checkpoint)
    assert store.checkpoint(spec, 1) is None
    whole = file(tmp_path, spec).read_bytes()
    middle = len(whole) // 2
    for damaged in (b"", b"{}", whole[:100], whole[:-1], whole[:middle] + b"\x7f\x7f" + whole[middle + 2 :]):
        file(tmp_path, spec).write_bytes(damaged)
        assert store.checkpoint(spec, 0) is None
    attacked = make(rounds=1, rewind_to="iteration:5", train_attack="pgd", end_attacks=["pgd"])
    assert store.checkpoint(attacked, 0) is None, "it lacks the weights to measure at the round's end"
    at_ends = spec.model_copy(update={"eval_attacks_at": "ends"})
    held = replace(checkpoint, early_stopped=checkpoint.weights)
    for written, read in ((spec, at_ends), (at_ends, spec)):
        store.write_checkpoint(replace(held, spec=written))
        assert store.checkpoint(written, 0)
        assert store.checkpoint(read, 0) is None, "its curves have other rows"
    store.write_checkpoint(replace(checkpoint, mean={}))
    assert store.checkpoint(spec, 0) is None
    other = make(model="mlp", widths=[20])
    file(tmp_path, other).write_bytes(whole)
    assert store.checkpoint(other, 0) is None
    store.write_checkpoint(checkpoint)
    assert store.checkpoint(spec, 0).iteration == 20


def test_a_finished_round_takes_its_checkpoint_away_and_lets_no_other_come(checkpoint, tmp_path, digits):
    store, spec = Store(tmp_path), checkpoint.spec
    store.write_checkpoint(checkpoint)
    (result,) = next(run([spec], digits, checkpoints=[checkpoint]))
    store.write_round(result)
    assert not file(tmp_path, spec).exists()
    store.write_checkpoint(checkpoint)
    assert not file(tmp_path, spec).exists()
