"""The child that talks to Ray: what it sends, how it is interrupted, and what follows its death. None needs Ray."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import psutil
import pytest

from lthray.driver import child
from lthray.driver.child import drive
from lthray.errors import InputError, RunError, UnreachableError
from tests.driver.attempts import describe, die, fail, lose
from tests.helpers import ROOT, environment


def test_a_child_that_dies_is_started_again_and_its_events_arrive(tmp_path):
    said = []
    assert drive(partial(die, tmp_path, 2), lambda: len(list(tmp_path.iterdir())), said.append) == 2
    texts = [event.text for event in said]
    assert texts[0::2] == ["attempt 0", "attempt 1", "attempt 2"]
    assert all("starting again with what is missing" in text for text in texts[1::2])


def test_children_that_finish_nothing_are_not_started_for_ever(tmp_path):
    with pytest.raises(RunError, match="Ray died 4 times in a row"):
        drive(partial(die, tmp_path, 99), lambda: 0, lambda event: None)
    assert len(list(tmp_path.iterdir())) == child.RESTARTS + 1


def test_errors_are_those_of_the_child():
    with pytest.raises(InputError, match=r"^no such folder$"):
        drive(partial(fail, InputError("no such folder")), int, lambda event: None)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: by what"):
        drive(partial(fail, ZeroDivisionError("by what")), int, lambda event: None)


def test_a_lost_cluster_is_waited_for_but_one_that_never_answered_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "RETRY_SECONDS", 0.1)
    said = []
    assert drive(partial(lose, tmp_path), int, said.append) == "done"
    assert [event.text for event in said][1] == (
        "no cluster; waiting until this machine is a node of the cluster again"
    )
    with pytest.raises(UnreachableError):
        drive(partial(fail, UnreachableError("no cluster")), int, said.append)


PARENT = """
import sys
from functools import partial
from pathlib import Path
from lthray.driver.child import drive
from tests.driver.attempts import wait
try:
    drive(partial(wait, Path(sys.argv[1])), int, print)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_child_ends_with_its_parent(number, tmp_path):
    file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", PARENT, file], cwd=ROOT, env=environment()) as parent:
        while not (file.exists() and file.read_text()):
            assert parent.poll() is None
            time.sleep(0.05)
        child = psutil.Process(int(file.read_text()))
        parent.send_signal(number)
        assert parent.wait(60) == (-number if number == signal.SIGKILL else 130)
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()


def test_the_child_is_a_script_with_the_path_and_the_arguments_of_its_parent(monkeypatch):
    """Ray puts the folder of a driver's script on its workers' path."""
    monkeypatch.setattr(sys, "argv", ["/mine/script.py", "--option"])
    monkeypatch.setattr(sys, "path", [*sys.path, "/mine"])
    arguments, path, file = drive(describe, int, lambda event: None)
    assert arguments == ["/mine/script.py", "--option"]
    assert path == sys.path
    assert Path(file).name == "child_main.py"
