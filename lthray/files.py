"""Where results are stored: a folder of this machine, or whatever fsspec reaches by a URL such as s3://bucket/run."""

import os
import uuid
from contextlib import suppress
from pathlib import Path

from fsspec.core import split_protocol
from upath import UPath

from lthray.errors import InputError, first_line
from lthray.installing import install_command

PART = ".part"
OBJECT_STORES = {"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"}
"""Protocols whose writes appear whole or not at all; elsewhere a file is written beside its place and renamed."""
PACKAGES = {"s3": "s3fs", "s3a": "s3fs"}


def location(folder: str | Path | UPath) -> UPath:
    """A folder by its path, made absolute, or by its URL.

    Raises:
        InputError: the URL's storage is unknown, its package is not installed, or it can't be reached.
    """
    protocol, path = split_protocol(str(folder))
    if protocol in (None, "file", "local"):
        return UPath(path).expanduser().absolute()
    try:
        remote = UPath(str(folder), use_listings_cache=False)
        remote.exists()
    except ImportError as error:
        hint = install_command(PACKAGES[protocol]) if protocol in PACKAGES else str(error)
        raise InputError(f"{folder}: the package for {protocol}:// is not installed: {hint}") from None
    except Exception as error:  # noqa: BLE001 - every storage has exceptions of its own
        raise InputError(f"{folder}: can't be reached: {first_line(error)}") from None
    return remote


def is_local(path: UPath) -> bool:
    """Whether a path is in this machine's file system, which may be shared."""
    return isinstance(path, Path)


def read(path: UPath) -> bytes:
    """A file's content, read atomically: an object store gets a single request, so that no part is of a newer file."""
    content: bytes = path.read_bytes() if is_local(path) else path.fs.cat_file(path.path)
    return content


def replace(path: UPath, content: bytes) -> None:
    """Writes a file so that a reader finds the old one or the new one, whole; makes its folder.

    Raises:
        OSError: it can't be written; the old file is still there.
    """
    if path.protocol in OBJECT_STORES:
        path.write_bytes(content)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PART}")
    try:
        part.write_bytes(content)
        if is_local(path):
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
        else:
            path.fs.mv(part.path, path.path)
    finally:
        part.unlink(missing_ok=True)


def move(path: UPath, target: UPath) -> None:
    """Moves a file; a reader always finds it whole in at least one of the places.

    Raises:
        OSError: it can't be read or written.
    """
    if is_local(path):
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    else:
        path.fs.mv(path.path, target.path)


def create(path: UPath, content: bytes) -> bool:
    """Writes a small file that is not there yet; False where it is."""
    with suppress(FileExistsError):
        path.fs.pipe_file(path.path, content, mode="create")
        return True
    return False


def clear_parts(folder: UPath) -> None:
    """Removes what killed writers left beside the places of files."""
    if folder.protocol not in OBJECT_STORES:
        for stray in folder.rglob(f".*{PART}"):
            stray.unlink(missing_ok=True)


def names(folder: UPath, suffix: str) -> list[str]:
    """The names, without `suffix`, of a folder's finished files; none where there is no folder."""
    try:
        return sorted(p.name.removesuffix(suffix) for p in folder.iterdir() if _finished(p.name, suffix))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _finished(name: str, suffix: str) -> bool:
    return name.endswith(suffix) and not name.startswith(".")
