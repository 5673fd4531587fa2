"""The connection to Ray, and why there is none."""

import contextlib
import logging
import os
import re
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import ray
from ray.exceptions import AuthenticationError, RayError

from lthray.errors import InputError, UnreachableError, first_line
from lthray.ray_env import quieten_ray


@contextlib.contextmanager
def connected(address: str | None, packages: Sequence[Path] = ()) -> Iterator[None]:
    """A connection to Ray as long as the block lasts, for a child of `driver.drive`.

    The process ends at once if this machine's raylet dies.

    Args:
        address: A running Ray cluster, or None to start one of this machine's own.
        packages: Folders that Ray puts on the workers' Python path, each as a package of its name.

    Raises:
        InputError: Ray can't be started, or the cluster wants another token.
        UnreachableError: no cluster answers.
    """
    raylet, over = _connect(address, packages), threading.Event()

    def watch() -> None:
        with contextlib.suppress(ConnectionError):
            raylet.recv(1)  # the raylet sends nothing: this returns when it dies, or when the block is over
        if not over.is_set():
            os._exit(1)  # Ray does so only if something uses the object store; else it waits for ever

    thread = threading.Thread(target=watch, daemon=True, name="raylet")
    thread.start()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # Ray would exit; whoever ends a sweep signals this process's parent
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            raylet.shutdown(socket.SHUT_RDWR)
        thread.join()
        raylet.close()
        ray.shutdown()


def _connect(address: str | None, packages: Sequence[Path]) -> socket.socket:
    """Connects to Ray; returns a connection to this machine's raylet that ends when the raylet does."""
    quieten_ray()
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    output = ""
    try:
        _knock(address)
        with _stderr() as stderr:
            try:
                context = ray.init(
                    address=address or "local",
                    log_to_driver=False,
                    logging_level="ERROR",
                    **({} if address else {"include_dashboard": False}),
                    **({"runtime_env": {"py_modules": list(map(str, packages))}} if packages else {}),
                )
            finally:
                output = stderr()
        raylet = socket.socket(socket.AF_UNIX)
        raylet.connect(context.address_info["raylet_socket_name"])
    except (OSError, ValueError, RuntimeError, RayError) as error:
        ray.shutdown()
        if address:
            raise unreachable(address, error, output) from None
        raise InputError(f"Ray can't be started: {first_line(error)}") from None
    return raylet


def _knock(address: str | None) -> None:
    """Fails at once where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


@contextlib.contextmanager
def _stderr() -> Iterator[Callable[[], str]]:
    """Captures stderr while the block lasts: only there does Ray report a refused token."""
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield lambda: os.pread(kept.fileno(), 1 << 20, 0).decode(errors="replace")
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


def unreachable(address: str, error: BaseException, output: str = "") -> InputError:
    """Explains in one line why there is no connection to a cluster, above all that it wants another token.

    Args:
        address: The cluster's address.
        error: What Ray raised.
        output: What Ray wrote to stderr.
    """
    text = f"{error} {output}"
    if isinstance(error, AuthenticationError) or re.search("InvalidAuthToken|Authentication (required|failed)", text):
        sent = os.environ.get("RAY_AUTH_MODE", "").lower() == "token" and not re.search(
            "(no|find an) authentication token|Authentication required", text
        )
        return InputError(
            f"--address {address}: the cluster {'refuses this token' if sent else 'asks for a token'}: set"
            " RAY_AUTH_MODE=token, and the cluster's token as RAY_AUTH_TOKEN or in ~/.ray/auth_token"
        )
    return UnreachableError(f"--address {address}: no Ray cluster can be reached: {first_line(error)}")
