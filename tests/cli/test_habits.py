"""Arguments as people write them who come from Hydra, Ray and Optuna."""

import pytest

from tests.helpers import failed, lthray


@pytest.mark.parametrize("command", ["sweep", "submit"])
@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["seed=1"], "seed=1: write --set seed=1"),
        (["--set", "rounds=1", "seed=0,1"], "seed=0,1: write --set seed=0,1"),
        (["--dry-run", "seed=[0, 1]"], "seed=[0, 1]: write --set 'seed=[0, 1]'"),
        (
            ["+epsilon=8/255"],
            "+epsilon=8/255: write --set epsilon=8/255, which adds a key that the sweep file lacks too",
        ),
        (["++pgd.steps=3"], "++pgd.steps=3: write --set pgd.steps=3, which adds a key that the sweep file lacks too"),
        (["~seed"], "~seed: no key is removed here: delete it from the sweep file, or set it with --set seed=VALUE"),
        (["-m", "seed=0,1"], "-m: there is no such option, because every sweep takes several values: --set seed=0,1,2"),
        (["--multirun"], "--multirun: there is no such option, because every sweep takes several values"),
    ],
)
def test_overrides_of_hydra_get_a_line_that_says_how_they_are_written_here(command, arguments, line, sweep_file):
    failed(lthray(command, sweep_file(), *arguments), line)


def test_values_of_options_and_wrong_arguments_are_no_overrides(sweep_file, tmp_path):
    path = sweep_file()
    assert lthray("sweep", path, "--out", "a=b", "--set", "seed=1", "--dry-run", cwd=tmp_path).returncode == 0
    assert lthray("sweep", path, "--out=-m", "--dry-run", cwd=tmp_path).returncode == 0
    for wrong, part in ((["more"], "unexpected extra argument"), (["--frobnicate"], "No such option")):
        process = lthray("sweep", path, *wrong)
        assert process.returncode == 2
        assert part in process.stderr


def test_several_values_are_the_grid_and_the_first_line_says_so(sweep_file, tmp_path):
    process = lthray(
        *(
            "sweep",
            sweep_file(),
            "--set",
            "seed=0,1,2",
            "--set",
            "strategy=[reset]",
            "--set",
            "epsilon=8/255",
            "--dry-run",
        ),
        cwd=tmp_path,
    )
    assert process.returncode == 0, process.stderr
    first, second, header, *rows = process.stdout.splitlines()
    assert first == "--set seed=0,1,2 is taken as --set 'grid.seed=[0, 1, 2]'"
    assert second == "--set strategy=[reset] is taken as --set 'grid.strategy=[reset]'"
    assert header.split() == ["trajectory", "strategy", "seed", "rounds", "done"]
    assert [row.split()[1:3] for row in rows[:3]] == [["reset", "0"], ["reset", "1"], ["reset", "2"]]


def test_without_such_values_nothing_is_said(sweep_file, tmp_path):
    process = lthray("sweep", sweep_file(), "--set", "seed=1", "--set", "grid.epsilon=[0.1]", "--dry-run", cwd=tmp_path)
    assert "is taken as" not in process.stdout


def test_names_of_other_tools_get_the_field(sweep_file):
    for name, field in (("lr", "learning_rate"), ("epochs", "iterations"), ("num_samples", "search.samples")):
        failed(lthray("sweep", sweep_file(), "--set", f"{name}=1"), f"--set {name}=1: {name}: unknown key", field)
    failed(lthray("sweep", sweep_file(), "--set", "frobnicate=1"), "others: lthray explain lists them all")
