"""The sweep file: YAML and `--set` in, a validated sweep and its trajectories out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator
from upath import UPath

from lthray.errors import InputError
from lthray.files import read
from lthray.methods.strategies import TRANSFER
from lthray.spec.dotted import nest
from lthray.spec.field_names import FIELDS, kind, nearest
from lthray.spec.metrics import measured
from lthray.spec.presets import preset
from lthray.spec.search import Sample, SearchSpec
from lthray.spec.strict import Strict
from lthray.spec.sweep import assign, sections_of
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.transfer import TransferSpec
from lthray.spec.yaml_text import read_yaml

MAX_TRAJECTORIES = 1_000_000

LOGGERS = ("tensorboard", "mlflow", "wandb")


class ResourcesSpec(Strict):
    """What a trial asks of Ray."""

    cpus: Annotated[float, Field(gt=0)] = 1
    """CPUs of a trial."""
    gpus: Annotated[float, Field(ge=0)] = 0.25
    """GPU share of a trial, or a whole number of GPUs; where no GPU is in reach it runs on CPU."""
    stack: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Trajectories that a trial trains side by side."""
    retries: Annotated[int, Field(ge=0)] = 3
    """How often a trial whose worker died is started again, from its last finished round."""


class SweepSpec(Strict):
    """A sweep: one setting that all trajectories share, and the grid of what varies."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    """Name of the sweep and of its results folder: letters, digits, dots, dashes and underscores."""
    protocol: Literal["paper", "released-code"] = "paper"
    """Preset that the trajectories start from."""
    trajectory: dict[str, Any] = Field(default_factory=dict)
    """Fields that differ from the preset, by dotted name."""
    grid: dict[str, list[Any]] = Field(default_factory=dict)
    """Values of the fields that vary, by dotted name."""
    search: SearchSpec | None = None
    """What is searched in every cell of the grid."""
    transfer: TransferSpec | None = None
    """Whose masks the trajectories of strategy transfer train under."""
    resources: ResourcesSpec = ResourcesSpec()
    """What a trial asks of Ray."""
    loggers: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Ray's logger callbacks to tell of every trial, each with its options; a list of names where there are none."""

    @field_validator("loggers", mode="before")
    @classmethod
    def _check_loggers(cls, value: object) -> object:
        named = dict.fromkeys(map(str, value)) if isinstance(value, list) else value
        if not isinstance(named, dict) or any(name not in LOGGERS for name in named):
            raise ValueError(f"allowed are a list of {', '.join(LOGGERS)}, or a mapping of them to their options")
        if any(not isinstance(options or {}, dict) for options in named.values()):
            raise ValueError("a logger's options are a mapping, for example mlflow: {experiment_name: robust}")
        return {name: options or {} for name, options in named.items()}

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
        return size * sum(self.transfer.size() if one == TRANSFER and self.transfer else 1 for one in self.strategies())

    def strategies(self) -> list[Any]:
        """The strategies of the grid, or the one of all trajectories."""
        return self.grid.get("strategy", [self.trajectory.get("strategy")])

    def samples(self) -> list[Sample]:
        """What a search trains as far as the sweep file says it: all of it, or, where results lead it, nothing."""
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

    def trajectories(self) -> list[TrajectorySpec]:
        """One trajectory a cell; with a search, those of `samples`. Without their sources.

        Raises:
            InputError: a field has an impossible value, or two cells are the same trajectory.
        """
        if self.search:
            self._check_search(self.search)
            found = [(one.cell | one.drawn, spec) for one in self.samples() for spec in self.stack_of(one)]
        else:
            found = [(cell, self._validated(cell)) for cell in self.cells()]
        seen: dict[str, Mapping[str, Any]] = {}
        for cell, spec in found:
            if spec.trajectory_id in seen:
                raise InputError(
                    f"grid: {_show(seen[spec.trajectory_id])} and {_show(cell)} are the same trajectory"
                    f" {spec.trajectory_id}; every cell must differ in a field that changes a number"
                )
            seen[spec.trajectory_id] = cell
        return [spec for _, spec in found]

    def _check_search(self, search: SearchSpec) -> None:
        """Checks the bounds of the spaces, that they are large enough, and that the metric is measured."""
        search.check_size()
        for cell in self.cells():
            for corner in search.corners():
                spec = self._validated(cell | corner)
                if search.metric not in measured(spec):
                    raise InputError(
                        f"search.metric: found {search.metric!r}, but under train_attack {spec.train_attack} only"
                        f" {', '.join(spec.eval_attacks)} is measured; see eval_attacks"
                    )

    def _validated(self, cell: dict[str, Any]) -> TrajectorySpec:
        fields = preset(cell.get("protocol", self.protocol)) | self.trajectory | cell
        try:
            return TrajectorySpec.model_validate(nest(fields))
        except ValidationError as error:
            key = ".".join(str(part) for part in error.errors()[0]["loc"] if part in _words())
            given = self.trajectory
            varied = "search.space." if self.search and key in self.search.space else "grid."
            section = varied if key in cell else "trajectory." if any(k.startswith(key) for k in given) else ""
            raise InputError(explain(error, section if key else "")) from None

    def resolved(self) -> str:
        """The sweep as YAML with every default written out; read again, it gives the same trajectories.

        Where the grid varies `protocol`, fields that differ between its presets stay theirs and stand in a comment.
        """
        protocols = self.grid.get("protocol", [self.protocol])
        bases = [preset(protocol) | self.trajectory for protocol in protocols]
        shared = {k: v for k, v in bases[0].items() if k != "protocol" and all(base[k] == v for base in bases)}
        differing = [k for k in bases[0] if k != "protocol" and k not in shared]
        tree = {
            "name": self.name,
            "protocol": self.protocol,
            "trajectory": nest(shared),
            "grid": self.grid,
            **({"search": self.search.model_dump()} if self.search else {}),
            **({"transfer": self.transfer.model_dump(by_alias=True)} if self.transfer else {}),
            "resources": self.resources.model_dump(),
            "loggers": self.loggers,
        }
        text: str = yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, allow_unicode=True, width=120)
        notes = [
            f"# {key} is the preset's: "
            + ", ".join(f"{base[key]} ({name})" for name, base in zip(protocols, bases, strict=True))
            for key in differing
        ]
        return "\n".join([*notes, text]) if notes else text


