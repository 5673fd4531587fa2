"""The published results of the poster's protocol at full size: they are whole, and the protocol's."""

from lthray.analysis import load
from lthray.spec.sweepfile import load as load_sweep
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from tests.helpers import ROOT

FOLDER = ROOT / "analysis" / "poster" / "fashion-fgsm"


def test_ten_trajectories_are_complete_under_the_ids_of_their_fields():
    _, trajectories = load_sweep(FOLDER / "sweep.yaml")
    done = Store(FOLDER).done(trajectories)
    complete = [spec for spec in trajectories if done[spec.trajectory_id] == 21]
    assert (len(trajectories), len(complete), sum(done.values())) == (15, 10, 210)
    assert [(spec.seed, spec.strategy) for spec in complete] == [
        *((seed, strategy) for seed in (0, 1, 2) for strategy in ("reset", "random", "continued")),
        (3, "reset"),
    ]


def test_they_follow_the_protocol_and_share_their_dense_network():
    rounds = load(FOLDER).rounds
    left = TrajectorySpec().weights_left()
    for number, rows in rounds.groupby("round"):
        assert set(rows["weights_remaining_count"]) == {sum(left[number].values())}
    assert set(rounds["round_iterations"]) == {50_000}
    dense = rounds[rounds["round"] == 0].groupby("seed")
    for column in ("early_stopping_iteration", "final_none_accuracy_test", "final_fgsm_accuracy_test"):
        assert (dense[column].nunique() == 1).all()
