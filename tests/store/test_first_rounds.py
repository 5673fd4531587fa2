"""Round 0 of one trajectory, taken over by another."""

import json

import pandas as pd
import pytest

from lthray.engine.trajectory import run
from lthray.store import first_rounds
from lthray.store.folder import Store
from tests.helpers import CLOCKS, evaluations, tables

FIELDS = {
    "train_attack": "fgsm", "eval_attacks": ["fgsm", "pgd(steps=2)"], "end_attacks": ["pgd"], "rounds": 1,
    "rewind_to": "iteration:15",
}  # fmt: skip
MEASURED = ["final_fgsm_accuracy_test", "weights_remaining"]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "shared")
    store.create("name: x\n")
    return store


def train(store, spec, digits, offered=True):
    for (result,) in run([spec], digits):
        store.write_round(result)
    if offered:
        first_rounds.offer(store, spec)


def test_what_is_taken_over_is_what_training_would_have_left(store, make, digits, tmp_path):
    donor, heir = make(**FIELDS), make(**FIELDS | {"rounds": 0}, strategy="random")
    train(store, donor, digits)
    row = first_rounds.take_over(store, heir, "cpu")
    alone = Store(tmp_path / "alone")
    train(alone, heir, digits, offered=False)
    for table in tables(store.folder), tables(alone.folder):
        assert len(table[0]) > 0
    for shared, own in zip((*tables(store.folder), evaluations(store.folder)),
                           (*tables(alone.folder), evaluations(alone.folder)), strict=True):  # fmt: skip
        mine = shared[shared["trajectory_id"] == heir.trajectory_id].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, own)
    assert {name: row[name] for name in MEASURED} == tables(alone.folder)[0][MEASURED].iloc[0].to_dict()
    for iteration in (None, 15):
        mine, own = (place.ticket(heir, 0, iteration) for place in (store, alone))
        for name in heir.layer_sizes:
            assert (mine.weights[name] == own.weights[name]).all()
            assert (mine.masks[name] == own.masks[name]).all()


def test_its_seconds_are_counted_once_and_its_ticket_names_who_trained(store, make, digits):
    donor, heir = make(**FIELDS), make(**FIELDS, strategy="random")
    train(store, donor, digits)
    first_rounds.take_over(store, heir, "cpu")
    rounds = pd.read_parquet(store.folder / "rounds").set_index("trajectory_id")
    assert rounds.loc[heir.trajectory_id, CLOCKS[1:]].isna().all()
    assert rounds.loc[donor.trajectory_id, CLOCKS[1:]].notna().all(axis=None)
    assert store.means([heir], "train_seconds") == [0.0]
    content = (store.tickets(heir.trajectory_id) / "round-00.safetensors").read_bytes()
    metadata = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    assert json.loads(metadata["trained_by"]) == donor.trajectory_id
    assert json.loads(metadata["trajectory_id"]) == heir.trajectory_id
    assert json.loads(metadata["strategy"]) == "random"


def written_with(**values):
    def rewrite(store, donor):
        path = store.path("rounds", donor.trajectory_id)
        pd.read_parquet(path).assign(**values).to_parquet(path)

    return rewrite


def test_what_lthray_evaluate_has_added_is_not_taken_over(store, make, digits):
    donor, heir = make(**FIELDS), make(**FIELDS, strategy="random")
    train(store, donor, digits)
    table = evaluations(store.folder)
    added = table[table["round"] == 0].head(1).assign(attack="autoattack", images=7)
    pd.concat([table, added]).to_parquet(store.path("evaluations", donor.trajectory_id))
    written_with()(store, donor)
    assert first_rounds.take_over(store, heir, "cpu")
    copied = evaluations(store.folder).query("trajectory_id == @heir.trajectory_id")
    assert len(copied) == (table["round"] == 0).sum()
    assert "autoattack" not in set(copied["attack"])


def test_nothing_is_taken_over_twice_or_over_finished_rounds(store, make, digits):
    donor, heir = make(**FIELDS), make(**FIELDS, strategy="random")
    train(store, donor, digits)
    train(store, heir, digits, offered=False)
    before = tables(store.folder)
    first_rounds.take_over(store, heir, "cpu")
    for now, then in zip(tables(store.folder), before, strict=True):
        pd.testing.assert_frame_equal(now, then)


def nothing_offered(store, donor):
    (store.folder / "first_rounds").rename(store.folder / "gone")


def torn_offer(store, donor):
    (file,) = (store.folder / "first_rounds").iterdir()
    file.write_text('{"traj')


def offer_of_another_kind(store, donor):
    (file,) = (store.folder / "first_rounds").iterdir()
    file.write_text("[]")


def torn(part):
    def tear(store, donor):
        store.path(part, donor.trajectory_id).write_bytes(b"torn")

    return tear


def gone(part):
    def remove(store, donor):
        store.path(part, donor.trajectory_id).unlink()

    return remove


def torn_ticket(name):
    def tear(store, donor):
        (store.tickets(donor.trajectory_id) / name).write_bytes(b"torn")

    return tear


@pytest.mark.parametrize(
    "harm",
    [
        nothing_offered, torn_offer, offer_of_another_kind, *map(torn, ("rounds", "curves", "evaluations")),
        *map(gone, ("rounds", "curves", "evaluations")), torn_ticket("round-00.safetensors"),
        torn_ticket("round-00-iteration-15.safetensors"), written_with(torch_version="1.0"),
        written_with(lthray_version="0.0"), written_with(device="cuda (A card)"), written_with(seed=5),
        written_with(epsilon=-1.0),
    ],
)  # fmt: skip
def test_a_damaged_or_different_sibling_gives_nothing(harm, store, make, digits):
    donor, heir = make(**FIELDS), make(**FIELDS, strategy="random")
    train(store, donor, digits)
    harm(store, donor)
    assert first_rounds.take_over(store, heir, "cpu") is None
    assert store.rounds_done(heir.trajectory_id) == 0
