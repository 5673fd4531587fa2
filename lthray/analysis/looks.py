"""How often results that grow were looked at: `looks.json` in the results folder.

Whoever asks for a verdict after every seed, and stops at the first that suits, gets wrong verdicts too often. So a
folder remembers the seeds that its verdicts rested on. A look at the same seeds, by the same margin and sparsity, is
the same look.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from upath import UPath

from lthray.files import read, replace

NAME = "looks.json"


@dataclass(frozen=True)
class Look:
    """A look at a results folder."""

    number: int
    """From 1 on."""
    recorded: bool
    """Whether the folder remembers it."""


def take_look(folders: Iterable[UPath], seeds: Mapping[str, list[int]], conditions: Mapping[str, Any]) -> Look:
    """The number of this look, recorded in the folders.

    Args:
        folders: The results folders; of several, the one that was looked at most often counts.
        seeds: The seeds of every setting that gets a verdict, by a text that stands for the setting. A setting that
            earlier looks did not have makes no new look, but other seeds of one that they had do.
        conditions: What else a verdict depends on, such as the margin.
    """
    looks = [_take_look(folder / NAME, dict(seeds), dict(conditions)) for folder in folders]
    return Look(max(look.number for look in looks), all(look.recorded for look in looks))


def _take_look(path: UPath, seeds: dict[str, list[int]], conditions: dict[str, Any]) -> Look:
    earlier = _read(path)
    if not seeds:
        return Look(max(1, len(earlier)), recorded=True)
    for place, look in enumerate(earlier):
        same = all(look["seeds"].get(setting, own) == own for setting, own in seeds.items())
        if same and look["conditions"] == conditions:
            if seeds.keys() <= look["seeds"].keys():
                return Look(place + 1, recorded=True)
            if place == len(earlier) - 1:
                look["seeds"] |= seeds
                return Look(place + 1, _write(path, earlier))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    looks = [*earlier, {"time": now, "conditions": conditions, "seeds": seeds}]
    return Look(len(looks), _write(path, looks))


def _read(path: UPath) -> list[dict[str, Any]]:
    try:
        looks = json.loads(read(path))["looks"]
        return [look for look in looks if isinstance(look["seeds"], dict) and isinstance(look["conditions"], dict)]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _write(path: UPath, looks: list[dict[str, Any]]) -> bool:
    content = json.dumps({"schema": "lthray-looks", "version": 1, "looks": looks}, indent=1)
    try:
        replace(path, content.encode())
    except OSError:
        return False
    return True
