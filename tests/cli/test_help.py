"""Every help text reaches the user as its source has it: rich takes `[reset,random]` for markup and swallows it."""

import re

import pytest
import typer.rich_utils
from typer.main import get_command
from typer.testing import CliRunner

from lthray.cli.main import app

COMMANDS = get_command(app).commands


def words(text: str) -> str:
    """A text without the frames, styles and line breaks that it is laid out with."""
    return "".join(re.sub(r"[│╭╮╰╯─]", " ", text.replace("\\[", "[")).split())


@pytest.fixture
def printed(monkeypatch):
    monkeypatch.setattr(typer.rich_utils, "MAX_WIDTH", 1000)

    def run(*command):
        result = CliRunner().invoke(app, [*command, "--help"])
        assert result.exit_code == 0
        return words(result.stdout)

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_and_argument_is_explained_in_full(name, printed):
    text, command = printed(name), COMMANDS[name]
    assert words(command.help) in text
    for parameter in command.params:
        assert words(parameter.help) in text, parameter.name
        if isinstance(getattr(parameter, "show_default", None), str):
            assert words(f"[default: ({parameter.show_default})]") in text


def test_examples_in_brackets_are_printed(printed):
    assert "strategy=[reset,random]" in printed("evaluate")
    assert "grid.seed=[0,1]" in printed("sweep")
    assert "grid.seed=[0,1]" in printed("submit")


def test_every_command_has_its_line(printed):
    text = printed()
    for command in COMMANDS.values():
        assert words(command.help.partition("\n")[0]) in text
