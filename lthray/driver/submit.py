"""Sends a sweep to a cluster as a Ray job, follows it and stops it."""

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

from lthray.driver.connection import unreachable
from lthray.errors import InputError, first_line
from lthray.installing import install_command
from lthray.ray_env import quieten_ray
from lthray.references import package
from lthray.spec.own import OwnFacts

SILENCE_SECONDS = 60
"""Silence of the log after which it is requested again, because a connection may die unnoticed."""
RECONNECT_SECONDS = 60
"""How long a lost connection is tried again."""
INSTALL_SECONDS = 1800
"""Time limit for installing lthray's requirements on a node; Ray's default is 600."""
STOP_SECONDS = 60
"""Time between stopping a sweep and killing it, in which it ends in an orderly way; Ray's default is 3."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Ending:
    """How a job ended."""

    status: str
    """`SUCCEEDED`, `FAILED` or `STOPPED`."""
    exit_status: int | None
    """Exit status of `lthray sweep`; None if it never ran, or was stopped."""
    message: str
    """Ray's message about it."""


def quote_path(option: str, value: str, url: bool = False) -> str:
    """Quotes a path on the cluster for the cluster's shell.

    Args:
        option: The option that names it, for the error.
        value: An absolute path, or `~/...` for one under the home folder of the user that runs Ray there.
        url: Whether it may also be a URL.

    Raises:
        InputError: the path is relative: it would be in the job's temporary folder and vanish with it.
    """
    if value.startswith("~/"):
        return f"~/{shlex.quote(value[2:])}" if value[2:] else "~/"  # The shell expands no tilde that is quoted.
    if value.startswith("/") or (url and re.match(r"[a-z][a-z0-9+.-]*://.", value)):
        return shlex.quote(value)
    allowed = (
        "an absolute path there, '~/...' or a URL such as s3://bucket/run" if url else "an absolute path or '~/...'"
    )
    raise InputError(
        f"{option} {value}: is a path on the cluster, where a job's own folder does not last; give {allowed}"
    )


def build_command(out: str, data_dir: str | None, settings: Sequence[str], flags: Sequence[str] = ()) -> str:
    """Builds the command line that the job runs on the cluster.

    Args:
        out: Results folder.
        data_dir: Folder of the data sets on the head; None for the default there.
        settings: What `--set` overrides, as KEY=VALUE.
        flags: Options of `lthray sweep` that have no value, such as `--force`.

    Raises:
        InputError: `out` or `data_dir` is a relative path; see `quote_path`.
    """
    words = ["python -m lthray sweep sweep.yaml --address auto --out", quote_path("--out", out, url=True)]
    words += ["--data-dir", quote_path("--data-dir", data_dir)] if data_dir is not None else []
    for setting in settings:
        words += ["--set", shlex.quote(setting)]
    return " ".join([*words, *flags])


