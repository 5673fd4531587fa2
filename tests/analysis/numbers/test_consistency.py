import pandas as pd
import pytest

from lthray.analysis.numbers.consistency import differing_starts, mixed_provenance
from tests.analysis import synthetic

LATER = {
    "rewind_to": "end-of-round-0", "prune__scope": "global", "retrain__iterations": 100,
    "retrain__train_attack": "pgd", "eval_attacks": "fgsm,pgd", "rounds": 5,
}  # fmt: skip


def of_strategies(**changes):
    """Round 0 and 1 of three strategies of a seed, whose round 0 is the same."""
    names = ("reset", "random", "continued")
    return [synthetic.trajectory(strategy=name, train_attack="fgsm", rounds=1, **changes) for name in names]


def test_strategies_share_their_dense_round():
    assert differing_starts(pd.concat(of_strategies())) == []


def test_a_dense_round_that_differs_is_named_with_what_differs():
    reset, random, continued = of_strategies()
    random.loc[0, "early_stopping_iteration"] += 500
    random.loc[0, "final_fgsm_accuracy_test"] += 0.0001
    random.loc[1, "final_none_accuracy_test"] += 0.1
    (difference,) = differing_starts(pd.concat([random, continued, reset], ignore_index=True))
    assert difference.row["strategy"] == "random"
    assert difference.reference["strategy"] == "reset"
    assert difference.columns == ("early_stopping_iteration", "final_fgsm_accuracy_test")


def test_what_was_measured_by_one_alone_is_no_difference():
    reset, random, _ = of_strategies()
    reset["final_pgd_accuracy_test"] = 0.4
    assert differing_starts(pd.concat([reset, random])) == []


@pytest.mark.parametrize("field", LATER)
def test_a_field_of_later_rounds_leaves_round_0_alone(field):
    value = {field: LATER[field]}
    changed = synthetic.trajectory(strategy="random", train_attack="fgsm", natural=0.7, **({"rounds": 1} | value))
    (difference,) = differing_starts(pd.concat([*of_strategies(), changed]))
    assert difference.row["trajectory_id"] == changed["trajectory_id"].iloc[0]


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"learning_rate": 0.1}, {"epsilon": 0.1}, {"transfer__setting": "train_attack=pgd"}]
)
def test_another_start_is_not_compared(change):
    changed = synthetic.trajectory(strategy="random", train_attack="fgsm", rounds=1, natural=0.7, **change)
    assert differing_starts(pd.concat([*of_strategies(), changed])) == []


def test_folders_are_not_compared():
    frames = [frame.assign(folder=name) for frame, name in zip(of_strategies()[:2], "ab", strict=True)]
    frames[1]["early_stopping_iteration"] += 500
    assert differing_starts(pd.concat(frames)) == []


def test_devices_and_versions_that_are_mixed_within_a_comparison():
    reset, random, _ = of_strategies()
    random.loc[1, "device"] = "NVIDIA A100"
    other = synthetic.trajectory(train_attack="pgd", rounds=1).assign(torch_version="2.9.0")
    mixed = mixed_provenance(pd.concat([reset, random, other]))
    assert mixed[["train_attack", "column", "value", "rounds"]].to_numpy().tolist() == [
        ["fgsm", "device", "NVIDIA A100", 1],
        ["fgsm", "device", "cpu", 3],
    ]


def test_without_bookkeeping_nothing_is_mixed():
    bare = pd.concat(of_strategies()).drop(columns=["device", "lthray_version", "torch_version", "python_version"])
    assert mixed_provenance(bare).empty
