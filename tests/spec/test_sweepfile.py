"""The sweep file: grid, `--set`, what is written back, and a clear line for every mistake."""

from pathlib import Path

import pytest
import yaml

from lthray.errors import InputError
from lthray.spec.sweepfile import load, parse
from tests.helpers import ROOT, TINY


def trajectories(*sets, **sections):
    tree = {name: value for name, value in (TINY | sections).items() if value is not None}
    return parse(tree, sets).trajectories()


def test_the_grid_is_a_cross_product_the_last_key_fastest():
    found = [(one.strategy, one.seed) for one in trajectories()]
    assert found == [(s, seed) for s in ("reset", "random", "continued") for seed in (0, 1)]
    assert {one.dataset for one in trajectories()} == {"digits-8x8"}


def test_without_a_grid_there_is_one_trajectory():
    assert [one.seed for one in trajectories(grid=None)] == [0]


def test_nested_fields_are_reached_with_dots_in_every_section():
    found = trajectories(
        trajectory={"prune.rates.output": 0.3, "pgd": {"steps": 4}}, grid={"pgd.step_size": [0.1, 0.2]}
    )
    assert [(one.prune.rates.output, one.pgd.steps, one.pgd.step_size) for one in found] == [
        (0.3, 4, 0.1),
        (0.3, 4, 0.2),
    ]


def test_the_grid_may_vary_the_protocol_and_each_cell_takes_its_preset():
    paper, released = trajectories(grid={"protocol": ["paper", "released-code"]})
    assert (paper.rewind_to, released.rewind_to) == ("init", "end-of-round-0")
    assert paper.iterations == released.iterations == 30


def test_set_changes_fields_grid_resources_and_names():
    sweep = parse(TINY, ["iterations=1e1", "grid.seed=[4]", "resources.cpus=2", "name=other", "pgd.steps=3"][1:])
    assert (sweep.name, sweep.resources.cpus, sweep.grid["seed"], sweep.trajectory["pgd.steps"]) == ("other", 2, [4], 3)
    assert parse(TINY, ["resources={cpus: 3}"]).resources.cpus == 3
    assert [one.learning_rate for one in trajectories("learning_rate=1e-3", grid=None)] == [0.001]


def test_set_takes_a_field_out_of_the_grid():
    found = trajectories("seed=7")
    assert [(one.strategy, one.seed) for one in found] == [("reset", 7), ("random", 7), ("continued", 7)]
    assert [one.protocol for one in trajectories("protocol=paper", grid={"protocol": ["released-code"]})] == ["paper"]


def test_a_grid_that_set_empties_is_left_out_and_what_is_written_can_be_read_again(tmp_path):
    sweep = parse(TINY, ["strategy=reset", "seed=0"])
    assert "grid" not in yaml.safe_load(sweep.resolved())
    (tmp_path / "sweep.yaml").write_text(sweep.resolved())
    again, (spec,) = load(tmp_path / "sweep.yaml")
    assert [spec] == sweep.trajectories()
    assert again.grid == {}
    assert [one.seed for one in parse(TINY, ["strategy=reset", "seed=0", "grid.seed=[4, 5]"]).trajectories()] == [4, 5]


def test_set_leaves_the_tree_it_is_given_as_it_is():
    tree = yaml.safe_load(yaml.safe_dump(TINY))
    parse(tree, ["seed=1", "pgd={steps: 3}", "resources.cpus=2"])
    assert tree == TINY


def test_set_of_a_group_fixes_its_fields_and_leaves_those_it_does_not_name():
    sweep = parse(TINY | {"grid": {"pgd": {"steps": [3, 4]}, "seed": [0]}}, ["pgd={steps: 5}", "resources={stack: 2}"])
    assert (sweep.grid, sweep.trajectory["pgd.steps"]) == ({"seed": [0]}, 5)
    assert (sweep.resources.stack, sweep.resources.gpus) == (2, 0)


def test_widths_are_varied_set_searched_and_written_back():
    sweep = parse(TINY | {"trajectory": {"model": "mlp"}, "grid": {"widths": [[300, 100], [50], [9, 8, 7]]}})
    found = sweep.trajectories()
    assert [(one.model, one.widths) for one in found] == [
        ("lenet-300-100", (300, 100)), ("mlp", (50,)), ("mlp", (9, 8, 7)),
    ]  # fmt: skip
    again = parse(yaml.safe_load(sweep.resolved())).trajectories()
    assert [one.trajectory_id for one in again] == [one.trajectory_id for one in found]
    assert [one.widths for one in trajectories("model=mlp", "widths=[50]", grid=None)] == [(50,)]
    space = {"widths": {"choice": [[50], [30, 20]]}}
    searched = {"space": space, "samples": 2, "metric": "early_stopping_fgsm_accuracy_test"}
    drawn = trajectories(trajectory=TINY["trajectory"] | {"model": "mlp"}, grid={"seed": [0]}, search=searched)
    assert {one.widths for one in drawn} == {(50,), (30, 20)}


