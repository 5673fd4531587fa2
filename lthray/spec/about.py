"""What is to be said of a field beside its type and its meaning, for `lthray explain`, the schema and the tables."""

from dataclasses import dataclass
from typing import Any

from pydantic.fields import FieldInfo

POSTER = "the poster"
PAPER = "the poster's paper, or its released code where the paper is silent"
LOTTERY = "Frankle and Carbin 2019, which the poster follows"
OURS = "chosen for lthray"


@dataclass(frozen=True)
class About:
    """A mark in a field's annotation. Every field has one; that of a group in a sweep file may be empty."""

    unit: str = ""
    """What the field's numbers count or measure; empty for what is no number, and for plain factors."""
    source: str = OURS
    """Where the presets' values come from, or who proposed what the field chooses; docs/protocol.md says more."""
    examples: tuple[Any, ...] = ()
    """Values to vary the field with, where its type names none."""
    values: str = ""
    """The values allowed, in words, where its type does not say them all."""


def about(field: FieldInfo) -> About:
    """The mark of a field.

    Raises:
        TypeError: it has none.
    """
    for mark in field.metadata:
        if isinstance(mark, About):
            return mark
    raise TypeError(f"{field.description}: nothing is said about this field; see {__name__}.About")
