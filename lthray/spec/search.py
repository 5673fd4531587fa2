"""The `search` section of a sweep file: spaces, number of samples, searcher and scheduler."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from lthray.errors import InputError
from lthray.spec.about import About
from lthray.spec.explain import explain
from lthray.spec.field_names import FieldName, read_fields, refuse
from lthray.spec.metrics import METRICS
from lthray.spec.numbers import Number, Whole
from lthray.spec.strict import Strict, check_distinct, one_of
from lthray.spec.suggestions import did_you_mean

BOUNDS = ("lower", "upper")
SPACES = {
    "uniform": BOUNDS,
    "quniform": (*BOUNDS, "q"),
    "loguniform": BOUNDS,
    "qloguniform": (*BOUNDS, "q"),
    "randint": BOUNDS,
    "qrandint": (*BOUNDS, "q"),
    "lograndint": BOUNDS,
    "qlograndint": (*BOUNDS, "q"),
    "choice": (),
}
"""Ray Tune's spaces by name, with their arguments. The normal ones are left out, because every field has bounds."""

NOT_SEARCHED = {
    "seed": "can't be searched: every sample is trained with every seed of grid.seed",
    "rounds": "can't be searched: samples of different lengths can't be compared; set it in trajectory",
    **dict.fromkeys(
        ("eval_attacks_at", "end_attacks", "end_images"),
        "can't be searched: it changes no network; set it in trajectory",
    ),
    "protocol": "can't be searched: it stands at the top of the file or in grid",
    "dataset": "can't be searched: accuracies on different data can't be compared; vary it in grid",
}
"""The fields that can't be searched, each with the reason."""

SearchedField = Annotated[FieldName, refuse(NOT_SEARCHED)]

LARGEST_PRODUCT = 4096
"""The most combinations of bounds that are checked before anything runs."""


def _check_space(space: object) -> object:
    if not isinstance(space, dict) or len(space) != 1:
        raise ValueError("it is one space, for example {uniform: [0.1, 0.4]}")
    ((name, arguments),) = space.items()
    if name not in SPACES:
        raise ValueError(f"{name}: unknown space{did_you_mean(str(name), SPACES)}")
    if not isinstance(arguments, list) or not arguments:
        raise ValueError(f"{name} takes a list of {', '.join(SPACES[name]) or 'values'}")
    if name == "choice":
        check_distinct(arguments)
        return space
    whole = "int" in name
    numbers = [
        number
        for number in arguments
        if type(number) is int or (type(number) is float and math.isfinite(number) and not whole)
    ]
    if not len(numbers) == len(arguments) == len(SPACES[name]):
        what = "whole numbers" if whole else "numbers"
        raise ValueError(f"{name} takes {len(SPACES[name])} {what}: [{', '.join(SPACES[name])}]")
    lower, upper, *steps = numbers
    if not lower < upper:
        raise ValueError("lower must be less than upper")
    if steps and not steps[0] > 0:
        raise ValueError("q must be greater than 0")
    return space


Space = Annotated[dict[str, list[Any]], BeforeValidator(_check_space)]
"""One of Ray Tune's spaces by name, with its arguments."""


@dataclass(frozen=True)
class Sample:
    """A setting to train with every seed of the grid."""

    cell: dict[str, Any]
    """The fields of the grid besides `seed`, each with its value."""
    drawn: dict[str, Any]
    """The searched fields, each with the value drawn."""


class AshaSpec(Strict):
    """Ray Tune's asynchronous successive halving (Li et al. 2020); it counts time in finished rounds."""

    grace_period: Annotated[Whole, Field(ge=1)] = 1
    """Rounds that every sample is trained for."""
    reduction_factor: Annotated[Number, Field(gt=1)] = 4
    """One in this many of the samples that reach a rung goes on."""


class MedianSpec(Strict):
    """Ray Tune's median stopping rule (Golovin et al. 2017); it counts time in finished rounds."""

    grace_period: Annotated[Whole, Field(ge=1)] = 1
    """Rounds that every sample is trained for."""
    min_samples_required: Annotated[Whole, Field(ge=1)] = 3
    """Least number of samples to compare a sample with."""


SCHEDULERS: dict[str, type[Strict]] = {"asha": AshaSpec, "median": MedianSpec}
"""Schedulers by name, each with its options; `sweep.tuners` builds Tune's schedulers from them."""


def _refused_by_optuna(space: str, arguments: Sequence[Any]) -> str:
    if space in ("qloguniform", "qlograndint"):
        return "Optuna does not quantize logarithmic spaces"
    if any(isinstance(value, list | dict) for value in arguments):
        return "Optuna chooses among texts, numbers, true and false only"
    return ""


