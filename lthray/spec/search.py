"""The `search` section of a sweep file: spaces, how many samples, who draws them, and who stops them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from lthray.errors import InputError
from lthray.spec.dotted import nest
from lthray.spec.field_names import FIELDS, GROUPS, check_field, kind, nearest
from lthray.spec.metrics import METRICS
from lthray.spec.strict import Strict

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
"""Ray Tune's spaces by name, with their arguments; its normal ones are left out, for every field has bounds."""

ELSEWHERE = {
    "seed": "every sample is trained with every seed of grid.seed",
    "rounds": "samples of different lengths can't be compared; set it in trajectory",
    "protocol": "it stands at the top of the file or in grid",
    "dataset": "accuracies on different data can't be compared; vary it in grid",
}
"""Fields that can't be searched, and why."""

LARGEST_PRODUCT = 4096
"""Combinations of bounds that are tried before anything runs."""


@dataclass(frozen=True)
class Sample:
    """One setting to train, with every seed of the grid."""

    cell: dict[str, Any]
    """The fields of the grid besides `seed`, each with its value."""
    drawn: dict[str, Any]
    """The fields searched, each with the value drawn."""


class AshaSpec(Strict):
    """Asynchronous successive halving (Li et al. 2020), by Ray Tune; time is counted in finished rounds."""

    grace_period: Annotated[int, Field(ge=1)] = 1
    """Rounds that every sample is given."""
    reduction_factor: Annotated[float, Field(gt=1)] = 4
    """Of so many samples that reach a rung, one goes on."""


class MedianSpec(Strict):
    """The median stopping rule (Golovin et al. 2017), by Ray Tune; time is counted in finished rounds."""

    grace_period: Annotated[int, Field(ge=1)] = 1
    """Rounds that every sample is given."""
    min_samples_required: Annotated[int, Field(ge=1)] = 3
    """Samples that there must be to compare with."""


SCHEDULERS: dict[str, type[Strict]] = {"asha": AshaSpec, "median": MedianSpec}


class SearchSpec(Strict):
    """What is searched in every cell of the grid."""

    space: Annotated[dict[str, dict[str, list[Any]]], Field(min_length=1)]
    """Ray Tune's space of each field searched, by dotted name: `epsilon: {uniform: [0.1, 0.4]}`."""
    samples: Annotated[int, Field(ge=1, le=1_000_000)]
    """Settings to train in every cell of the grid."""
    searcher: Literal["random", "optuna"] = "random"
    """Who draws them: at random, the same in every cell; or Optuna, which learns from those that are finished."""
    metric: str
    """Column of `rounds` that says how good a setting is, as a mean over seeds; the last round's counts."""
    mode: Literal["max", "min"] = "max"
    """Whether the metric is to be large or small."""
    scheduler: dict[str, dict[str, Any]] = Field(default="none", validate_default=True)
    """Who stops poor samples between rounds: none, asha or median, or one of these with its options."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of the draws; the trajectories' own seeds are in the grid."""

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, value: str) -> str:
        if value not in METRICS:
            raise ValueError(f"it is a number of a row of rounds{nearest(value, METRICS)}")
        return value

    @field_validator("scheduler", mode="before")
    @classmethod
    def _check_scheduler(cls, value: object) -> object:
        given = {value: {}} if isinstance(value, str) else value
        if given in ({"none": {}}, {}):
            return {}
        if not isinstance(given, dict) or len(given) != 1 or next(iter(given)) not in SCHEDULERS:
            raise ValueError("allowed are none, asha, median, or one with its options, as {asha: {grace_period: 2}}")
        ((name, options),) = given.items()
        try:
            return {name: SCHEDULERS[name].model_validate(options or {}).model_dump()}
        except ValidationError as error:
            first = error.errors()[0]
            at = ".".join(map(str, (name, *first["loc"])))
            allowed = ", ".join(SCHEDULERS[name].model_fields)
            raise ValueError(f"{at}: {first['msg']}; its options are {allowed}") from None

    @model_validator(mode="after")
    def _check_searcher(self) -> Self:
        if self.searcher == "optuna":
            for field, space in self.space.items():
                if any(name in ("qloguniform", "qlograndint") for name in space):
                    raise ValueError(f"search.space.{field}: Optuna does not quantize logarithmic spaces")
                if any(isinstance(value, list | dict) for value in space.get("choice", ())):
                    raise ValueError(f"search.space.{field}: Optuna chooses among texts, numbers, true and false only")
        return self

    @property
    def adaptive(self) -> bool:
        """Whether what is trained depends on results, so that it can't be laid down before."""
        return self.searcher != "random" or bool(self.scheduler)

    def draw(self) -> list[dict[str, Any]]:
        """The settings that `searcher: random` trains in every cell, each a value by field.

        Raises:
            InputError: the space has not so many settings.
        """
        from lthray.spec.spaces import draws  # Ray takes seconds to import: only a search has need of it

        return list(islice(draws(self.space, self.seed), self.samples))

    def check_size(self) -> None:
        """Checks that the space has as many settings as there are samples.

        Raises:
            InputError: it has not, or Tune refuses a space.
        """
        from lthray.spec.spaces import domains, settings

        most = 1.0
        for domain in domains(self.space).values():
            most *= settings(domain)
        if most < self.samples:
            raise InputError(f"search.samples: found {self.samples}, but the space has only {most:g} settings")

    def corners(self) -> Iterator[dict[str, Any]]:
        """Settings that are impossible if any setting of the space is: the product of the fields' bounds and choices.

        Where these are too many, each bound and each choice once.
        """
        from lthray.spec.spaces import domains, edges

        ends = {field: edges(domain) for field, domain in domains(self.space).items()}
        size = 1
        for values in ends.values():
            size *= len(values)
        if size <= LARGEST_PRODUCT:
            yield from (dict(zip(ends, values, strict=True)) for values in product(*ends.values()))
            return
        first = {field: values[0] for field, values in ends.items()}
        for field, values in ends.items():
            yield from (first | {field: value} for value in values)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether a setting is one of the space's."""
        from lthray.spec.spaces import domains, holds

        mine = domains(self.space)
        return mine.keys() == values.keys() and all(holds(mine[field], value) for field, value in values.items())


