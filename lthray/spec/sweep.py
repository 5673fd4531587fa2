"""A sweep as its file describes it: the sections, the cells of the grid, and the trajectories they stand for."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BeforeValidator, Field, ValidationError, field_validator, model_validator

from lthray.errors import InputError
from lthray.methods.strategies import TRANSFER
from lthray.spec.about import POSTER, About
from lthray.spec.dotted import nest
from lthray.spec.explain import explain
from lthray.spec.field_names import FieldName, has_several_values, read_fields, refuse
from lthray.spec.metrics import measured
from lthray.spec.own import OwnFacts
from lthray.spec.presets import PRESETS, preset
from lthray.spec.search import Sample, SearchSpec
from lthray.spec.sections import ResourcesSpec, VerdictsSpec
from lthray.spec.strict import Strict
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.transfer import TransferSpec
from lthray.spec.yaml_text import write_line

MAX_TRAJECTORIES = 1_000_000

LOGGERS = ("tensorboard", "mlflow", "wandb")

SharedField = Annotated[
    FieldName, refuse({"protocol": "unknown key; protocol stands at the top of the file or in grid"})
]
Values = Annotated[list[Any], Field(min_length=1)]


class SweepSpec(Strict):
    """A sweep: one setting that all trajectories share, and the grid of what varies."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"), About(examples=("my-sweep",))]
    """Name of the sweep and of its results folder: letters, digits, dots, dashes and underscores."""
    protocol: Annotated[Literal["paper", "released-code"], About(source=POSTER)] = "paper"
    """Preset that the trajectories start from."""
    trajectory: Annotated[dict[SharedField, Any], BeforeValidator(read_fields), About()] = Field(default_factory=dict)
    """Fields that differ from the preset, by dotted name."""
    grid: Annotated[dict[FieldName, Values], BeforeValidator(read_fields), Field(min_length=1), About()] = Field(
        default_factory=dict
    )
    """Values of the fields that vary, by dotted name; left out where nothing varies."""
    search: Annotated[SearchSpec | None, About()] = None
    """What is searched in every cell of the grid."""
    transfer: Annotated[TransferSpec | None, About()] = None
    """Whose masks the trajectories of strategy transfer train under."""
    resources: Annotated[ResourcesSpec, About()] = ResourcesSpec()
    """What a trial asks of Ray."""
    verdicts: Annotated[VerdictsSpec, About()] = VerdictsSpec()
    """How the report judges the claims."""
    own: Annotated[OwnFacts, About()] = OwnFacts()
    """What was looked up of data, networks and code of your own; lthray writes it into the results folder."""
    loggers: Annotated[
        dict[str, dict[str, Any]],
        About(
            examples=(["tensorboard"],), values=f"a list of {', '.join(LOGGERS)}, or a mapping of them to their options"
        ),
    ] = Field(default_factory=dict)
    """Ray's logger callbacks, each with its options; a list of names where they have none."""

    @field_validator("loggers", mode="before")
    @classmethod
    def _check_loggers(cls, value: object) -> object:
        named = dict.fromkeys(map(str, value)) if isinstance(value, list) else value
        if not isinstance(named, dict) or any(name not in LOGGERS for name in named):
            raise ValueError(f"allowed are a list of {', '.join(LOGGERS)}, or a mapping of them to their options")
        if any(not isinstance(options or {}, dict) for options in named.values()):
            raise ValueError("a logger's options are a mapping, for example mlflow: {experiment_name: robust}")
        return {name: options or {} for name, options in named.items()}

    @model_validator(mode="after")
    def _check_single_values(self) -> Self:
        for field, value in self.trajectory.items():
            if has_several_values(field, value):
                values = write_line(value)
                raise ValueError(
                    f"trajectory.{field}: found {values}, but it takes a single value here; to vary it, write grid:"
                    f" {{{field}: {values}}}, or --set 'grid.{field}={values}'"
                )
        return self

    @model_validator(mode="after")
    def _check_sections(self) -> Self:
        for field in self.search.space if self.search else ():
            if field in self.grid:
                raise ValueError(
                    f"search.space.{field}: stands in grid too, but a field is either searched or in the grid"
                )
        searched = self.search.space.get("strategy", {}).get("choice", []) if self.search else []
        if TRANSFER in (*self.strategies(), *searched):
            if self.search:
                raise ValueError("search: strategy transfer can't be searched; train it in a sweep with a grid alone")
            if self.transfer is None:
                raise ValueError(
                    "transfer: is missing, but strategy transfer needs it, for example {from: results/digits}"
                )
        if self.size() > MAX_TRAJECTORIES:
            raise ValueError(f"grid: {self.size():,} trajectories, but at most {MAX_TRAJECTORIES:,} are allowed")
        return self

    def cells(self) -> Iterator[dict[str, Any]]:
        """The grid's cross product, the last key varying fastest; one empty cell where there is no grid.

        With a search, `seed` is left out: a sample is trained with all of the grid's seeds.
        """
        grid = {name: values for name, values in self.grid.items() if name != "seed" or not self.search}
        for values in itertools.product(*grid.values()):
            yield dict(zip(grid, values, strict=True))

    def size(self) -> int:
        """Number of trajectories."""
        size = self.search.samples if self.search else 1
        for values in (values for name, values in self.grid.items() if name != "strategy"):
            size *= len(values)
        return size * sum(
            self.transfer.size() if strategy == TRANSFER and self.transfer else 1 for strategy in self.strategies()
        )

    def strategies(self) -> list[Any]:
        """The strategies of the grid, or the one of all trajectories."""
        return self.grid.get("strategy", [self.trajectory.get("strategy")])

    def samples(self) -> list[Sample]:
        """The samples that follow from the sweep file alone: all those of a random search, none of other searches."""
        if not self.search or self.search.searcher != "random":
            return []
        drawn = self.search.draw()
        return [Sample(cell, values) for cell in self.cells() for values in drawn]

    def stack_of(self, sample: Sample) -> tuple[TrajectorySpec, ...]:
        """A sample's trajectories, one a seed.

        Raises:
            InputError: a field has an impossible value.
        """
        seeds = [{"seed": seed} for seed in self.grid.get("seed", [])] or [{}]
        return tuple(self._validated(sample.cell | sample.drawn | seed) for seed in seeds)

    def sample_id(self, sample: Sample) -> str:
        """The id of a sample: that of its trajectory with seed 0, whatever the grid's seeds are."""
        return self.stack_of(sample)[0].model_copy(update={"seed": 0}).trajectory_id

    def trajectories(self) -> list[TrajectorySpec]:
        """One trajectory a cell; with a search, those of `samples`. Their sources are not looked up yet.

        Raises:
            InputError: a field has an impossible value, or two cells are the same trajectory.
        """
        if self.search:
            self._check_search(self.search)
            specs = [(sample.cell | sample.drawn, spec) for sample in self.samples() for spec in self.stack_of(sample)]
        else:
            specs = [(cell, self._validated(cell)) for cell in self.cells()]
        seen: dict[str, Mapping[str, Any]] = {}
        for cell, spec in specs:
            if spec.trajectory_id in seen:
                raise InputError(
                    f"grid: {_show(seen[spec.trajectory_id])} and {_show(cell)} are the same trajectory"
                    f" {spec.trajectory_id}; every cell must differ in a field that changes a number"
                )
            seen[spec.trajectory_id] = cell
        return [spec for _, spec in specs]

    def _check_search(self, search: SearchSpec) -> None:
        """Checks the bounds of the spaces, that they are large enough, and that the metric is measured."""
        search.check_size()
        for cell in self.cells():
            for corner in search.corners():
                spec = self._validated(cell | corner)
                if search.metric not in measured(spec):
                    raise InputError(
                        f"search.metric: found {search.metric!r}, but under train_attack {spec.train_attack} only"
                        f" {', '.join(map(str, spec.eval_attacks))} is measured; see eval_attacks"
                    )

    def fields_of(self, cell: dict[str, Any]) -> dict[str, Any]:
        """The fields of a cell's trajectory by dotted name, those of its preset among them, before they are checked."""
        protocol = cell.get("protocol", self.protocol)
        known = protocol if protocol in list(PRESETS) else self.protocol  # the model reports an unknown one
        return preset(known) | self.trajectory | cell

    def _validated(self, cell: dict[str, Any]) -> TrajectorySpec:
        fields = self.fields_of(cell)
        try:
            return TrajectorySpec.model_validate(nest(fields | self.own.fields(fields)))
        except ValidationError as error:
            line = explain(error, TrajectorySpec)
            field = line.partition(":")[0]
            varied = "search.space." if self.search and field in self.search.space else "grid."
            section = varied if field in cell else "trajectory." if field in self.trajectory else ""
            raise InputError(f"{section}{line}") from None

    def resolved(self) -> str:
        """The sweep as YAML with every default written out; read again, it gives the same trajectories.

        Where the grid varies `protocol`, the fields in which its presets differ are only named in comments.
        """
        protocols = self.grid.get("protocol", [self.protocol])
        bases = [preset(protocol) | self.trajectory for protocol in protocols]
        shared = {k: v for k, v in bases[0].items() if k != "protocol" and all(base[k] == v for base in bases)}
        differing = [k for k in bases[0] if k != "protocol" and k not in shared]
        tree = {
            "name": self.name,
            "protocol": self.protocol,
            "trajectory": nest(shared),
            **({"grid": self.grid} if self.grid else {}),
            **({"search": self.search.model_dump()} if self.search else {}),
            **({"transfer": self.transfer.model_dump(by_alias=True)} if self.transfer else {}),
            "resources": self.resources.model_dump(),
            "verdicts": self.verdicts.model_dump(),
            **({"own": own} if (own := self.own.model_dump(exclude_defaults=True)) else {}),
            "loggers": self.loggers,
        }
        text: str = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
        notes = [
            f"# {key} is the preset's: "
            + ", ".join(f"{base[key]} ({name})" for name, base in zip(protocols, bases, strict=True))
            for key in differing
        ]
        return "\n".join([*notes, text]) if notes else text


def _show(cell: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in cell.items()) + "}"