@pytest.mark.parametrize("name", [path.name for path in (ROOT / "sweeps").glob("*.yaml")])
def test_the_sweeps_that_come_along_are_valid_and_what_is_written_back_is_the_same_sweep(name):
    sweep, found = load(ROOT / "sweeps" / name)
    again = parse(yaml.safe_load(sweep.resolved()))
    assert [one.trajectory_id for one in again.trajectories()] == [one.trajectory_id for one in found]
    assert sweep.resources == again.resources


def test_every_default_is_written_out():
    tree = yaml.safe_load(parse(TINY).resolved())
    assert tree["trajectory"]["learning_rate"] == 0.0012
    assert tree["trajectory"]["prune"] == {
        "except": [],
        "only": [],
        "criterion": "magnitude",
        "learned": {"iterations": 100, "learning_rate": 0.1},
        "structure": {"kind": "none", "n": 2, "m": 4},
        "scope": "layerwise",
        "schedule": "iterative",
        "rates": {"hidden_1": 0.2, "hidden_2": 0.2, "output": 0.1, "deeper": 0.2, "convolution": 0.1},
        "rate": 0.2,
        "cutoff": "exclusive",
    }
    assert tree["resources"] == {"cpus": 1.0, "gpus": 0.0, "stack": "auto", "retries": 3, "checkpoint_minutes": 5.0}


def test_what_is_written_back_leaves_presets_their_fields_where_the_grid_varies_the_protocol():
    sweep = parse(TINY | {"grid": {"protocol": ["paper", "released-code"]}})
    text = sweep.resolved()
    assert "# rewind_to is the preset's: init (paper), end-of-round-0 (released-code)" in text
    again = parse(yaml.safe_load(text)).trajectories()
    assert [one.trajectory_id for one in again] == [one.trajectory_id for one in sweep.trajectories()]


def test_the_paper_is_90_trajectories():
    sweep, found = load(ROOT / "sweeps" / "paper.yaml")
    assert len(found) == sweep.size() == 90
    assert {one.rounds for one in found} == {20}


