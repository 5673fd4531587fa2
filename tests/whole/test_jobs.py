"""A sweep as a Ray job: what is refused before it is sent, what travels, and real jobs on a real head."""

import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pandas as pd
import psutil
import pytest
from typer.testing import CliRunner

from lthray.cli.main import app
from lthray.driver import submit as jobs
from lthray.errors import InputError
from lthray.spec.own import OwnFacts
from tests.helpers import ROOT, TINY, Head, command, environment, failed, free_port, lthray, tables

LONG = {"trajectory": TINY["trajectory"] | {"rounds": 20, "iterations": 200, "eval_every": 100}, "grid": {"seed": [0]}}


def without(package: str, folder: Path) -> str:
    """A PYTHONPATH under which a package can't be imported."""
    (folder / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    return os.pathsep.join([str(folder), str(ROOT)])


@contextmanager
def answering(status: int) -> Iterator[tuple[str, list[str]]]:
    """A web server that is no Ray, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_mistakes_are_said_before_anything_is_sent(sweep_file, tmp_path):
    path = sweep_file()
    with answering(200) as (url, asked):
        failed(lthray("submit", tmp_path / "none.yaml", "--address", url), "none.yaml: no such file")
        failed(lthray("submit", path, "--address", url, "--set", "epsilon=-1"), "tiny.yaml", "trajectory.epsilon")
        failed(lthray("submit", path, "--address", url, "--out", "results/x"), "--out results/x", "an absolute path")
        failed(lthray("submit", path, "--address", url, "--data-dir", "data"), "--data-dir data", "an absolute path")
        failed(lthray("submit", path, "--address", url, "--data-dir", "s3://b/d"), "--data-dir s3://b/d")
        failed(lthray("submit", path, "--address", url, "--env", "A B=1"), "--env A B=1", "NAME=VALUE")
        failed(lthray("submit", path, "--address", url, "--env", "NOT_SET_HERE"), "--env NOT_SET_HERE: is not set here")
        assert asked == []


def test_addresses_where_no_ray_answers(sweep_file):
    path = sweep_file()
    for address in ("auto", "127.0.0.1:8265", "ray://127.0.0.1:10001", "http://"):
        failed(lthray("submit", path, "--address", address), f"--address {address}: ", "http://HEAD:8265")
    nobody = f"http://127.0.0.1:{free_port()}"
    failed(lthray("submit", path, "--address", nobody), f"--address {nobody}: no Ray cluster", "Connection refused")
    for status in (200, 404, 500):
        with answering(status) as (url, asked):
            failed(lthray("submit", path, "--address", url), f"--address {url}: no Ray cluster can be reached: ")
            assert asked


def test_the_address_asked_for_is_taken_whatever_the_environment_says(sweep_file):
    with answering(404) as (elsewhere, asked):
        nobody = f"http://127.0.0.1:{free_port()}"
        failed(
            lthray(
                "submit", sweep_file(), "--address", nobody, RAY_ADDRESS=elsewhere, RAY_API_SERVER_ADDRESS=elsewhere
            ),
            nobody,
        )
        with answering(404) as (url, asked_there):
            lthray("submit", sweep_file(), "--address", url, RAY_ADDRESS=elsewhere, RAY_API_SERVER_ADDRESS=elsewhere)
            assert asked_there
        assert asked == []


def test_without_the_job_client_of_ray(sweep_file, tmp_path):
    process = lthray("submit", sweep_file(), "--address", "http://127.0.0.1:1", PYTHONPATH=without("aiohttp", tmp_path))
    failed(process, "pip install 'ray[default]")


@pytest.mark.parametrize("package", ["typer", "pydantic", "torch"])
def test_where_nobody_installed_what_lthray_needs_a_line_says_so(package, sweep_file, tmp_path):
    process = lthray("sweep", sweep_file(), "--out", tmp_path / "r", PYTHONPATH=without(package, tmp_path))
    failed(process, f"{sys.executable} has no package {package}", "lthray submit --install")


def test_the_command_reaches_the_shell_of_the_cluster_word_for_word():
    def words(line: str) -> list[str]:
        shell = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {line}"],
            capture_output=True,
            text=True,
            env={"HOME": "/home/ray"},
            check=True,
        )  # fmt: skip
        return shell.stdout.splitlines()

    start = ["python", "-m", "lthray", "sweep", "sweep.yaml", "--address", "auto", "--out"]
    assert words(jobs.build_command("~/results/tiny", None, [])) == [*start, "/home/ray/results/tiny"]
    assert words(jobs.build_command("s3://b/a;b", "~/my data", ["grid.seed=[0, 1]", "name=$(id)'"])) == [
        *(*start, "s3://b/a;b", "--data-dir", "/home/ray/my data"),
        *("--set", "grid.seed=[0, 1]", "--set", "name=$(id)'"),
    ]
    assert words(jobs.build_command("/r", None, ["name=x"], ["--force"])) == [
        *start,
        "/r",
        "--set",
        "name=x",
        "--force",
    ]
    for out in ("~other/x", "results", "./x", "~", "", "C:x"):
        with pytest.raises(InputError, match="--out"):
            jobs.build_command(out, None, [])


def test_variables_of_the_job(monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    given = jobs.read_variables(["AWS_REGION", "EMPTY=", "EQUALS=a=b"])
    assert given == jobs.read_variables([]) | {"AWS_REGION": "eu-west-1", "EMPTY": "", "EQUALS": "a=b"}
    assert given["PYTHONUNBUFFERED"] == "1"


def test_requirements_are_those_of_lthray_without_ray_itself(monkeypatch):
    found = jobs.list_requirements("/shared/x")
    assert any(one.startswith("torch>=") for one in found)
    assert any(one.startswith("fsspec") for one in found), "Ray Tune needs it, and a node may have only Ray"
    for one in found:
        assert not re.match(r"(ray|lthray|pytest|ruff|aiohttp)\b", one), one
        assert ";" not in one
    declared = {"lthray": ["ray[tune]>=2.50", "numpy>=2", 's3fs>=1; extra == "s3"', 'ruff; extra == "dev"']}
    declared["ray"] = ["click>=7", 'fsspec; extra == "tune"', 'aiohttp; extra == "default"']
    monkeypatch.setattr(metadata, "requires", declared.__getitem__)
    assert jobs.list_requirements("/shared/x") == ["fsspec", "numpy>=2"]
    assert jobs.list_requirements("s3://bucket/x") == ["fsspec", "numpy>=2", "s3fs>=1"]


def test_what_travels_is_enough_to_run_and_has_no_leftovers(sweep_file, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    jobs.pack(sweep_file(), folder, OwnFacts())
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {
        *(".py", ".typed", ".yaml", ".css", ".js", ".j2")
    }
    code = "import lthray.cli.main; print(lthray.__file__)"
    elsewhere = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=elsewhere, capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == [str(folder / "lthray" / "__init__.py")]
    process = subprocess.run(
        command("sweep", "sweep.yaml", "--dry-run"),
        cwd=folder,
        env=elsewhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "6 trajectories" in process.stdout


def test_what_is_asked_of_ray(sweep_file):
    """A stand-in for Ray's client keeps what it is given, and looks into the folder while it is there."""
    asked = []

    class Client:
        def submit_job(self, entrypoint: str, runtime_env: dict) -> str:
            folder = Path(runtime_env.pop("working_dir"))
            asked.append((entrypoint, runtime_env, {path.name for path in folder.iterdir()}))
            return "raysubmit_x"

    line, env = jobs.build_command("/r", None, []), jobs.read_variables(["A=1"])
    assert jobs.submit(Client(), sweep_file(), line, env, [], OwnFacts()).id == "raysubmit_x"
    assert asked.pop() == (line, {"env_vars": env}, {"lthray", "sweep.yaml"})
    jobs.submit(Client(), sweep_file(), line, env, ["torch>=2"], OwnFacts())
    _, runtime_env, _ = asked.pop()
    assert runtime_env["pip"] == ["torch>=2"]
    assert runtime_env["config"]["setup_timeout_seconds"] > 600, "Ray's default is short for PyTorch"


@pytest.mark.parametrize("flags", [[], ["--force"], ["--accept-changed-code", "--force"]])
def test_the_options_of_a_sweep_travel_with_it(flags, sweep_file, monkeypatch):
    entrypoints = []

    class Client:
        def submit_job(self, entrypoint: str, runtime_env: dict) -> str:
            entrypoints.append(entrypoint)
            return "raysubmit_x"

    monkeypatch.setattr(jobs, "connect", lambda address: Client())
    arguments = ["submit", str(sweep_file()), "--address", "http://h:8265", "--out", "/r", "--no-follow"]
    outcome = CliRunner().invoke(app, [*arguments, *flags], catch_exceptions=False)
    assert outcome.exit_code == 0, outcome.output
    (entrypoint,) = entrypoints
    assert entrypoint.split()[entrypoint.split().index("/r") + 1 :] == flags


def submit(
    head: Head, *arguments: object, cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return lthray("submit", *arguments, "--address", head.url, cwd=cwd, **head.environment, **variables)


def follow(head: Head, *arguments: object, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("submit", *arguments, "--address", head.url),
        text=True, env=environment(**head.environment), start_new_session=True, **options,
    )  # fmt: skip


def job_id(text: str) -> str:
    return re.search(r"\bjob (raysubmit_\w+)", text)[1]


@pytest.mark.slow
def test_a_submitted_sweep_runs_this_code_and_has_the_results_of_a_local_one(head, sweep_file, tmp_path):
    source, out = tmp_path / "source", tmp_path / "o u t"
    for package in ("lthray",):
        shutil.copytree(ROOT / package, source / package)
    init = source / "lthray" / "__init__.py"
    init.write_text(re.sub(r'__version__ = ".*"', '__version__ = "0.0.0+travelled"', init.read_text()))
    settings = ("--set", "rounds=1", "--set", "grid.seed=[0, 1]")
    process = submit(head, sweep_file(), "--out", out, *settings, cwd=source, PYTHONPATH=str(source))
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stderr == ""
    assert head.job(job_id(process.stdout))["status"] == "SUCCEEDED"
    assert process.stdout.count("round 1 of 1") == 2
    assert f"6 of 6 trajectories complete in {out}" in process.stdout
    assert lthray("sweep", sweep_file(), "--out", tmp_path / "alone", *settings).returncode == 0
    for found, expected in zip(tables(out), tables(tmp_path / "alone"), strict=True):
        if "lthray_version" in found:
            assert set(found.pop("lthray_version")) == {"0.0.0+travelled"}
            expected = expected.drop(columns="lthray_version")
        pd.testing.assert_frame_equal(found, expected)


@pytest.mark.slow
def test_the_exit_status_is_that_of_the_sweep(head, sweep_file, tmp_path):
    path = sweep_file(trajectory=TINY["trajectory"] | {"rounds": 0}, grid={"learning_rate": [0.001, 1e30]})
    process = submit(head, path, "--out", tmp_path / "r")
    assert process.returncode == 1, process.stdout + process.stderr
    assert "the loss stopped being finite" in process.stdout
    assert head.job(job_id(process.stdout))["driver_exit_code"] == 1
    nothing = tmp_path / "nothing"
    process = submit(
        *(head, path, "--out", tmp_path / "x", "--data-dir", nothing, "--set", "dataset=mnist"),
        *("--env", "http_proxy=http://127.0.0.1:9", "--env", "https_proxy=http://127.0.0.1:9"),
    )
    assert process.returncode == 2, process.stdout + process.stderr
    assert "lthray: mnist: can't be downloaded" in process.stdout
    assert str(nothing) in process.stdout


@pytest.mark.slow
def test_ctrl_c_without_a_terminal_leaves_the_job_running(head, sweep_file, tmp_path):
    path, said = sweep_file(**LONG), ""
    with follow(
        *(head, path, "--out", tmp_path / "r", "--set", "rounds=60"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        for line in process.stdout:
            said += line
            if "round 1 of 60" in line:
                break
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, said + err
    assert err == "lthray: the job goes on; how to follow and stop it stands above\n"
    id_ = job_id(said)
    assert f"ray job stop --address {head.url} {id_}" in said
    assert head.job(id_)["status"] == "RUNNING"
    assert head.ends(id_) == "SUCCEEDED"
    assert len(tables(tmp_path / "r")[0]) == 61


class Terminal:
    """A process on a terminal of its own, and what it wrote there."""

    def __init__(self, head: Head, *arguments: object) -> None:
        self.master, slave = pty.openpty()
        self.process = follow(head, *arguments, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self.text = ""

    def read_until(self, part: str) -> None:
        until = time.monotonic() + 120
        while part not in self.text:
            assert time.monotonic() < until, self.text
            self.text += os.read(self.master, 4096).decode(errors="replace")

    def close(self) -> int:
        try:
            while piece := os.read(self.master, 4096):
                self.text += piece.decode(errors="replace")
        except OSError:  # how Linux says that the other side is closed
            pass
        os.close(self.master)
        return self.process.wait(60)


@pytest.mark.slow
def test_ctrl_c_on_a_terminal_asks_and_stops_the_job_if_told_to(head, sweep_file, tmp_path):
    terminal = Terminal(head, sweep_file(**LONG), "--out", tmp_path / "r", "--set", "rounds=200")
    terminal.read_until("round 1 of 200")
    os.killpg(terminal.process.pid, signal.SIGINT)
    terminal.read_until("Stop the job? If not, it goes on [y/N]")
    os.write(terminal.master, b"y\n")
    assert terminal.close() == 130, terminal.text
    # the sweep itself had the time to end in an orderly way, and to say so
    assert "interrupted: run the same command again for the rest" in terminal.text
    assert "lthray: the job was stopped; submit it again for the rest" in terminal.text
    assert "Traceback" not in terminal.text
    assert head.job(job_id(terminal.text))["status"] == "STOPPED"
    kept, _ = tables(tmp_path / "r")
    assert sorted(kept["round"]) == list(range(len(kept)))
    assert 2 <= len(kept) < 201
    again = submit(head, sweep_file(**LONG), "--out", tmp_path / "r", "--set", f"rounds={len(kept)}")
    assert again.returncode == 0, again.stdout + again.stderr
    assert "trained 1 round;" in again.stdout


@contextmanager
def relayed(port: int) -> Iterator[tuple[str, threading.Event]]:
    """A port that leads to another as long as the event is not set; then its connections are cut."""
    cut = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.1)
    over, open_ = threading.Event(), []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            one.close()

    def serve() -> None:
        while not over.is_set():
            if cut.is_set():
                for one in open_:
                    with suppress(OSError):
                        one.shutdown(socket.SHUT_RDWR)
                open_.clear()
            try:
                here, _ = server.accept()
            except TimeoutError:
                continue
            if cut.is_set():
                here.close()
                continue
            here.settimeout(None)
            there = socket.create_connection(("127.0.0.1", port))
            open_.extend((here, there))
            for pair in ((here, there), (there, here)):
                threading.Thread(target=copy, args=pair, daemon=True).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", cut
    finally:
        cut.set()
        time.sleep(0.3)
        over.set()
        thread.join()
        server.close()


FOLLOWS = """
import sys
from lthray.driver import submit as jobs

jobs.RECONNECT_SECONDS, jobs.SILENCE_SECONDS = 5, 2
job = jobs.Job(jobs.connect(sys.argv[1]), sys.argv[2])
try:
    print(job.follow(lambda text: print(text, end="", flush=True), lambda text: print("NOTE", text, flush=True)).status)
except ConnectionError as error:
    print("LOST", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("back", [True, False])
def test_a_lost_connection_is_said_and_tried_again_and_stops_no_job(back, head, sweep_file, tmp_path):
    path = sweep_file(**LONG)
    started = submit(head, path, "--out", tmp_path / "r", "--no-follow")
    assert started.returncode == 0, started.stderr
    id_ = job_id(started.stdout)
    said = ""
    with (
        relayed(int(head.url.rpartition(":")[2])) as (url, cut),
        subprocess.Popen(
            [sys.executable, "-c", FOLLOWS, url, id_],
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment(**head.environment),
        ) as process,
    ):  # fmt: skip
        for line in process.stdout:
            said += line
            if "round 3 of 20" in line:
                cut.set()
            if line.startswith("NOTE lost the connection") and back:
                cut.clear()
    assert said.count("NOTE lost the connection to the cluster (") == 1, said
    if back:
        assert [int(number) for number in re.findall(r"round (\d+) of 20", said)] == list(range(21))
        assert "1 of 1 trajectory complete" in said
        assert said.endswith("SUCCEEDED\n")
    else:
        assert "LOST " in said.splitlines()[-1]
    assert head.ends(id_) == "SUCCEEDED"
    assert len(tables(tmp_path / "r")[0]) == 21


@pytest.mark.slow
def test_a_driver_that_is_killed_is_a_failure_with_what_ray_says(head, sweep_file, tmp_path):
    with follow(
        head, sweep_file(**LONG), "--out", tmp_path / "r", "--set", "rounds=200",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        for line in process.stdout:
            if "round 1 of 200" in line:
                break
        (driver,) = (
            one
            for one in psutil.process_iter(["cmdline"])
            if "sweep.yaml" in (one.info["cmdline"] or ()) and str(tmp_path / "r") in one.info["cmdline"]
        )
        driver.kill()
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert err.startswith("lthray: the job failed: ")
