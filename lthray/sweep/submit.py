"""A sweep as a Ray job: what travels to the cluster, and how the job is followed, stopped and ends."""

import asyncio
import http.client
import importlib.util
import logging
import os
import re
import shlex
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from importlib import metadata
from importlib.resources import files
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from ray.exceptions import RayError
from ray.job_submission import JobSubmissionClient

from lthray.errors import InputError, first_line
from lthray.ray_env import quieten_ray
from lthray.sweep.connection import unreachable

SILENCE_SECONDS = 60
"""A log silent for so long is asked for again: a connection may die without a word."""
RECONNECT_SECONDS = 60
"""How long a lost connection is tried again."""
INSTALL_SECONDS = 1800
"""What a node has to install lthray's requirements; Ray's own default is 600."""
STOP_SECONDS = 60
"""What a stopped sweep has to end its round in an orderly way before Ray kills it; Ray's own default is 3."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    status: str
    """`SUCCEEDED`, `FAILED` or `STOPPED`."""
    exit_status: int | None
    """Exit status of `lthray sweep`; None where it did not get to run, or was stopped."""
    message: str
    """What Ray says about it."""


def place(option: str, value: str, url: bool = False) -> str:
    """A folder as the cluster sees it, quoted for its shell.

    Args:
        option: The option that named it, for the error.
        value: An absolute path, or one under the home folder of who runs Ray there (`~/...`).
        url: Whether a URL will do, too.

    Raises:
        InputError: it is a relative path, which would lie in the job's temporary folder and vanish with it.
    """
    if value.startswith("~/"):
        return f"~/{shlex.quote(value[2:])}" if value[2:] else "~/"  # a quoted tilde would be a folder's name
    if value.startswith("/") or (url and re.match(r"[a-z][a-z0-9+.-]*://.", value)):
        return shlex.quote(value)
    allowed = (
        "an absolute path there, '~/...' or a URL such as s3://bucket/run" if url else "an absolute path or '~/...'"
    )
    raise InputError(
        f"{option} {value}: is a path on the cluster, where a job's own folder does not last; give {allowed}"
    )


def entrypoint(out: str, data_dir: str | None, sets: Sequence[str]) -> str:
    """The command line that the job runs on the cluster.

    Raises:
        InputError: `out` or `data_dir` is no place that lasts; see `place`.
    """
    words = ["python -m lthray sweep sweep.yaml --address auto --out", place("--out", out, url=True)]
    words += ["--data-dir", place("--data-dir", data_dir)] if data_dir is not None else []
    for one in sets:
        words += ["--set", shlex.quote(one)]
    return " ".join(words)


def variables(given: Sequence[str]) -> dict[str, str]:
    """Environment variables for the job, from `NAME=VALUE`, or `NAME` for one of this process.

    Raises:
        InputError: a name is none, or is not set here.
    """
    found = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
    for one in given:
        name, equals, value = one.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InputError(f"--env {one}: it reads NAME=VALUE, or NAME for a variable that is set here")
        if not equals and name not in os.environ:
            raise InputError(f"--env {name}: is not set here; give its value with --env {name}=VALUE")
        found[name] = value if equals else os.environ[name]
    return found


def requirements(out: str) -> list[str]:
    """What lthray needs beside Ray, as pip takes it; with its extra for results at a URL of `out`'s kind.

    Raises:
        InputError: lthray's requirements are not known, because it was not installed.
    """
    try:
        return sorted(_declared("lthray", {out.partition("://")[0] if "://" in out else ""}))
    except metadata.PackageNotFoundError:
        raise InputError("--install: lthray itself is not installed here, so what it needs is not known") from None


def _declared(package: str, extras: set[str]) -> set[str]:
    """What a package's extras need, and, but for Ray, what it always needs; Ray itself left out."""
    found: set[str] = set()
    for one in map(Requirement, metadata.requires(package) or []):
        marker, one.marker = one.marker, None
        wanted = package != "ray" if marker is None else any(marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and one.name != "ray":
            found.add(str(one))
        elif wanted and package != "ray":
            found |= _declared("ray", one.extras)
    return found


def pack(sweep_file: Path, folder: Path) -> None:
    """Lays out what travels in `folder`: the sources of lthray, and the sweep as `sweep.yaml`."""
    sources = Path(str(files("lthray")))
    shutil.copytree(sources, folder / "lthray", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copyfile(sweep_file, folder / "sweep.yaml")


def connect(address: str) -> JobSubmissionClient:
    """A client of the cluster whose dashboard is at `address`.

    Raises:
        InputError: the address is none, nobody or no Ray answers there, or Ray's job client is not installed.
    """
    if not re.fullmatch(r"https?://[^\s/]+\S*", address):
        raise InputError(
            f"--address {address}: it is the URL of the cluster's dashboard, for example http://HEAD:8265"
            " (for auto and HOST:PORT there is lthray sweep --address)"
        )
    if importlib.util.find_spec("aiohttp") is None:
        raise InputError("submit needs Ray's job client, which is not installed: pip install 'ray[default]'")
    for chatty in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{chatty}").setLevel(logging.WARNING)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)  # Ray would go there instead
    quieten_ray()
    try:
        _knock(address.rstrip("/"))
        return JobSubmissionClient(address)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException, RayError) as error:
        raise unreachable(address, error) from None


def _knock(address: str) -> None:
    """Fails soon where nobody answers; Ray's client would wait for minutes."""
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=10).close()
    except urllib.error.HTTPError as answer:
        answer.close()  # it may want a token, which Ray's client has


