from lthray.analysis import load
from lthray.analysis.page import overview
from tests.analysis import synthetic


def test_states_of_trajectories(tmp_path):
    folder = synthetic.write(
        tmp_path,
        [
            synthetic.trajectory(train_attack="fgsm", seed=0),
            synthetic.trajectory(train_attack="fgsm", seed=1, upto=0),
            synthetic.trajectory(train_attack="fgsm", seed=2, upto=1),
        ],
    )
    synthetic.write_failure(folder, "boom", 2, train_attack="fgsm", seed=2)
    synthetic.write_failure(folder, "at once", None, train_attack="fgsm", seed=3)
    synthetic.write_failure(folder, "long since mended", 1, train_attack="fgsm", seed=0)
    table = overview.list_trajectories(load(folder))
    assert table.set_index("seed")["state"].to_dict() == {0: "complete", 1: "partial", 2: "failed", 3: "failed"}


def test_values_in_a_row_are_a_range():
    rounds = synthetic.trajectory(rounds=3)
    assert overview.list_values(rounds, "round") == "0 to 3"
    assert overview.list_values(rounds[rounds["round"] != 1], "round") == "0, 2, 3"
    assert overview.list_values(rounds, "no_such_column") == ""