def load(path: Path | UPath, sets: Sequence[str] = ()) -> tuple[SweepSpec, list[TrajectorySpec]]:
    """Reads a sweep file, applies `--set key=value` in order, and expands the grid.

    Raises:
        InputError: the file can't be read; it or a `--set` has an unknown key, a wrong type, an impossible value or
            an empty grid; two cells are the same trajectory.
    """
    try:
        text = read(UPath(path)).decode("utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: can't be read: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    tree = read_yaml(text, str(path))
    try:
        sweep = parse(tree, sets)
        return sweep, sweep.trajectories()
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def parse(tree: object, sets: Sequence[str] = ()) -> SweepSpec:
    """Validates a sweep file's content, but not yet the values of its trajectories; see `load`."""
    if not isinstance(tree, dict):
        raise InputError(f"found {kind(tree)}, but a sweep file is a mapping of {', '.join(SweepSpec.model_fields)}")
    sections = sections_of(tree, SweepSpec.model_fields)
    for one in sets:
        assign(sections, one, SweepSpec.model_fields)
    try:
        sweep = SweepSpec.model_validate(sections)
    except ValidationError as error:
        raise InputError(explain(error)) from None
    for field in sweep.search.space if sweep.search else ():
        if field in sweep.grid:
            raise InputError(f"search.space.{field}: stands in grid too, but a field is either searched or in the grid")
    searched = sweep.search.space.get("strategy", {}).get("choice", []) if sweep.search else []
    if TRANSFER in (*sweep.strategies(), *searched):
        if sweep.search:
            raise InputError("search: strategy transfer can't be searched; train it in a sweep with a grid alone")
        if sweep.transfer is None:
            raise InputError("transfer: is missing, but strategy transfer needs it, for example {from: results/digits}")
    if sweep.size() > MAX_TRAJECTORIES:
        raise InputError(f"grid: {sweep.size():,} trajectories, but at most {MAX_TRAJECTORIES:,} are allowed")
    return sweep


def _words() -> set[str]:
    return {
        word
        for name in (*FIELDS, *SweepSpec.model_fields, *ResourcesSpec.model_fields, *SearchSpec.model_fields)
        for word in name.split(".")
    }


def explain(error: ValidationError, section: str = "") -> str:
    """The first of pydantic's errors as one line: key, what was found, what is allowed."""
    errors = error.errors()
    first = errors[0]
    words = _words()
    key = ".".join(str(part) for part in first["loc"] if str(part) in words or first["type"] == "extra_forbidden")
    more = f" (and {len(errors) - 1} more)" if len({e["loc"][:2] for e in errors}) > 1 else ""
    if first["type"] == "extra_forbidden":
        return f"{section}{key}: unknown key{nearest(key, ResourcesSpec.model_fields)}{more}"
    if first["type"] == "missing":
        return f"{section}{key}: is missing{more}"
    if first["type"] == "value_error":
        said = str(first["ctx"]["error"])
        return f"{section}{key}: found {first['input']!r}, but {said}{more}" if key else said
    same = [
        e["msg"]
        for e in errors
        if e["loc"][: len(first["loc"]) - 1] == first["loc"][:-1] and e["input"] == first["input"]
    ]
    said = " or ".join(dict.fromkeys(same)).replace("Input should", "it should").replace("String should", "it should")
    return f"{section}{key}: found {first['input']!r}, but {said}{more}"


def _show(cell: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in cell.items()) + "}"
