"""Nested keys as dotted names: `pgd: {steps: 10}` is `pgd.steps: 10`."""

from collections.abc import Collection, Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = "", leaves: Collection[str] = ()) -> dict[str, Any]:
    """Nested mappings as one mapping with dotted names, in the same order; what is named in `leaves` stays whole."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" not in leaves:
            flat |= flatten(value, f"{prefix}{name}.", leaves)
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def nest(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, last = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[last] = value
    return tree
