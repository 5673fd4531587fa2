"""Numbers as people write them: 8/255, and 1e4 or 10000.0 where a whole number is asked for."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

_DECIMAL = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
FRACTION = rf"^\s*[-+]?{_DECIMAL}\s*/\s*{_DECIMAL}\s*$"
"""What the text of a fraction looks like, as a regular expression that Python and JSON Schema read alike."""


def read_number(value: object) -> object:
    """The quotient of a fraction that is written as text, such as `8/255`; any other value unchanged."""
    if not isinstance(value, str) or not re.match(FRACTION, value):
        return value
    numerator, denominator = map(float, value.split("/"))
    return numerator / denominator if denominator else value


def read_whole(value: object) -> object:
    """The whole number that a float or a fraction equals, such as 1e4 or `20/2`; any other value unchanged."""
    number = read_number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else value


Number = Annotated[float, BeforeValidator(read_number)]
"""The type of a field that takes a number."""
Whole = Annotated[int, BeforeValidator(read_whole)]
"""The type of a field that takes a whole number."""
Count = Annotated[Whole, Field(ge=1, le=10**9)]
"""The type of a field that takes a whole number from 1 on."""


def reader(annotation: Any, metadata: Iterable[Any] = ()) -> Callable[[object], object] | None:
    """What reads the numbers of a field: `read_number` or `read_whole`; None for a field that takes none.

    Args:
        annotation: The field's type: a number, a tuple of numbers, or a union with a number.
        metadata: The marks beside it, as pydantic keeps them.
    """
    for mark in (*metadata, *getattr(annotation, "__metadata__", ())):
        if isinstance(mark, BeforeValidator) and mark.func in (read_number, read_whole):
            return mark.func
    return next((found for part in get_args(annotation) if (found := reader(part))), None)
