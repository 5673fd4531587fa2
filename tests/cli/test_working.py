"""The live line of commands that take long, on a terminal and without one."""

import shutil
import subprocess
import sys

import pytest

from tests.analysis import synthetic
from tests.helpers import GOLDEN, Terminal, environment, lthray

STEPS = {
    "report": ["reading results", "reading learning curves", "testing claims", "drawing figures", "comparing masks"],
    "compact": ["comparing columns", "merging tables", "packing tickets"],
}


@pytest.fixture
def folders(tmp_path):
    synthetic.write(tmp_path / "report", synthetic.grid(seed=[0, 1], rounds=1))
    shutil.copytree(GOLDEN / "source", tmp_path / "compact")
    return tmp_path


@pytest.mark.parametrize("name", STEPS)
def test_a_terminal_sees_each_step_and_in_the_end_none(name, folders):
    terminal = Terminal(name, folders / name)
    text = terminal.read_to_end()
    assert terminal.process.wait(60) == 0, text
    places = [text.index(step) for step in STEPS[name]]
    assert places == sorted(places)
    shown = text[text.rindex("\x1b[2K") :]
    assert not any(step in shown for step in STEPS[name])
    if name == "compact":
        assert "4/4" in text


@pytest.mark.parametrize("name", STEPS)
def test_a_log_sees_the_outcome_alone(name, folders):
    process = lthray(name, folders / name)
    assert (process.returncode, process.stderr) == (0, "")
    assert not any(step in process.stdout for step in STEPS[name])


@pytest.mark.parametrize("is_terminal", [True, False])
def test_downloads_have_a_bar_on_a_terminal_alone(is_terminal):
    """Torchvision shows downloads by tqdm."""
    code = (
        f"import sys; sys.stderr.isatty = lambda: {is_terminal}\n"
        "from lthray.driver.datasets.known import hide_bars_from_logs; hide_bars_from_logs()\n"
        "from tqdm import tqdm; list(tqdm(range(3)))"
    )
    clean = {name: value for name, value in environment().items() if name != "TQDM_DISABLE"}  # another test may set it
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean, check=True)
    assert ("3/3" in process.stderr) == is_terminal
    assert process.stdout == ""
