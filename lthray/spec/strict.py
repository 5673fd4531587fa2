"""The base of all models of what users write, and checks that their fields share."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function


class Strict(BaseModel):
    """A model that refuses unknown keys, coerced types and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True, eq=False)  # annotations must be hashable
class OneOf:
    """Allows the names that a registry has when a value is checked, and some other names."""

    registry: Collection[str]
    others: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names allowed."""
        return (*self.others, *self.registry)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value not in self.names:
            raise ValueError(f"allowed are {', '.join(self.names)}")
        return value


def one_of(registry: Collection[str], *others: str) -> OneOf:
    """For a field's annotation: allows the names in a registry, and `others`."""
    return OneOf(registry, others)


def check_distinct(values: list[Any]) -> list[Any]:
    """Refuses a list in which a value stands twice."""
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError("it takes different values, each given once")
    return values


Distinct = AfterValidator(check_distinct)
Count = Annotated[int, Field(ge=1, le=10**9)]
