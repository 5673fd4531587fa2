"""Models that refuse what they do not know."""

from collections.abc import Collection
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """A model that refuses unknown keys, coerced types and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


def one_of(names: Collection[str], *others: str) -> AfterValidator:
    """Lets through the names that are there when a value is checked, and some others."""

    def check(value: str) -> str:
        if value not in (*others, *names):
            raise ValueError(f"allowed are {', '.join((*others, *names))}")
        return value

    return AfterValidator(check)


def check_distinct(values: list[Any]) -> list[Any]:
    """Lets a list through in which no value is given twice."""
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError("it takes different values, each given once")
    return values


Distinct = AfterValidator(check_distinct)
Count = Annotated[int, Field(ge=1, le=10**9)]
