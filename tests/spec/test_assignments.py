"""`--set` as people who come from Hydra, Ray and Optuna write it."""

import pytest

from lthray.errors import InputError
from lthray.spec.assignments import describe_sets, read_set, read_where
from lthray.spec.sweepfile import load, parse
from tests.helpers import TINY


@pytest.mark.parametrize(
    ("written", "key", "value"),
    [
        ("seed=[0,1,2]", "grid.seed", [0, 1, 2]),
        ("seed=0,1,2", "grid.seed", [0, 1, 2]),
        ("seed=0, 1, 2", "grid.seed", [0, 1, 2]),
        ("trajectory.seed=0,1", "grid.seed", [0, 1]),
        ("grid.seed=0,1,2", "grid.seed", [0, 1, 2]),
        ("strategy=reset,random", "grid.strategy", ["reset", "random"]),
        ("strategy=rules.py:mine,reset", "grid.strategy", ["rules.py:mine", "reset"]),
        ("epsilon=4/255,8/255", "grid.epsilon", ["4/255", "8/255"]),
        ("learning_rate=1e-3,1e-4", "grid.learning_rate", [1e-3, 1e-4]),
        ("pgd.random_start=true,false", "grid.pgd.random_start", [True, False]),
        ("protocol=paper,released-code", "grid.protocol", ["paper", "released-code"]),
        ("widths=300,100", "trajectory.widths", [300, 100]),
        ("eval_attacks=fgsm,pgd", "trajectory.eval_attacks", ["fgsm", "pgd"]),
        ("schedule.milestones=1/2,3/4", "trajectory.schedule.milestones", ["1/2", "3/4"]),
        ("prune.except=output,conv*", "trajectory.prune.except", ["output", "conv*"]),
    ],
)
def test_several_values_vary_a_field_that_takes_one_and_are_the_value_of_one_that_takes_a_list(written, key, value):
    found = read_set(written)
    assert (found.key, found.value) == (key, value)
    (line,) = describe_sets([written])
    assert line.startswith(f"--set {written} is taken as --set '{key.removeprefix('trajectory.')}=[")
    plain = line.partition("'")[2].removesuffix("'")
    assert (read_set(plain).key, read_set(plain).value, describe_sets([plain])) == (key, value, [])


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("seed=3", 3), ("strategy=reset", "reset"), ("dataset='a,b.npz'", "a,b.npz"), ("widths=[300, 100]", [300, 100]),
        ("grid.seed=[0,1]", [0, 1]), ("model_args.sizes=[1,2]", [1, 2]), ("model_args.name=a,b", "a,b"),
        ("eval_attacks=[fgsm, {pgd: {steps: 40}}]", ["fgsm", {"pgd": {"steps": 40}}]), ("pgd={steps: 3}", {"steps": 3}),
        ("prune.only=[]", []), ("seed=range(0,5)", "range(0,5)"), ("seed=1,", "1,"), ("resources.stack=2", 2),
    ],
)  # fmt: skip
def test_other_values_stay_as_they_are(written, value):
    assert read_set(written).value == value
    assert describe_sets([written]) == []


def test_what_is_varied_is_what_the_grid_says():
    for one, plain in (("seed=3,4", "grid.seed=[3,4]"), ("epsilon=4/255,8/255", "grid.epsilon=[4/255, 8/255]")):
        specs, same = (parse(TINY, [text]).trajectories() for text in (one, plain))
        assert [spec.trajectory_id for spec in specs] == [spec.trajectory_id for spec in same]
    assert len({spec.seed for spec in parse(TINY, ["seed=5,6,7"]).trajectories()}) == 3
    assert len({spec.protocol for spec in parse(TINY, ["protocol=paper,released-code"]).trajectories()}) == 2


def test_a_field_that_is_varied_by_set_is_no_longer_searched():
    search = {"space": {"epsilon": {"uniform": [0.1, 0.2]}, "learning_rate": {"choice": [1e-3, 1e-4]}}, "samples": 2}
    tree = TINY | {"search": search | {"metric": "final_fgsm_accuracy_test"}}
    sweep = parse(tree, ["epsilon=0.1,0.2"])
    assert sweep.grid["epsilon"] == [0.1, 0.2]
    assert [*sweep.search.space] == ["learning_rate"]


@pytest.mark.parametrize(
    ("written", "parts"),
    [
        ("iterations=50,000", ["write iterations=50000 for the number", "grid.iterations=[50, 0] for several values"]),
        ("lr=0.1", ["--set lr=0.1: lr: unknown key; did you mean learning_rate?"]),
        ("optimizer.lr=0.1", ["did you mean learning_rate?"]),
        ("num_cpus=2", ["did you mean resources.cpus?"]),
        ("num_samples=9", ["did you mean search.samples?"]),
        ("frobnicate=1", ["known are protocol, dataset", "others: lthray explain lists them all"]),
    ],
)
def test_what_can_not_be_meant_gets_a_line(written, parts):
    with pytest.raises(InputError) as caught:
        parse(TINY, [written])
    for part in parts:
        assert part in str(caught.value)
    assert str(caught.value).startswith(f"--set {written}: ")


@pytest.mark.parametrize(
    ("field", "value", "plain"),
    [
        ("seed", [0, 1, 2], "{seed: [0, 1, 2]}"),
        ("strategy", ["reset", "random"], "{strategy: [reset, random]}"),
        ("pgd", {"steps": [7, 20]}, "{pgd.steps: [7, 20]}"),
        ("widths", [[300, 100], [50]], "{widths: [[300, 100], [50]]}"),
        ("eval_attacks", [["fgsm"], ["pgd"]], "{eval_attacks: [[fgsm], [pgd]]}"),
    ],
)
def test_a_file_with_several_values_in_trajectory_is_told_where_they_belong(field, value, plain, sweep_file):
    path = sweep_file(trajectory={field: value}, grid={"rounds": [1]})
    with pytest.raises(InputError, match=r"tiny\.yaml: trajectory\.") as caught:
        load(path)
    line = str(caught.value)
    assert "it takes a single value here; to vary it, write grid: " + plain in line
    assert f"--set 'grid.{plain[1:-1].replace(': ', '=', 1)}'" in line


def test_widths_in_set_are_told_how_to_be_varied():
    with pytest.raises(InputError, match=r"--set 'grid\.widths=\[\[300, 100\], \[50\]\]'"):
        parse(TINY, ["model=mlp", "widths=[[300, 100], [50]]"])


@pytest.mark.parametrize(
    ("written", "field", "values"),
    [
        ("seed=0,1", "seed", [0, 1]), ("seed=[0, 1]", "seed", [0, 1]), ("epsilon=8/255", "epsilon", [8 / 255]),
        ("iterations=1e4", "iterations", [10_000]), ("strategy=reset,random", "strategy", ["reset", "random"]),
        ("eval_attacks=fgsm,pgd", "eval_attacks", ["fgsm,pgd"]),
    ],
)  # fmt: skip
def test_where_reads_values_as_set_does(written, field, values):
    """Tables have lists as text, so that a list of attacks is one value."""
    assert read_where(written) == (field, values)


def test_where_suggests_fields():
    with pytest.raises(InputError, match=r"^--where lr=1: unknown field lr; did you mean learning_rate\?$"):
        read_where("lr=1")