def submit(
    client: JobSubmissionClient, sweep_file: Path, command: str, env: Mapping[str, str], pip: Sequence[str]
) -> "Job":
    """Sends a sweep to a cluster.

    Args:
        client: Where to.
        sweep_file: The sweep file.
        command: What to run; see `entrypoint`.
        env: Environment variables of the job and its workers.
        pip: Requirements to install there first; see `requirements`.

    Raises:
        InputError: the cluster refused it.
    """
    with tempfile.TemporaryDirectory(prefix="lthray-") as folder:
        pack(sweep_file, Path(folder))
        runtime_env: dict[str, Any] = {"working_dir": folder, "env_vars": dict(env)}
        if pip:
            runtime_env |= {"pip": list(pip), "config": {"setup_timeout_seconds": INSTALL_SECONDS}}
        try:
            return Job(client, client.submit_job(entrypoint=command, runtime_env=runtime_env))
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise InputError(f"the cluster did not take the job: {first_line(error)}") from None


class Job:
    """A job on a cluster, and how much of its log was shown."""

    def __init__(self, client: JobSubmissionClient, id_: str) -> None:
        self.client, self.id = client, id_
        self.shown = 0

    def follow(self, log: Say, note: Say) -> Ending:
        """Passes on the job's log until it ends.

        Args:
            log: Given the log as it grows, in pieces.
            note: Told of a lost connection.

        Raises:
            ConnectionError: the connection was lost for good. The job goes on.
            KeyboardInterrupt: interrupted. The job goes on.
        """
        return asyncio.run(self._follow(log, note))

    def stop(self) -> None:
        """Asks the job to stop: what it has finished stays.

        Raises:
            ConnectionError: the cluster can't be reached.
        """
        try:
            self.client.stop_job(self.id)
        except (OSError, RuntimeError, RayError) as error:
            raise ConnectionError(first_line(error)) from None

    async def _follow(self, log: Say, note: Say) -> Ending:
        from aiohttp import ClientError

        lost: float | None = None
        while True:
            try:
                await self._tail(log)
                details = self.client.get_job_info(self.id)
                lost = None
                if details.status.is_terminal():
                    if rest := self.client.get_job_logs(self.id)[self.shown :]:  # where the last piece was cut off
                        log(rest)
                    return Ending(details.status.value, details.driver_exit_code, details.message or "")
                await asyncio.sleep(1)
            except (OSError, RuntimeError, ClientError, RayError) as error:
                if lost is None:
                    lost = time.monotonic()
                    note(f"lost the connection to the cluster ({first_line(error)}); trying again")
                elif time.monotonic() - lost > RECONNECT_SECONDS:
                    raise ConnectionError(first_line(error)) from None
                await asyncio.sleep(2)

    async def _tail(self, log: Say) -> None:
        """Passes on what is new in the log, which Ray always sends from its start, until it ends or falls silent."""
        at = 0
        async with aclosing(self.client.tail_job_logs(self.id)) as pieces:
            while True:
                try:
                    piece = await asyncio.wait_for(anext(pieces), SILENCE_SECONDS)
                except (StopAsyncIteration, TimeoutError):
                    return
                new = piece[max(0, self.shown - at) :]
                at += len(piece)
                self.shown = max(self.shown, at)
                if new:
                    log(new)
