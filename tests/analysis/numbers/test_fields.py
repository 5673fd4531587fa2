import pandas as pd
import pytest

from lthray.analysis import load, panels, summarise, varied
from lthray.analysis.numbers.fields import show
from tests.analysis import synthetic


def rounds(*trajectories):
    return pd.concat(trajectories, ignore_index=True)


def test_a_field_that_varies_under_one_attack_only_is_kept_apart_too():
    frame = rounds(
        synthetic.trajectory(train_attack="fgsm"), synthetic.trajectory(train_attack="pgd", adversarial_weight=1.0)
    )
    assert varied(frame) == ["adversarial_weight"]


def test_what_the_protocol_or_the_data_set_determines_is_not_named():
    frame = rounds(
        *synthetic.grid(dataset=["digits-8x8", "mnist"], seed=[0, 1]),
        *synthetic.grid(dataset=["digits-8x8", "mnist"], seed=[0, 1], **synthetic.RELEASED_CODE),
    )
    assert varied(frame) == ["protocol"]
    assert [panel.title for panel in panels(summarise(frame))] == [
        "digits-8x8 · protocol paper",
        "digits-8x8 · protocol released-code",
        "mnist · protocol paper",
        "mnist · protocol released-code",
    ]


def test_a_field_that_the_protocol_leaves_open_is_named():
    frame = rounds(
        synthetic.trajectory(),
        synthetic.trajectory(**synthetic.RELEASED_CODE),
        synthetic.trajectory(**synthetic.RELEASED_CODE | {"rewind_to": "init"}),
    )
    assert varied(frame) == ["protocol", "rewind_to"]


def test_an_unknown_field_keeps_groups_apart_and_an_unknown_measurement_does_not():
    first, second = synthetic.trajectory(seed=0), synthetic.trajectory(seed=1)
    first["optimizer"], second["optimizer"] = "adam", "sgd"
    frame = rounds(first, second)
    frame["gradient_norm"] = range(len(frame))
    assert varied(frame) == ["optimizer"]
    assert set(summarise(frame)["early_stopping_iteration_n"]) == {1}


def test_files_say_what_a_new_column_is(tmp_path):
    """A constant of each trajectory that differs from seed to seed: a machine's name is no setting, an optimizer is."""
    frames = [synthetic.trajectory(seed=seed).assign(host=f"node-{seed}", optimizer="adam") for seed in (0, 1)]
    frames += [synthetic.trajectory(seed=2, epsilon=0.1).assign(host="node-2", optimizer="sgd")]
    roles = {"host": "bookkeeping", "optimizer": "field"}
    rounds = load(synthetic.write(tmp_path / "new", frames, roles=roles)).rounds
    assert varied(rounds) == ["epsilon", "optimizer"]
    assert set(summarise(rounds)["early_stopping_iteration_n"]) == {1, 2}
    for kept in (
        rounds[rounds["seed"] < 9].sort_values("seed"),
        rounds.assign(mine=1.0).reset_index(drop=True),
        pd.concat([rounds, rounds]),
    ):
        assert varied(kept) == ["epsilon", "optimizer"]
    # beside a folder of lthray 0.1, which says nothing of its columns
    old = synthetic.write(tmp_path / "old", synthetic.grid(seed=[0, 1]))
    for folders in ((old, tmp_path / "new"), (tmp_path / "new", old)):
        assert load(*folders).rounds.attrs["roles"]["host"] == "bookkeeping"
        assert "host" not in varied(load(*folders).rounds)
    # without roles a constant of unknown name counts as a field, which keeps groups apart rather than mixes them
    assert "host" in varied(load(synthetic.write(tmp_path / "silent", frames)).rounds)


def test_a_role_goes_before_what_a_name_suggests(tmp_path):
    frames = [synthetic.trajectory(seed=0).assign(final_layer=name) for name in ("linear", "cosine")]
    frames[1]["trajectory_id"] += "b"
    rounds = load(synthetic.write(tmp_path, frames, roles={"final_layer": "field"})).rounds
    assert varied(rounds) == ["final_layer"]