SEARCHERS: dict[str, Callable[[str, Sequence[Any]], str]] = {
    "random": lambda space, arguments: "",
    "optuna": _refused_by_optuna,
}
"""For each searcher, why it can't draw from a space, or "" where it can; `sweep.tuners` builds Tune's searchers."""


class SearchSpec(Strict):
    """What is searched in every cell of the grid."""

    space: Annotated[
        dict[SearchedField, Space],
        BeforeValidator(read_fields),
        Field(min_length=1),
        About(
            examples=({"epsilon": {"uniform": [0.1, 0.4]}},),
            values=f"a mapping of fields to one of {', '.join(SPACES)}",
        ),
    ]
    """A space of Ray Tune's for each field searched, by dotted name, for example epsilon: {uniform: [0.1, 0.4]}."""
    samples: Annotated[Whole, Field(ge=1, le=1_000_000), About("samples", examples=(20,))]
    """Settings to train in every cell of the grid."""
    searcher: Annotated[str, one_of(SEARCHERS), About()] = "random"
    """What draws the settings: random, the same in every cell; or optuna, which learns from finished settings."""
    metric: Annotated[
        str, About(examples=("early_stopping_pgd_accuracy_validation",), values=f"one of {', '.join(METRICS)}")
    ]
    """Column of `rounds` that scores a setting, by its mean over the seeds in the last round."""
    mode: Annotated[Literal["max", "min"], About()] = "max"
    """Whether the best setting has the largest or the smallest metric."""
    scheduler: Annotated[
        dict[str, dict[str, Any]],
        About(
            examples=("none", "asha"),
            values=f"{', '.join(('none', *SCHEDULERS))}, or one with its options: {{asha: {{grace_period: 2}}}}",
        ),
    ] = Field(default="none", validate_default=True)
    """What stops poor samples between rounds: none, asha or median, or one of these with its options."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32), About(examples=(0, 1))] = 0
    """Seed of the draws; the trajectories' own seeds are in the grid."""

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str) -> str:
        if value not in METRICS:
            others = did_you_mean(value, METRICS, "lthray explain search.metric lists them all")
            raise ValueError(f"it is a numeric column of rounds{others}")
        return value

    @field_validator("scheduler", mode="before")
    @classmethod
    def _check_scheduler(cls, value: object) -> object:
        named = {value: {}} if isinstance(value, str) else value
        if named in ({"none": {}}, {}):
            return {}
        if not isinstance(named, dict) or len(named) != 1 or next(iter(named)) not in SCHEDULERS:
            names = ", ".join(("none", *SCHEDULERS))
            raise ValueError(f"allowed are {names}, or one with its options, as {{asha: {{grace_period: 2}}}}")
        ((name, options),) = named.items()
        try:
            return {name: SCHEDULERS[name].model_validate(options or {}).model_dump()}
        except ValidationError as error:
            raise ValueError(f"{name}.{explain(error, SCHEDULERS[name])}") from None

    @model_validator(mode="after")
    def _check_searcher(self) -> Self:
        for field, space in self.space.items():
            for name, arguments in space.items():
                if reason := SEARCHERS[self.searcher](name, arguments):
                    raise ValueError(f"space.{field}: {reason}")
        return self

    @property
    def adaptive(self) -> bool:
        """Whether results decide what is trained, so that it can't be planned ahead."""
        return self.searcher != "random" or bool(self.scheduler)

    def draw(self) -> list[dict[str, Any]]:
        """The settings that `searcher: random` trains in every cell, each a value by field.

        Raises:
            InputError: the space has fewer settings.
        """
        from lthray.spec.spaces import draws  # Ray takes seconds to import, and only a search needs it

        return list(islice(draws(self.space, self.seed), self.samples))

    def check_size(self) -> None:
        """Checks that the space has as many settings as there are samples.

        Raises:
            InputError: it has fewer, or Tune refuses a space.
        """
        from lthray.spec.spaces import domains, settings

        most = math.prod(settings(domain) for domain in domains(self.space).values())
        if most < self.samples:
            raise InputError(f"search.samples: found {self.samples}, but the space has only {most:g} settings")

    def corners(self) -> Iterator[dict[str, Any]]:
        """The corners of the space: the product of the fields' bounds and choices.

        If some setting of the space is impossible, so is one of its corners. Above `LARGEST_PRODUCT` corners, each
        bound and each choice appears once.
        """
        from lthray.spec.spaces import domains, edges

        ends = {field: edges(domain) for field, domain in domains(self.space).items()}
        if math.prod(map(len, ends.values())) <= LARGEST_PRODUCT:
            yield from (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))
            return
        first = {field: values[0] for field, values in ends.items()}
        for field, values in ends.items():
            yield from (first | {field: value} for value in values)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether a setting is in the space."""
        from lthray.spec.spaces import domains, holds

        space = domains(self.space)
        return space.keys() == values.keys() and all(holds(space[field], value) for field, value in values.items())