def read_variables(assignments: Sequence[str]) -> dict[str, str]:
    """Reads the job's environment variables: `NAME=VALUE`, or `NAME` for a variable of this process.

    Raises:
        InputError: `NAME` is not a valid name, or is not set here.
    """
    variables = {"PYTHONUNBUFFERED": "1", "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise InputError(f"--env {assignment}: allowed are NAME=VALUE, or NAME for a variable that is set here")
        if not equals and name not in os.environ:
            raise InputError(f"--env {name}: is not set here; give its value with --env {name}=VALUE")
        variables[name] = value if equals else os.environ[name]
    return variables


def list_requirements(out: str) -> list[str]:
    """Lists what lthray needs beside Ray, as pip takes it, with the extra for results at `out` if that is a URL.

    Raises:
        InputError: lthray is not installed as a package, so its requirements are unknown.
    """
    try:
        return sorted(_declared("lthray", {out.partition("://")[0] if "://" in out else ""}))
    except metadata.PackageNotFoundError:
        raise InputError("--install: lthray itself is not installed here, so its requirements are unknown") from None


def _declared(package: str, extras: set[str]) -> set[str]:
    """The requirements of a package's extras; also its unconditional ones, unless the package is Ray."""
    declared: set[str] = set()
    for requirement in map(Requirement, metadata.requires(package) or []):
        marker, requirement.marker = requirement.marker, None
        wanted = package != "ray" if marker is None else any(marker.evaluate({"extra": extra}) for extra in extras)
        if wanted and requirement.name != "ray":
            declared.add(str(requirement))
        elif wanted and package != "ray":
            declared |= _declared("ray", requirement.extras)
    return declared


def pack(sweep_file: Path, folder: Path, own: OwnFacts) -> None:
    """Copies what the job brings into `folder`: lthray's sources, the sweep file as `sweep.yaml`, and the user's code.

    Raises:
        InputError: the sweep has data in a file or folder here, which does not travel.
    """
    for name in own.datasets:
        if (Path(own.folder) / name).exists() and not Path(name).is_absolute():
            raise InputError(
                f"dataset {name}: is in {own.folder}, and a job takes no data along; put it where all nodes see it, and"
                " give its absolute path there"
            )
    for code in own.code.values():
        shutil.copytree(package(code), folder, dirs_exist_ok=True)
    sources = Path(str(files("lthray")))
    shutil.copytree(sources, folder / "lthray", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copyfile(sweep_file, folder / "sweep.yaml")


def connect(address: str) -> JobSubmissionClient:
    """Connects to the cluster whose dashboard is at `address`.

    Raises:
        InputError: the address is no URL, no Ray answers there, it wants another token, or Ray's job client is not
            installed.
    """
    if not re.fullmatch(r"https?://[^\s/]+\S*", address):
        raise InputError(
            f"--address {address}: it is the URL of the cluster's dashboard, for example http://HEAD:8265"
            " (lthray sweep --address takes auto and HOST:PORT)"
        )
    if importlib.util.find_spec("aiohttp") is None:
        raise InputError(f"submit needs Ray's job client, which is not installed: {install_command('ray[default]')}")
    for chatty in ("dashboard.modules.dashboard_sdk", "dashboard.modules.job.sdk", "_private.runtime_env.packaging"):
        logging.getLogger(f"ray.{chatty}").setLevel(logging.WARNING)
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        os.environ.pop(name, None)  # Ray prefers these to the address that it is given.
    quieten_ray()
    try:
        _knock(address.rstrip("/"))
        return JobSubmissionClient(address)
    except (OSError, RuntimeError, ValueError, http.client.HTTPException, RayError) as error:
        raise unreachable(address, error) from None


def _knock(address: str) -> None:
    """Fails soon if nothing answers; Ray's client would wait for minutes."""
    try:
        urllib.request.urlopen(f"{address}/api/version", timeout=10).close()
    except urllib.error.HTTPError as answer:
        answer.close()  # It may want a token, which Ray's client sends.


def submit(
    client: JobSubmissionClient,
    sweep_file: Path,
    command: str,
    env: Mapping[str, str],
    pip: Sequence[str],
    own: OwnFacts,
) -> "Job":
    """Sends a sweep to a cluster.

    Args:
        client: The cluster.
        sweep_file: The sweep file.
        command: The command line to run; see `build_command`.
        env: Environment variables of the job and its workers.
        pip: Requirements to install there first; see `list_requirements`.
        own: What was looked up of the sweep's own code.

    Raises:
        InputError: the cluster refuses the job.
    """
    with tempfile.TemporaryDirectory(prefix="lthray-") as folder:
        pack(sweep_file, Path(folder), own)
        runtime_env: dict[str, Any] = {"working_dir": folder, "env_vars": dict(env)}
        if pip:
            runtime_env |= {"pip": list(pip), "config": {"setup_timeout_seconds": INSTALL_SECONDS}}
        try:
            return Job(client, client.submit_job(entrypoint=command, runtime_env=runtime_env))
        except (OSError, RuntimeError, ValueError, RayError) as error:
            raise InputError(f"the cluster did not take the job: {first_line(error)}") from None


class Job:
    """A job on a cluster, and how many characters of its log were shown."""

    def __init__(self, client: JobSubmissionClient, id_: str) -> None:
        self.client, self.id = client, id_
        self.position = 0

    def follow(self, log: Say, note: Say) -> Ending:
        """Passes on the job's log until the job ends.

        Args:
            log: Takes each new piece of the log.
            note: Takes a message when the connection is lost.

        Raises:
            ConnectionError: the connection is lost for longer than `RECONNECT_SECONDS`; the job goes on.
            KeyboardInterrupt: interrupted; the job goes on.
        """
        return asyncio.run(self._follow(log, note))

    def stop(self) -> None:
        """Asks the job to stop; finished rounds stay.

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
                    if rest := self.client.get_job_logs(self.id)[self.position :]:  # The connection may have been cut.
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
        """Passes on what is new in the log until it ends or falls silent; Ray always sends it from the start."""
        start = 0
        async with aclosing(self.client.tail_job_logs(self.id)) as pieces:
            while True:
                try:
                    piece = await asyncio.wait_for(anext(pieces), SILENCE_SECONDS)
                except (StopAsyncIteration, TimeoutError):
                    return
                new = piece[max(0, self.position - start) :]
                start += len(piece)
                self.position = max(self.position, start)
                if new:
                    log(new)
