"""The base of all models of what users write, and checks that their fields share."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import AfterValidator, BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from lthray import references


class Strict(BaseModel):
    """A model that refuses unknown keys, coerced types and numbers that are not finite."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),  # before pydantic 2.10, the fields model and model_args had a warning
    )


@dataclass(frozen=True, eq=False)  # annotations must be hashable
class OneOf:
    """Allows the names that a registry has when a value is checked, some other names, and what users bring.

    With a group those are references, and the entry points of installed packages; see `references.find`.
    """

    registry: Collection[str]
    others: tuple[str, ...] = ()
    group: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The names allowed."""
        return (*self.others, *self.registry)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._check, handler(source))

    def _check(self, value: str) -> str:
        if value in self.names or (self.group and references.is_reference(value)):
            return value
        if not self.group:
            raise ValueError(f"allowed are {', '.join(self.names)}")
        known = references.names(self.names, self.group)
        if value not in known:
            raise ValueError(f"allowed are {', '.join(known)}, or a function of your own, as rules.py:name")
        return value


def one_of(registry: Collection[str], *others: str, group: str = "") -> OneOf:
    """For a field's annotation: allows the names in a registry, `others`, and what users bring to a group."""
    return OneOf(registry, others, group)


def check_distinct(values: list[Any]) -> list[Any]:
    """Refuses a list in which a value stands twice."""
    if any(value in values[:place] for place, value in enumerate(values)):
        raise ValueError("it takes different values, each given once")
    return values


Distinct = AfterValidator(check_distinct)