def search_section(tree: object) -> dict[str, Any]:
    """The section with its spaces by dotted name, each a known field's and of a known form.

    Raises:
        InputError: it is not a mapping, or a space is none.
    """
    if not isinstance(tree, dict):
        raise InputError(f"search: found {kind(tree)}, but it is a mapping of {', '.join(SearchSpec.model_fields)}")
    for name in tree:
        if name not in SearchSpec.model_fields:
            hint = f" (a field to search: search.space.{name})" if name in FIELDS or name in GROUPS else ""
            raise InputError(f"search.{name}: unknown key{hint or nearest(name, SearchSpec.model_fields)}")
    return {name: space_section(value) if name == "space" else value for name, value in tree.items()}


def set_search(section: Mapping[str, Any] | None, key: str, value: object) -> dict[str, Any] | None:
    """The section with one key set, `space.epsilon` say; an empty key sets all of it, to nothing with `null`.

    Raises:
        InputError: as in `search_section`.
    """
    if not key:
        return None if value is None else search_section(value)
    old, given = dict(section or {}), search_section(nest({key: value}))
    if key.startswith("space."):
        given = {"space": old.get("space", {}) | given["space"]}
    return old | given


def space_section(tree: object) -> dict[str, dict[str, list[Any]]]:
    """The spaces by dotted name.

    Raises:
        InputError: one is not a known field's, or not of a known form.
    """
    if not isinstance(tree, dict) or not tree:
        found = "it is empty" if tree == {} else f"found {kind(tree)}"
        raise InputError(f"search.space: {found}, but it is a mapping of fields to spaces, {_EXAMPLE}")
    found_spaces = dict(_spaces(tree, ""))
    for field, space in found_spaces.items():
        check_field(field, space, "search.space")
        if field in ELSEWHERE:
            raise InputError(f"search.space.{field}: can't be searched: {ELSEWHERE[field]}")
        _check_space(field, space)
    return found_spaces


_EXAMPLE = "for example epsilon: {uniform: [0.1, 0.4]}"


def _spaces(tree: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if f"{prefix}{name}" in GROUPS and isinstance(value, dict):
            yield from _spaces(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _check_space(field: str, space: object) -> None:
    key = f"search.space.{field}"
    if not isinstance(space, dict) or len(space) != 1:
        raise InputError(f"{key}: found {space!r}, but it is one space, {_EXAMPLE}")
    ((name, arguments),) = space.items()
    if name not in SPACES:
        raise InputError(f"{key}: {name}: unknown space{nearest(name, SPACES)}")
    wanted = SPACES[name]
    if not isinstance(arguments, list):
        raise InputError(f"{key}: found {name}: {arguments!r}, but it takes a list")
    if name == "choice":
        if not arguments or any(value in arguments[:place] for place, value in enumerate(arguments)):
            raise InputError(f"{key}: found choice: {arguments}, but it takes a list of different values")
        return
    numbers = int if "int" in name else (int, float)
    if len(arguments) != len(wanted) or any(
        not isinstance(one, numbers) or isinstance(one, bool) or one != one or abs(one) == float("inf")
        for one in arguments
    ):
        what = "whole numbers" if numbers is int else "numbers"
        raise InputError(f"{key}: found {name}: {arguments}, but it takes {len(wanted)} {what}: [{', '.join(wanted)}]")
    if not arguments[0] < arguments[1]:
        raise InputError(f"{key}: found {name}: {arguments}, but lower must be less than upper")
    if wanted[2:] and not arguments[2] > 0:
        raise InputError(f"{key}: found {name}: {arguments}, but q must be greater than 0")
