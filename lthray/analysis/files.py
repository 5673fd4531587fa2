"""Atomic writes: a reader never sees half a file."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file beside its place, then rename it; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