def test_where_and_how_it_ran_does_not_keep_seeds_apart():
    second = synthetic.trajectory(seed=1).assign(device="cuda", torch_version="2.12.0", stack=9)
    frame = rounds(synthetic.trajectory(seed=0), second)
    assert varied(frame) == []
    assert set(summarise(frame)["early_stopping_iteration_n"]) == {2}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (0.30000000000000004, "0.3"),
        (7, "7"),
        ("init", "init"),
    ],
)
def test_values_are_shown_as_in_the_sweep_file(value, text):
    assert show(value) == text


def test_retraining_as_the_first_round_is_no_setting_of_its_own_but_otherwise_it_is(tmp_path):
    same = [synthetic.trajectory(train_attack=attack, iterations=n) for attack in ("fgsm", "pgd") for n in (500, 1000)]
    assert varied(load(synthetic.write(tmp_path / "same", same)).rounds) == ["iterations"]
    brief = [
        synthetic.trajectory(train_attack="pgd", retrain__train_attack=attack, retrain__iterations=n)
        for attack in ("none", "pgd") for n in (0, 50_000)
    ]  # fmt: skip
    for one in brief:  # as a results folder has it: what the round itself trained
        one.loc[one["round"] > 0, "iterations"] = one["retrain.iterations"]
    found = load(synthetic.write(tmp_path / "brief", brief)).rounds
    assert varied(found) == ["retrain.iterations", "retrain.train_attack"]
    assert set(found["iterations"]) == {50_000}
    short = found[found["retrain.iterations"] == 0]
    assert (short["round_iterations"] == 50_000 * (short["round"] == 0)).all()


def test_sources_of_a_transfer_are_strategies_of_their_own(tmp_path):
    """Masks of two sources beside one reset: in one figure, each with its seeds."""
    own = synthetic.grid(seed=[0, 1], train_attack="pgd")
    for attack in ("fgsm", "pgd"):
        for seed in (0, 1):
            setting = f"strategy=reset; train_attack={attack}"
            source = {"transfer__source": f"{attack}{seed}", "transfer__setting": setting}
            own.append(synthetic.trajectory(strategy="transfer", train_attack="pgd", seed=seed, **source))
    rounds = load(synthetic.write(tmp_path, own)).rounds
    assert set(rounds["strategy"]) == {"reset", "transfer (fgsm)", "transfer (pgd)"}
    assert varied(rounds) == []
    summary = summarise(rounds)
    assert set(summary["early_stopping_iteration_n"]) == {2}
    assert len(list(panels(summary))) == 1
    # frames that do not come from load keep them apart too
    raw = pd.concat(own, ignore_index=True)
    assert varied(raw) == ["transfer.setting"]
    assert set(summarise(raw)["early_stopping_iteration_n"]) == {2}
    alone = load(synthetic.write(tmp_path / "one", own[:4])).rounds
    assert set(alone["strategy"]) == {"reset", "transfer"}
    assert varied(alone) == []


def test_what_the_end_attacks_are_keeps_no_groups_apart(tmp_path):
    """Nor does a folder whose older rounds lack the column, or were measured under others."""
    auto = "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)"
    first = synthetic.trajectory(seed=0).assign(end_attacks=auto, end_images=2_000)
    second = synthetic.trajectory(seed=1).assign(end_attacks="", end_images=500)
    second.loc[second["round"] > 0, "end_attacks"] = "pgd"
    frames = [first, second, synthetic.trajectory(seed=2)]
    loaded = load(synthetic.write(tmp_path / "mixed", frames)).rounds
    assert loaded["end_attacks"].nunique() == 3
    assert varied(loaded) == varied(rounds(*frames)) == []
    assert set(summarise(loaded)["early_stopping_iteration_n"]) == {3}
