"""The `transfer` section of a sweep file: in which results folder, and for which fields, masks are looked for."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from lthray.errors import InputError
from lthray.spec.dotted import nest
from lthray.spec.field_names import kind, known_fields, nearest
from lthray.spec.strict import Strict

KEYS = ("from", "where")


class TransferSpec(Strict):
    """Whose masks the trajectories of strategy transfer train under."""

    model_config = ConfigDict(serialize_by_alias=True)

    origin: Annotated[str, Field(alias="from", min_length=1)]
    """Results folder of the sources, by path or URL."""
    where: dict[str, Annotated[list[Any], Field(min_length=1)]] = Field(default_factory=dict)
    """What a source's fields must be, by dotted name; of several values, each gives a trajectory of its own."""

    def alternatives(self) -> Iterator[dict[str, Any]]:
        """What to look for: the cross product of the values of `where`, one value a field."""
        for values in product(*self.where.values()):
            yield dict(zip(self.where, values, strict=True))

    def size(self) -> int:
        """Number of `alternatives`."""
        return len(list(self.alternatives()))


def transfer_section(tree: object) -> dict[str, Any]:
    """The section with `where` by dotted name, every value in a list.

    Raises:
        InputError: it is not a mapping, `from` is missing, or a key is unknown.
    """
    if not isinstance(tree, Mapping):
        raise InputError(f"transfer: found {kind(tree)}, but it is a mapping of {', '.join(KEYS)}")
    for name in tree:
        if name not in KEYS:
            raise InputError(f"transfer.{name}: unknown key{nearest(name, KEYS)}")
    if not isinstance(tree.get("from"), str) or not tree["from"]:
        found = f"found {tree['from']!r}, but it is" if "from" in tree else "is missing:"
        raise InputError(f"transfer.from: {found} the results folder to take masks from, by path or URL")
    where = tree.get("where") or {}
    if not isinstance(where, Mapping):
        raise InputError(f"transfer.where: found {kind(where)}, but it is a mapping of fields to values")
    fields = {
        name: value if isinstance(value, list) else [value]
        for name, value in known_fields(where, "transfer.where").items()
    }
    for name, values in fields.items():
        if not values:
            raise InputError(f"transfer.where.{name}: is empty, but it needs at least one value")
        if any(value in values[:place] for place, value in enumerate(values)):
            raise InputError(f"transfer.where.{name}: found {values}, but a value may be given once")
    return {"from": tree["from"], "where": fields}


def set_transfer(section: Mapping[str, Any] | None, key: str, value: object) -> dict[str, Any] | None:
    """The section with one key set, `where.seed` say; an empty key sets all of it, to nothing with `null`.

    Raises:
        InputError: as in `transfer_section`.
    """
    if not key:
        return None if value is None else transfer_section(value)
    old, given = dict(section or {}), nest({key: value})
    if key.startswith("where."):
        given = {"where": nest(old.get("where", {}) | {key.removeprefix("where."): value})}
    return transfer_section(old | given)