MISTAKES = {
    "an unknown key with the nearest known one": ({"trajectori": {}}, [], ["trajectori", "did you mean trajectory?"]),
    "an unknown key with nothing near": ({"zzzz": 1}, [], ["zzzz", "known are name, protocol"]),
    "a field at the top": ({"iterations": 3}, [], ["iterations", "trajectory.iterations"]),
    "an unknown field": (
        {"trajectory": {"learning_rat": 1}},
        [],
        ["trajectory.learning_rat", "did you mean learning_rate?"],
    ),
    "an unknown field in the grid": ({"grid": {"sed": [1]}}, [], ["grid.sed", "did you mean seed?"]),
    "an unknown nested field": (
        {"trajectory": {"pgd": {"step": 1}}},
        [],
        ["trajectory.pgd.step", "did you mean pgd.steps?"],
    ),
    "a bare nested field": ({"trajectory": {"step_size": 1}}, [], ["did you mean pgd.step_size?"]),
    "an unknown resource": ({"resources": {"cpu": 1}}, [], ["resources.cpu", "did you mean resources.cpus?"]),
    "a group as a field": ({"trajectory": {"pgd": 3}}, [], ["trajectory.pgd", "group of pgd.steps"]),
    "a wrong type": ({"trajectory": {"rounds": "many"}}, [], ["trajectory.rounds", "'many'", "integer"]),
    "text for a number": ({"trajectory": {"epsilon": "0.3"}}, [], ["trajectory.epsilon", "'0.3'", "number"]),
    "epsilon -1": ({"trajectory": {"epsilon": -1}}, [], ["trajectory.epsilon", "-1", "greater than or equal to 0"]),
    "rounds -3": ({"trajectory": {"rounds": -3}}, [], ["trajectory.rounds", "-3", "greater than or equal to 0"]),
    "rate 1.5": (
        {"trajectory": {"prune.rates.output": 1.5}},
        [],
        ["trajectory.prune.rates.output", "1.5", "less than 1"],
    ),
    "an impossible value in the grid": (
        {"grid": {"epsilon": [0.1, 7]}},
        [],
        ["grid.epsilon", "7", "less than or equal to 1"],
    ),
    "an unknown data set": (
        {"trajectory": {"dataset": "cifar"}},
        [],
        ["trajectory.dataset", "'cifar'", "digits-8x8"],
    ),
    "an unknown protocol": ({"protocol": "poster"}, [], ["protocol", "'poster'", "'released-code'"]),
    "an unknown protocol in the grid": (
        {"grid": {"protocol": ["poster"]}},
        [],
        ["grid.protocol", "'poster'", "released-code"],
    ),
    "the protocol in the trajectory": (
        {"trajectory": {"protocol": "paper"}},
        [],
        ["trajectory.protocol", "top of the file"],
    ),
    "an empty grid": ({"grid": {}}, [], ["grid", "is empty"]),
    "a grid key without values": ({"grid": {"seed": []}}, [], ["grid.seed", "is empty"]),
    "a grid that is no mapping": ({"grid": [1]}, [], ["grid", "a list", "mapping"]),
    "a grid value that is no list": ({"grid": {"seed": 3}}, [], ["grid.seed", "3", "list"]),
    "the same trajectory twice": ({"grid": {"seed": [0, 1, 0]}}, [], ["{seed: 0}", "the same trajectory"]),
    "the same trajectory with more rounds": ({"grid": {"rounds": [2, 3]}}, [], ["the same trajectory"]),
    "too large a grid": ({"grid": {"seed": list(range(1001)), "rounds": list(range(1000))}}, [], ["1,001,000"]),
    "a name that leaves the folder": ({"name": "../evil"}, [], ["name", "'../evil'"]),
    "no name": ({"name": None}, [], ["name", "is missing"]),
    "a share of weights that is none": ({"verdicts": {"at": 1.0}}, [], ["verdicts.at", "1.0", "less than 1"]),
    "no weights at all": ({"verdicts": {"at": 0}}, [], ["verdicts.at", "0", "greater than 0"]),
    "a margin in points": ({}, ["verdicts.margin=1"], ["--set verdicts.margin=1", "less than 1"]),
    "an unknown verdict": ({"verdicts": {"margn": 0.1}}, [], ["verdicts.margn", "did you mean verdicts.margin?"]),
    "an unknown end attack": (
        {"trajectory": {"end_attacks": ["cw"]}},
        [],
        ["trajectory.end_attacks", "cw is no attack"],
    ),
    "eval attacks at other times": ({"grid": {"eval_attacks_at": ["every", "ends"]}}, [], ["the same trajectory"]),
    "eval attacks at an unknown time": (
        {"trajectory": {"eval_attacks_at": "never"}},
        [],
        ["trajectory.eval_attacks_at", "'every' or 'ends'"],
    ),
    "end attacks that differ in nothing else": ({"grid": {"end_attacks": ["auto", []]}}, [], ["the same trajectory"]),
    "end images searched": (
        {"search": {"space": {"end_images": {"choice": [1, 2]}}, "samples": 1, "metric": "train_seconds"}},
        [],
        ["search.space.end_images", "changes no network"],
    ),
    "a stack that is neither": ({"resources": {"stack": "big"}}, [], ["resources.stack", "'big'", "'auto'", "integer"]),
    "no CPUs": ({"resources": {"cpus": 0}}, [], ["resources.cpus", "greater than 0"]),
    "--set without a value": ({}, ["rounds"], ["--set rounds", "key=value"]),
    "--set of an unknown key": ({}, ["round=3"], ["--set round=3", "did you mean rounds?"]),
    "--set of an impossible value": ({}, ["epsilon=-1"], ["--set epsilon=-1: trajectory.epsilon", "-1"]),
    "--set of an unknown key in a section": (
        {},
        ["seed=3", "resources.cpu=1"],
        ["--set resources.cpu=1: resources.cpu", "did you mean resources.cpus?"],
    ),
    "--set inside what is no mapping": ({}, ["name.x=1"], ["--set name.x=1: name: found 'tiny'", "mapping"]),
    "several mistakes": ({"sed": 1, "resources": {"cpus": 0}}, [], ["resources.cpus", "(and 1 more)"]),
    "fields that do not go together, in a group": (
        {"trajectory": {"pgd": {"restarts": 2, "random_start": False}}},
        [],
        ["pgd.restarts: without random_start"],
    ),
    "--set of broken YAML": ({}, ["seed=[1"], ["--set seed", "not valid YAML"]),
    "--set of a section": ({}, ["resources=3"], ["resources", "mapping"]),
    "--set of an empty grid": ({}, ["grid={}"], ["grid", "is empty"]),
    "too many rounds for the last layer": (
        {},
        ["rounds=200", "prune.cutoff=inclusive"],
        ["rounds: 200", "hidden_1", "round 37"],
    ),
    "widths of another network": ({}, ["widths=[50]"], ["widths", "[50]", "lenet-300-100 has [300, 100]", "mlp"]),
    "an mlp without widths": ({}, ["model=mlp"], ["widths", "model mlp takes a list of 1 to 32", "[300, 100]"]),
    "widths in the grid that are no lists": (
        {"trajectory": {"model": "mlp"}, "grid": {"widths": [300, 100]}},
        [],
        ["grid.widths", "found 300", "list"],
    ),
    "an unknown model": ({"trajectory": {"model": "resnet"}}, [], ["trajectory.model", "'resnet'", "lenet-5"]),
    "one network by two names": (
        {"trajectory": {"widths": [300, 100]}, "grid": {"model": ["mlp", "lenet-300-100"]}},
        [],
        ["the same trajectory"],
    ),
    "digits with another validation": ({}, ["validation_size=7"], ["validation_size", "fixed validation split of 360"]),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_gets_one_clear_line(what, tmp_path: Path):
    sections, sets, parts = MISTAKES[what]
    tree = {name: value for name, value in (TINY | sections).items() if value is not None}
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(InputError) as caught:
        load(path, sets)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    for part in parts:
        assert part in line


def test_files_that_are_no_sweep_files(tmp_path: Path):
    for content, part in [
        (b"a: [", "not valid YAML"),
        (b"- 1", "a list, but a sweep file is a mapping"),
        (b"", "nothing, but a sweep file is a mapping"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"name: x\nname: y", "line 2"),
        (b"a: &x [1]\nb: *x", "aliases"),
        (b"name: !!python/object/apply:os.system [ls]", "not valid YAML"),
        (b"{1: 2}", "key 1 is not text"),
        (b"[" * 5_000, "not valid YAML"),
    ]:
        path = tmp_path / "no.yaml"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"no\.yaml") as caught:
            load(path)
        assert part in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(InputError, match="can't be read"):
        load(tmp_path)


