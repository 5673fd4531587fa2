"""The `transfer` section of a sweep file: the results folder and the fields of the trajectories to take masks from."""

from collections.abc import Iterator
from itertools import product
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from lthray.spec.about import About
from lthray.spec.field_names import FieldName, read_fields
from lthray.spec.strict import Distinct, Strict

Values = Annotated[
    list[Any],
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    Field(min_length=1),
    Distinct,
]


class TransferSpec(Strict):
    """Whose masks the trajectories of strategy transfer train under."""

    origin: Annotated[
        str, Field(alias="from", min_length=1), About(examples=("results/paper",), values="a path or a URL")
    ]
    """The results folder to take masks from, by path or URL."""
    where: Annotated[
        dict[FieldName, Values],
        BeforeValidator(read_fields),
        About(examples=({"strategy": "reset"},), values="a mapping of fields to a value or a list of values"),
    ] = Field(default_factory=dict)
    """The values that fields of a source must have, by dotted name; several values make as many trajectories."""

    def alternatives(self) -> Iterator[dict[str, Any]]:
        """The sources to look for: the cross product of the values of `where`, each with one value a field."""
        for values in product(*self.where.values()):
            yield dict(zip(self.where, values, strict=True))

    def size(self) -> int:
        """Number of `alternatives`."""
        return len(list(self.alternatives()))
