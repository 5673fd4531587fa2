"""`lthray status --watch`, on a terminal and without one."""

import signal
import subprocess
from contextlib import contextmanager

import pytest

from lthray.driver import lock
from lthray.engine.results import Failure
from lthray.engine.trajectory import run
from lthray.spec.sweepfile import load
from lthray.store.folder import Store
from tests.helpers import TINY, Terminal, command, environment, failed, lthray

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
UP = "\x1b[1A\x1b[2K"
"""What a terminal takes to hide its cursor, to show it, and to erase the line above."""


@pytest.fixture
def folder(sweep_file, tmp_path, digits):
    """Three trajectories of one round: one is complete, one failed, one is untouched."""
    path = sweep_file(trajectory=TINY["trajectory"] | {"rounds": 0}, grid={"seed": [0, 1, 2]})
    sweep, (whole, broken, _) = load(path)
    store = Store(tmp_path / "results")
    store.create(sweep.resolved())
    store.write_round(next(run([whole], digits))[0])
    store.write_failure(Failure(broken, 0, "the loss stopped being finite"))
    return store


@contextmanager
def sweeping(store):
    """Holds the folder's lock, as a sweep does."""
    snapshot = {"work": None, "trials": {"ended": 1, "of": 3}, "seconds_left": None, "running": []}
    with lock.hold(store.folder, lambda: snapshot, lambda: None, print):
        yield


def test_on_a_terminal_it_is_drawn_again_in_place_until_the_sweep_ends(folder):
    with sweeping(folder):
        terminal = Terminal("status", "--watch", "--every", "0.2", folder.folder)
        terminal.read_until("1 of 3 trials ended", times=3)
    text = terminal.read_to_end()
    assert terminal.process.wait(30) == 130, "one is untouched"
    assert all(UP in between for between in text.split("1 of 3 trials ended")[1:3]), "it was not drawn in place"
    assert text.count(HIDE) == text.count(SHOW) == 1
    assert "no sweep is running here" in text[text.index(SHOW) :]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_stops_watching_has_the_cursor_back(number, status, folder):
    with sweeping(folder):
        terminal = Terminal("status", "--watch", "--every", "0.2", folder.folder)
        terminal.read_until("1 of 3 trials ended")
        terminal.process.send_signal(number)
        text = terminal.read_to_end()
    assert terminal.process.wait(30) == status
    assert text.rindex(SHOW) > text.rindex(HIDE)
    assert "Traceback" not in text


def test_without_a_terminal_there_is_a_line_whenever_it_has_changed(folder, digits):
    _, trajectories = load(folder.folder / "sweep.yaml")
    with sweeping(folder):
        process = subprocess.Popen(
            command("status", "--watch", "--every", "0.1", folder.folder),
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        first = process.stdout.readline()
        folder.write_round(next(run([trajectories[2]], digits))[0])
        second = process.stdout.readline()
    rest, _ = process.communicate(timeout=60)
    assert first == "1 of 3 trajectories complete, 1 failed; 1 of 3 rounds done; 1 of 3 trials ended\n"
    assert second == "2 of 3 trajectories complete, 1 failed; 2 of 3 rounds done; 1 of 3 trials ended\n"
    assert rest.splitlines()[0] == "2 of 3 trajectories complete, 1 failed; 2 of 3 rounds done"
    assert "the loss stopped being finite" in rest
    assert "\x1b" not in rest
    assert process.returncode == 1


def test_json_is_no_watching(folder):
    failed(lthray("status", "--watch", "--json", folder.folder), "--watch", "--json")
