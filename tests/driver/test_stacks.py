"""Stacks that wait, as Tune gets them."""

from lthray.driver.events import Planned, TrialBegan
from lthray.driver.planning import Share, count_slots, plan
from lthray.driver.progress import SweepProgress
from lthray.driver.stacks import planned_trials


class Cluster:
    """A cluster of so many slots, and the events of a sweep on it."""

    def __init__(self, slots):
        self.count, self.events = slots, []

    def __call__(self):
        return self.count

    def trials(self, specs):
        """What Tune runs, and its searcher."""

        def plan_for(waiting, slots):
            none_done = dict.fromkeys([spec.trajectory_id for spec in specs], 0)
            return plan(waiting, none_done, Share(1, 0, slots), "auto", fits=9)

        tuning, stacks = planned_trials(specs, plan_for, self, None, self.events.append)
        return tuning, tuning.options["search_alg"], stacks


def seeds(make, number):
    return [make(seed=seed) for seed in range(number)]


def test_each_trajectory_is_in_one_trial_and_no_more_begin_than_fit(make):
    specs, cluster = seeds(make, 20), Cluster(2)
    tuning, searcher, stacks = cluster.trials(specs)
    assert sorted(map(len, stacks.values())) == [5, 5, 5, 5]
    configs = [searcher.suggest("a"), searcher.suggest("b")]
    assert searcher.suggest("c") is None
    searcher.on_trial_complete("a")
    configs += [searcher.suggest("c")]
    assert searcher.suggest("d") is None
    searcher.on_trial_complete("b", error=True)
    configs += [searcher.suggest("d")]
    searcher.on_trial_complete("c")
    assert searcher.suggest("e") == "FINISHED"
    assert [config["trial"] for config in configs] == ["1", "2", "3", "4"]
    assert [tuning.stack_of(config) for config in configs] == list(stacks.values())
    assert [spec for config in configs for spec in tuning.stack_of(config)] == specs
    assert not cluster.events


def test_nodes_that_join_have_the_waiting_stacks_split(make):
    specs, cluster = seeds(make, 20), Cluster(2)
    tuning, searcher, stacks = cluster.trials(specs)
    sweep = SweepProgress(Planned(20, 0, stacks, 60, 2400))
    begun = [searcher.suggest("a"), searcher.suggest("b")]
    cluster.count = 12
    begun += [searcher.suggest(str(number)) for number in range(10)]
    (event,) = cluster.events
    assert (event.waiting, event.slots) == (10, 12), "a trajectory for each of the ten slots that are free"
    assert [len(tuning.stack_of(config)) for config in begun] == [5, 5, *[1] * 10]
    assert [spec for config in begun for spec in tuning.stack_of(config)] == specs
    assert len({config["trial"] for config in begun}) == 12
    sweep.take(event)
    for config in begun:
        sweep.take(TrialBegan(config["trial"], tuning.stack_of(config)))
    assert sweep.plan.trials == event.trials
    assert len(sweep.plan.trials) == 12


def test_more_slots_that_no_stack_would_use_and_lost_ones_change_no_stack(make):
    specs, cluster = seeds(make, 4), Cluster(4)
    _, searcher, stacks = cluster.trials(specs)
    assert len(stacks) == 4
    searcher.suggest("a")
    cluster.count = 8
    searcher.suggest("b")
    cluster.count = 1
    assert searcher.suggest("c") is None
    assert not cluster.events


def test_slots_are_those_of_a_trial_s_share():
    nodes = [{"CPU": 4.0, "GPU": 1.0}, {"CPU": 8.0}, {"memory": 1e9}]
    assert count_slots(Share(2, 0, 1), nodes) == 6
    assert count_slots(Share(1, 0.25, 1), nodes) == 4
    assert count_slots(Share(16, 0, 1), nodes) == 1, "Ray waits for a node on which it fits"
