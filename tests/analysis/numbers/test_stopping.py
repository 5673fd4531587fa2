import pandas as pd

from lthray.analysis.numbers.stopping import at_cap
from tests.analysis import synthetic


def test_the_last_evaluation_is_the_cap():
    rounds = synthetic.trajectory(rounds=3, iterations=50_000, eval_every=500, stop=[0, 49_500, 49_501, 50_000])
    assert at_cap(rounds).tolist() == [False, False, True, True]


def test_the_iterations_of_a_round_are_its_own():
    rounds = synthetic.trajectory(rounds=1, iterations=50_000, eval_every=500, stop=[10_000, 10_000])
    assert at_cap(rounds.assign(round_iterations=[50_000, 10_000])).tolist() == [False, True]


def test_nothing_is_said_without_the_clock():
    rounds = synthetic.trajectory(rounds=0, stop=50_000).drop(columns="eval_every")
    assert at_cap(rounds).tolist() == [False]
    assert isinstance(at_cap(rounds), pd.Series)
