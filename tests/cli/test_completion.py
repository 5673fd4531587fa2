"""Completion, asked for as shells do: by variables of the environment, without a shell."""

import subprocess
import sys

import pytest

from lthray.cli.completion import join_words
from lthray.spec.field_names import FIELDS
from lthray.spec.reference import describe_fields
from lthray.spec.shipped import shipped_files
from tests.helpers import ROOT, environment

RUN = "from lthray.cli.main import main; main()"


def bash(*words: str, cwd=ROOT) -> list[str]:
    """What bash is offered for the last of the words."""
    variables = {"COMP_WORDS": "\n".join(words), "COMP_CWORD": str(len(words) - 1), "_LTHRAY_COMPLETE": "complete_bash"}
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = ['lthray']; {RUN}"],
        cwd=cwd, env=environment(**variables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert process.stderr == ""
    return process.stdout.split()


def zsh(line: str) -> str:
    variables = {"_TYPER_COMPLETE_ARGS": line, "_LTHRAY_COMPLETE": "complete_zsh"}
    process = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv = ['lthray']; {RUN}"],
        cwd=ROOT, env=environment(**variables), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return process.stdout


def test_keys_of_set():
    keys = {f"{field.name}=" for field in describe_fields()}
    assert set(bash("lthray", "sweep", "x.yaml", "--set", "")) == keys
    assert bash("lthray", "submit", "x.yaml", "--set", "objective.")[1] == "objective.beta="
    assert set(bash("lthray", "sweep", "x.yaml", "--set", "grid.")) == {f"grid.{name}=" for name in FIELDS}


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["strategy", "=", "re"], ["reset"]),
        (["train_attack", "="], ["none", "fgsm", "pgd"]),
        (["dataset", "=", "m"], ["mnist"]),
        (["grid.norm", "=", "[linf,"], ["[linf,linf", "[linf,l2"]),
        (["strategy", "=", "reset,ran"], ["reset,random"]),
        (["drop_last", "="], ["true", "false"]),
        (["resources.stack", "="], ["auto", "15"]),
        (["learning_rat"], ["learning_rate=", "learning_rate=0.00012", "learning_rate=0.0012"]),
        (["retrain.iterations", "=", "a"], ["auto"]),
        (["frobnicate", "="], []),
    ],
)
def test_values_of_set_as_bash_wants_them(words, offers):
    """It splits at `=`, and replaces what is behind it."""
    assert bash("lthray", "sweep", "x.yaml", "--set", *words) == offers


def test_whole_words_and_meanings_as_zsh_wants_them():
    assert '"strategy=random"' in zsh("lthray sweep x.yaml --set strategy=ra")
    said = zsh("lthray sweep x.yaml --set batch")
    assert '"batch_size=' in said
    assert '"pgd.steps=":"Gradient steps of an attack."' in zsh("lthray sweep x.yaml --set pgd.")


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["explain", "prune.rates"], ["prune.rates", "prune.rates.hidden_1", "prune.rates.output"]),
        (["explain", "resources.s"], ["resources.stack"]),
        (["protocol", "rel"], ["released-code"]),
        (["protocol", "paper", ""], ["paper", "released-code"]),
        (["report", "results", "--by", "row", "=", "pgd.s"], ["pgd.steps", "pgd.step_size"]),
        (["report", "results", "--by", "strat"], ["strategy"]),
        (["evaluate", "results", "--where", "strategy", "=", "con"], ["continued"]),
        (["evaluate", "results", "--attack", ""], ["fgsm", "pgd", "autoattack"]),
        (["evaluate", "results", "--set", "pgd.res"], ["pgd.restarts=", "pgd.restarts=1", "pgd.restarts=5"]),
    ],
)
def test_names_elsewhere(words, offers):
    found = bash("lthray", *words)
    assert set(offers) <= set(found)
    assert all(offer.startswith(words[-1]) or words[-1] == "" for offer in found)


def test_sweep_files_and_the_folders_on_the_way(tmp_path):
    (tmp_path / "sweeps").mkdir()
    for name in ("sweeps/own.yaml", "sweeps/notes.txt", "mine.yaml"):
        (tmp_path / name).write_text("")
    assert bash("lthray", "sweep", "", cwd=tmp_path) == ["mine.yaml", "sweeps/", *shipped_files()]
    assert bash("lthray", "sweep", "ablations/we", cwd=tmp_path) == ["ablations/weight-decay"]
    assert bash("lthray", "submit", "sweeps/", cwd=tmp_path) == ["sweeps/own.yaml"]
    assert bash("lthray", "sweep", "nowhere/", cwd=tmp_path) == []


@pytest.mark.parametrize(
    ("words", "current", "joined"),
    [
        (["a", "b=", "c"], 2, (["a", "b=", "c"], 2, "")),
        (["a", "--set", "b", "=", "c", "d"], 4, (["a", "--set", "b=c", "d"], 2, "b=")),
        (["a", "--set", "b", "="], 3, (["a", "--set", "b="], 2, "b=")),
        (["a", "--set", "b", "=", "c", "--set", "e"], 6, (["a", "--set", "b=c", "--set", "e"], 4, "")),
        (["a", "--set", "b", "=", "c", ""], 5, (["a", "--set", "b=c", ""], 3, "")),
        (["a", "b"], 2, (["a", "b"], 2, "")),
    ],
)
def test_words_that_bash_split_are_joined(words, current, joined):
    assert join_words(words, current) == joined


@pytest.mark.parametrize("module", ["torch", "ray", "pandas", "matplotlib", "scipy"])
def test_completion_does_not_wait_for_what_it_does_not_need(module):
    code = (
        "import atexit, sys; sys.argv = ['lthray'];"
        f" atexit.register(lambda: print({module!r} in sys.modules, file=sys.stderr)); {RUN}"
    )
    words = {
        "COMP_WORDS": "lthray\nsweep\nx\n--set\nstrategy\n=",
        "COMP_CWORD": "5",
        "_LTHRAY_COMPLETE": "complete_bash",
    }
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment(**words), capture_output=True, text=True, check=True
    )
    assert process.stdout.split()[0] == "reset"
    assert process.stderr == "False\n"