def test_eval_attacks_take_settings_as_a_list_and_as_a_mapping(sweep_file, tmp_path):
    """In a file, in its grid, with `--set`, and read again from what a sweep writes."""

    def mapping() -> dict[str, object]:
        return {"pgd": {"steps": 40, "step_size": 0.01}}

    named = "pgd(steps=40;step_size=0.01)"
    for given, found in ((mapping(), (named,)), (["fgsm", mapping()], ("fgsm", named))):
        path = sweep_file(trajectory={"dataset": "digits-8x8", "eval_attacks": given}, grid={"seed": [0]})
        sweep, (spec,) = load(path)
        assert tuple(map(str, spec.eval_attacks)) == found
        (tmp_path / "again.yaml").write_text(sweep.resolved())
        assert load(tmp_path / "again.yaml")[1] == [spec]
    path = sweep_file(
        trajectory={"dataset": "digits-8x8"}, grid={"eval_attacks": ["auto", mapping(), ["pgd", mapping()]]}
    )
    assert [tuple(map(str, spec.eval_attacks)) for spec in load(path)[1]] == [("fgsm", "pgd"), (named,), ("pgd", named)]
    (spec,) = load(sweep_file(grid={"seed": [0]}), ["eval_attacks={pgd: {steps: 40}}", "train_attack=none"])[1]
    assert tuple(map(str, spec.eval_attacks)) == ("pgd(steps=40)",)
    with pytest.raises(InputError, match=r"tiny\.yaml: trajectory\.eval_attacks: found .* pgd has no setting stepz"):
        load(sweep_file(trajectory={"eval_attacks": {"pgd": {"stepz": 1}}}))


def test_verdicts_are_declared_stored_and_no_part_of_any_id(tmp_path):
    plain, declared = parse(TINY), parse(TINY | {"verdicts": {"at": 0.2, "margin": 0.02}})
    assert yaml.safe_load(plain.resolved())["verdicts"] == {"at": None, "margin": 0.01}
    assert yaml.safe_load(declared.resolved())["verdicts"] == {"at": 0.2, "margin": 0.02}
    assert yaml.safe_load(parse(TINY, ["verdicts.at=0.2"]).resolved())["verdicts"] == {"at": 0.2, "margin": 0.01}
    assert declared.trajectories() == plain.trajectories()
    (tmp_path / "again.yaml").write_text(declared.resolved())
    assert load(tmp_path / "again.yaml")[0].verdicts == declared.verdicts
