"""Numbers as people write them: 8/255, 1e-3, and 1e4 or 10000.0 where a whole number is asked for."""

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

_DIGITS = r"(?:\d+(?:\.\d*)?|\.\d+)"
_EXPONENT = r"[eE][-+]?\d+"
NUMBER_IN_TEXT = rf"^\s*[-+]?{_DIGITS}(?:(?:{_EXPONENT})?\s*/\s*{_DIGITS}(?:{_EXPONENT})?|{_EXPONENT})\s*$"
"""What the text of a fraction, or of a number with an exponent, looks like: Python and JSON Schema read it alike."""


def read_number(value: object) -> object:
    """The number that a text such as `8/255` or `1e-3` stands for; any other value unchanged.

    YAML reads a fraction as text, and so do many of its readers with a number that has an exponent and no dot.
    """
    if not isinstance(value, str) or not re.match(NUMBER_IN_TEXT, value):
        return value
    numerator, slash, denominator = value.partition("/")
    divisor = float(denominator) if slash else 1.0
    return float(numerator) / divisor if divisor else value


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
    return next(filter(None, map(reader, get_args(annotation))), None)
