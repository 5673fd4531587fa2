"""Stacks, and shares of a cluster."""

import pytest

from lthray.driver.events import Note
from lthray.driver.planning import Share, fit_to_cluster, plan
from lthray.errors import InputError
from lthray.spec.sections import ResourcesSpec

CPU2 = Share(1, 0, 2)


def seeds(make, n, **fields):
    return [make(seed=seed, strategy=s, **fields) for s in ("reset", "random", "continued") for seed in range(n)]


def nothing_done(specs):
    return {spec.trajectory_id: 0 for spec in specs}


def test_a_stack_holds_only_trajectories_that_can_share_one(make):
    specs = [*seeds(make, 2), *seeds(make, 2, train_attack="fgsm")]
    stacks = plan(specs, nothing_done(specs), CPU2, 100, 1000)
    assert [len(stack) for stack in stacks] == [6, 6]
    assert [spec for stack in stacks for spec in stack] == specs


def test_the_first_of_those_with_the_same_round_0_come_before_the_others(make):
    specs = [
        make(train_attack=attack, strategy=strategy, seed=seed)
        for attack in ("fgsm", "pgd")
        for strategy in ("reset", "random", "continued")
        for seed in (0, 1)
    ]
    stacks = plan(specs, nothing_done(specs), CPU2, 1, 1000)
    order = [(spec.strategy, spec.train_attack, spec.seed) for (spec,) in stacks]
    assert order == [
        (strategy, attack, seed)
        for strategy in ("reset", "random", "continued")
        for attack in ("fgsm", "pgd")
        for seed in (0, 1)
    ]
    begun = nothing_done(specs) | {spec.trajectory_id: 1 for spec in specs[:2]}
    order = [(spec.strategy, spec.train_attack) for (spec,) in plan(specs, begun, CPU2, 1, 1000)]
    assert order[:6] == [*[("reset", "fgsm")] * 2, *[("random", "fgsm")] * 2, *[("reset", "pgd")] * 2]


def test_those_that_go_on_in_different_rounds_are_apart(make):
    specs = seeds(make, 1)
    done = nothing_done(specs) | {specs[0].trajectory_id: 1}
    assert [len(stack) for stack in plan(specs, done, CPU2, 3, 1000)] == [1, 2]


def test_a_stack_that_was_asked_for_is_the_largest_and_the_parts_are_even(make):
    specs = seeds(make, 3)
    assert [len(stack) for stack in plan(specs, nothing_done(specs), CPU2, 4, 1000)] == [3, 3, 3]
    assert [len(stack) for stack in plan(specs, nothing_done(specs), CPU2, 1, 1000)] == [1] * 9


def test_auto_keeps_every_slot_busy(make):
    specs = seeds(make, 3)
    assert sorted(len(stack) for stack in plan(specs, nothing_done(specs), CPU2, "auto", 1000)) == [4, 5]
    assert len(plan(specs, nothing_done(specs), Share(1, 0, 64), "auto", 1000)) == 9
    assert len(plan(specs[:1], nothing_done(specs), CPU2, "auto", 1000)) == 1
    many = seeds(make, 5)
    assert [len(stack) for stack in plan(many, nothing_done(many), Share(1, 1, 1), "auto", 1000)] == [15]


def fit(nodes, **resources):
    notes = []
    share = fit_to_cluster(ResourcesSpec(**resources), nodes, notes.append)
    return share, [note.text for note in notes if isinstance(note, Note)]


def test_without_a_gpu_in_reach_trials_run_on_cpu_and_one_line_says_so():
    share, notes = fit([{"CPU": 2.0}], cpus=1, gpus=0.25)
    assert share == Share(1, 0, 2)
    assert notes == ["no GPU in reach of Ray: trials run on CPU"]


def test_a_fraction_packs_a_gpu():
    share, notes = fit([{"CPU": 16.0, "GPU": 1.0}, {"CPU": 8.0, "GPU": 2.0}, {"CPU": 4.0}], cpus=1, gpus=0.25)
    assert share == Share(1, 0.25, 12)
    assert notes == []


@pytest.mark.parametrize(
    ("nodes", "asked", "share", "note"),
    [
        ([{"CPU": 2.0}], {"cpus": 8, "gpus": 0}, Share(2, 0, 1), "no node has 8 CPUs: trials take 2"),
        ([{"CPU": 2.0, "GPU": 1.0}], {"cpus": 1, "gpus": 4}, Share(1, 1, 1), "no node has 4 GPUs: trials take 1"),
        (
            [{"CPU": 2.0, "GPU": 1.0}, {"CPU": 64.0}],
            {"cpus": 8, "gpus": 0.5},
            Share(2, 0.5, 1),
            "no node has 8 CPUs beside its GPU: trials take 2",
        ),
    ],
)
def test_a_trial_never_asks_for_what_no_node_has(nodes, asked, share, note):
    found, notes = fit(nodes, **asked)
    assert found == share
    assert notes == [note]


def test_a_cluster_whose_workers_have_not_joined_is_said_to_be_one():
    with pytest.raises(InputError, match="wait until its workers have joined"):
        fit([{"memory": 1.0}], cpus=1, gpus=0.25)
