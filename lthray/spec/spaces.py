"""Ray Tune's search spaces: built from a sweep file's, with their bounds and draws from them."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from ray import tune
from ray.tune.search.sample import Categorical, Domain, Integer, Quantized

from lthray.errors import InputError, first_line

REPEATS = 10_000
"""A space counts as exhausted after more than this many repeated settings in a row."""


def domain(field: str, space: str, arguments: list[Any]) -> Domain:
    """Tune's own space.

    Raises:
        InputError: Tune refuses the arguments.
    """
    try:
        made = getattr(tune, space)(arguments) if space == "choice" else getattr(tune, space)(*arguments)
        made.sample(random_state=np.random.RandomState(0))
    except (ValueError, AssertionError, OverflowError, ZeroDivisionError) as error:
        raise InputError(
            f"search.space.{field}: found {space}: {arguments}, but Ray Tune says: {first_line(error)}"
        ) from None
    return made


def domains(space: Mapping[str, Mapping[str, list[Any]]]) -> dict[str, Domain]:
    """Tune's space of each field."""
    return {field: domain(field, name, values) for field, named in space.items() for name, values in named.items()}


def edges(space: Domain) -> list[Any]:
    """The smallest and the largest value of a space; for a choice, all its values."""
    if isinstance(space, Categorical):
        return list(space.categories)
    last = space.upper - 1 if isinstance(space, Integer) and not _step(space) else space.upper
    return [space.cast(space.lower), space.cast(last)]


def settings(space: Domain) -> float:
    """How many different values a space has, at most."""
    if isinstance(space, Categorical):
        return len(space.categories)
    step = _step(space) or (1 if isinstance(space, Integer) else 0)
    low, high = edges(space)
    return math.floor((high - low) / step + 1e-9) + 1 if step else math.inf


def draws(space: Mapping[str, Mapping[str, list[Any]]], seed: int) -> Iterator[dict[str, Any]]:
    """Different settings, drawn independently: field to value, without end, the same for the same seed.

    Each field has a generator of its own, so that the first n settings are the same however many are drawn, and another
    field changes none of its values. NumPy keeps the stream of `RandomState` from version to version.

    Raises:
        InputError: the space seems exhausted.
    """
    sources = {
        field: (domain, np.random.RandomState(int.from_bytes(hashlib.sha256(f"{seed}/{field}".encode()).digest()[:4])))
        for field, domain in domains(space).items()
    }
    seen: set[str] = set()
    repeated = 0
    while True:
        drawn = {field: domain.sample(random_state=generator) for field, (domain, generator) in sources.items()}
        key = json.dumps(drawn, sort_keys=True)
        repeated = repeated + 1 if key in seen else 0
        if repeated > REPEATS:
            raise InputError(f"search.samples: the space seems to have no more than {len(seen)} different settings")
        if key not in seen:
            seen.add(key)
            yield drawn


def holds(space: Domain, value: object) -> bool:
    """Whether a value is in a space."""
    try:
        return bool(space.is_valid(value))
    except TypeError:
        return False


def _step(space: Domain) -> float:
    sampler = space.get_sampler()
    return float(sampler.q) if isinstance(sampler, Quantized) and sampler.q != 1 else 0.0
