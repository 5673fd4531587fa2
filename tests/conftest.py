"""What several test files share."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import ray
import torch
import yaml
from s3fs import S3FileSystem
from upath import UPath

from lthray.driver.datasets.known import read
from lthray.engine.data import Dataset, on_device
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import CPU, TINY, Head, environment, free_port

torch.set_num_threads(1)  # as a trial with one CPU has it; more only get in each other's way on so small products


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return on_device(read("digits-8x8", Path("unused")), 360, CPU)


@pytest.fixture
def make() -> Callable[..., TrajectorySpec]:
    """Makes a small trajectory on digits-8x8; keywords are fields."""

    def make(**fields) -> TrajectorySpec:
        small = {"dataset": "digits-8x8", "rounds": 2, "iterations": 40, "eval_every": 20, "end_attacks": []}
        return TrajectorySpec.model_validate(small | fields)

    return make


@pytest.fixture
def sweep_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a tiny sweep file; keywords replace sections, None removes one."""

    def write(**sections) -> Path:
        path = tmp_path / "tiny.yaml"
        tree = {name: value for name, value in (TINY | sections).items() if value is not None}
        path.write_text(yaml.safe_dump(tree, sort_keys=False))
        return path

    return write


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """An S3 server on this machine; what a process's environment says to reach it."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    server.kill()
    server.wait()


@pytest.fixture
def s3(s3_server, monkeypatch) -> UPath:
    """A folder that is not there yet, in a bucket of its own."""
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    S3FileSystem.clear_instance_cache()  # other tests have another server, or none
    bucket = UPath(f"s3://bucket-{uuid.uuid4().hex}", use_listings_cache=False)
    bucket.mkdir()
    return bucket / "run"


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head that lets everybody in."""
    with start_head({"RAY_AUTH_MODE": "disabled"}) as head:
        yield head


@pytest.fixture(scope="module")
def guarded_head() -> Iterator[Head]:
    """A head that wants a token."""
    with start_head({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": uuid.uuid4().hex}) as head:
        yield head


@contextmanager
def start_head(access: dict[str, str]) -> Iterator[Head]:
    """`ray start --head`, and in the end the end of what it started, and of nothing else."""
    folder = tempfile.mkdtemp(prefix="lt-", dir="/tmp")  # Ray's sockets lie in it: their paths must be short
    ours = {"RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0"} | access
    ports = {name: free_port() for name in ("port", "dashboard-port", "dashboard-agent-listen-port")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where a job finds `python`
    theirs = {name: value for name, value in environment(**ours, PATH=path).items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        ["ray", "start", "--head", "--block", "--num-cpus=1", *(f"--{name}={port}" for name, port in ports.items())],
        env=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{ports['dashboard-port']}"
    head = Head(url, f"{ray.util.get_node_ip_address()}:{ports['port']}", ours)
    headers = {"Authorization": f"Bearer {access.get('RAY_AUTH_TOKEN')}"}
    try:
        until = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/api/jobs/", headers=headers), timeout=10).close()
                break
            except OSError:
                assert process.poll() is None, "ray start ended"
                assert time.monotonic() < until, "the dashboard does not answer"
                time.sleep(0.5)
        yield head
    finally:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        process.terminate()
        _, alive = psutil.wait_procs(family, timeout=30)
        for one in alive:
            one.kill()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)
