"""Which field of a sweep is shown as colour, row or column of a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.numbers.fields import distinct, show, varied

MOMENTS = (
    (
        "At early stopping",
        (
            ("early_stopping_iteration", "Early-stopping iteration"),
            ("early_stopping_adversarial_accuracy_test", "Adversarial test accuracy, %"),
            ("early_stopping_natural_accuracy_test", "Natural test accuracy, %"),
        ),
    ),
    (
        "At the end of training",
        (
            ("final_adversarial_accuracy_test", "Adversarial test accuracy, %"),
            ("final_natural_accuracy_test", "Natural test accuracy, %"),
        ),
    ),
)
"""The tables of the page, and their measures from left to right."""

ATTACKS = ("train_attack", "eval_attack")


@dataclass(frozen=True)
class Layout:
    """The fields on colour, row and column; further fields that a figure needs go on rows."""

    colour: str = "strategy"
    row: str | None = None
    column: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are placed."""
        return tuple(name for name in (self.colour, self.row, self.column) if name is not None)


class LayoutError(ValueError):
    """A field or a place that does not exist; the message is one line."""


Facet = dict[str, Any]
"""The value of each field that tells a row or a column of a figure from the others."""


def parse(texts: Sequence[str], allowed: Sequence[str]) -> Layout:
    """A layout from texts such as `pgd.steps` (on colour), `row=pgd.steps` or `column=dataset`.

    Raises:
        LayoutError: A field is not among those allowed, or a place is unknown or taken.
    """
    places: dict[str, str] = {}
    for text in texts:
        place, _, field = text.rpartition("=")
        place = place or "colour"
        if place not in ("colour", "row", "column"):
            raise LayoutError(f"--by {text}: no place {place!r}, choose colour, row or column")
        if field not in allowed:
            raise LayoutError(f"--by {text}: {field!r} does not vary here, choose among {', '.join(allowed)}")
        if place in places:
            raise LayoutError(f"--by {text}: {place} shows {places[place]} already")
        places[place] = field
    layout = Layout(**places)
    if len(set(layout.fields)) < len(layout.fields):
        raise LayoutError("--by: a field can be in one place; strategy is on colour unless another field is")
    return layout


def choices(rounds: pd.DataFrame) -> list[str]:
    """The fields that a layout can place: those that vary, and those of every figure."""
    return [*varied(rounds), "dataset", "strategy", *ATTACKS]


def facets(frame: pd.DataFrame, fields: Sequence[str]) -> list[Facet]:
    """The combinations of the fields' values that occur, in the customary order; one empty facet without fields."""
    if not fields:
        return [{}]
    return [dict(zip(fields, values, strict=True)) for values in distinct(frame, list(fields))]


def label(facet: Facet, between: str = ", ") -> str:
    """A facet in words: "train fgsm → attack pgd, pgd.steps 7"."""
    words = []
    if set(ATTACKS) <= set(facet):
        words.append(f"train {facet['train_attack']} → attack {facet['eval_attack']}")
        facet = {field: value for field, value in facet.items() if field not in ATTACKS}
    words += [
        str(value) if field in ("strategy", "dataset") else f"{field.replace('_', ' ')} {show(value)}"
        for field, value in facet.items()
    ]
    return between.join(words)
