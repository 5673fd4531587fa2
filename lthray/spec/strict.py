"""Models that refuse what they do not know."""

from collections.abc import Collection
from typing import Annotated

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


Count = Annotated[int, Field(ge=1, le=10**9)]
