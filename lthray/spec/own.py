"""What lthray has to look up of a user's own data, network and code before it can plan a trajectory."""

import json
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from lthray.methods.datasets import DatasetFacts
from lthray.methods.networks import Shape
from lthray.spec.about import About
from lthray.spec.arguments import Arguments, freeze
from lthray.spec.identity import Base
from lthray.spec.strict import Strict

ARGUMENTS = "model_args."
"""What the name of a single argument of the network's function begins with."""
WITH_REFERENCES = (
    "model", "dataset", "strategy", "train_attack", "eval_attacks", "end_attacks", "retrain.train_attack",
    "prune.criterion", "objective.name", "schedule.name",
)  # fmt: skip
"""The fields that may name an object of the user's."""
WEIGHT = ".weight"
"""The end of the name of every tensor that can be pruned, as `torch.nn.Module.state_dict` names it."""


class OwnFields(Strict):
    """Looked up when the sweep runs, never set in a sweep file; empty and 0 for what lthray brings itself."""

    data: Annotated[str, Base("", settable=False), About()] = ""
    """Digest of the data set's content."""
    shape: Annotated[str, Field(pattern=r"^(\d+(x\d+)*)?$"), Base("", hashed=False, settable=False), About()] = ""
    """Shape of an image: 3x32x32 for channels, height and width, or the number of features."""
    classes: Annotated[int, Field(ge=0), Base(0, hashed=False, settable=False), About("classes")] = 0
    """Number of classes."""
    examples: Annotated[int, Field(ge=0), Base(0, hashed=False, settable=False), About("images")] = 0
    """Training and validation images together."""
    validation: Annotated[int, Field(ge=0), Base(0, hashed=False, settable=False), About("images")] = 0
    """Images of a fixed validation split; 0 where `validation_size` decides."""
    test: Annotated[int, Field(ge=0), Base(0, hashed=False, settable=False), About("images")] = 0
    """Test images."""
    code: Annotated[str, Field(pattern="^([0-9a-f]{12})?$"), Base("", hashed=False, settable=False), About()] = ""
    """Digest of the files that the trajectory's references need."""
    tensors: Annotated[str, Base("", hashed=False, settable=False), About()] = ""
    """The tensors of the network in JSON: the name, kind, shape and type of each one of its `state_dict`."""

    def facts(self) -> DatasetFacts:
        """The data set's sizes."""
        shape = tuple(map(int, self.shape.split("x")))
        return DatasetFacts(shape, self.classes, self.examples, self.validation or None, self.test, {})


class NetworkFacts(Strict):
    """The tensors of a network, as its function made it for images of one shape."""

    model: str
    model_args: Arguments = ()
    dataset: str
    tensors: str
    """As `OwnFields.tensors`."""


class OwnFacts(Strict):
    """All that was looked up for a sweep. lthray writes it into the results folder's sweep file."""

    folder: str = ""
    """The folder that the sweep file was in, to which its paths are relative."""
    datasets: dict[str, dict[str, str | int]] = Field(default_factory=dict)
    """The fields `own.data`, `own.shape`, ... of each data set, by its name in the sweep file."""
    networks: list[NetworkFacts] = Field(default_factory=list)
    """The networks."""
    code: dict[str, str] = Field(default_factory=dict)
    """The digest of the files that references need, by the references, in order and with a space between."""

    def fields(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of `own` of a trajectory, by their dotted names, as far as they are known.

        Args:
            wanted: The trajectory's other fields, by dotted name.
        """
        model, dataset, arguments = wanted["model"], wanted["dataset"], model_arguments(wanted)
        known = {f"own.{name}": value for name, value in self.datasets.get(str(dataset), {}).items()}
        for network in self.networks:
            if (network.model, network.model_args, network.dataset) == (model, arguments, dataset):
                known["own.tensors"] = network.tensors
        return known | {"own.code": self.code.get(" ".join(references_in(wanted)), "")}


def model_arguments(fields: Mapping[str, Any]) -> object:
    """The field `model_args` from a trajectory's fields by dotted name, in which each argument may stand alone.

    What is no mapping of arguments is returned as it was found: the field's own check says what is wrong with it.
    """
    alone = {name.partition(".")[2]: value for name, value in fields.items() if name.startswith(ARGUMENTS)}
    whole = fields.get("model_args") or {}
    if not isinstance(whole, Mapping):
        return whole
    try:
        return freeze({**whole, **alone})
    except ValueError:
        return {**whole, **alone}


def references_in(fields: Mapping[str, Any]) -> list[str]:
    """The references among a trajectory's fields by dotted name, in order."""
    values = [fields.get(name) for name in WITH_REFERENCES]
    texts = {text for value in values for text in _texts(value) if ":" in text}
    return sorted(texts)


def _texts(value: object) -> Iterator[str]:
    """The names in a field's value: a name, or a list of names and of mappings of names to settings."""
    if isinstance(value, str):
        yield value.partition("(")[0]
    elif isinstance(value, Mapping):
        yield from map(str, value)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(entry)


class Tensor(NamedTuple):
    """A tensor of a network's `state_dict`."""

    name: str
    kind: str
    """`weight` (of a linear layer or a convolution), `parameter` or `buffer`."""
    shape: Shape
    dtype: str
    """As torch names it, such as float32."""


class Layout(NamedTuple):
    """The tensors of a module, in the order in which a trajectory's weights hold them."""

    layers: dict[str, Shape]
    """Shape of each tensor that has a mask, by its name without `.weight`."""
    parameters: dict[str, Shape]
    """Shape of each other parameter."""
    buffers: dict[str, Shape]
    """Shape of each buffer, such as the running statistics of a normalisation."""


@cache
def layout(tensors: str, only: tuple[str, ...]) -> Layout:
    """Sorts a module's tensors: weights of linear layers and convolutions have masks, and what `only` names besides.

    Args:
        tensors: `OwnFields.tensors`.
        only: Patterns of the parameters to prune.
    """
    entries = [Tensor(name, kind, tuple(shape), dtype) for name, kind, shape, dtype in json.loads(tensors)]

    def is_layer(tensor: Tensor) -> bool:
        named = tensor.kind != "buffer" and tensor.name.endswith(WEIGHT) and _matches(tensor.name, only)
        return tensor.name.endswith(WEIGHT) and (tensor.kind == "weight" or named)

    return Layout(
        {entry.name.removesuffix(WEIGHT): entry.shape for entry in entries if is_layer(entry)},
        {entry.name: entry.shape for entry in entries if entry.kind != "buffer" and not is_layer(entry)},
        {entry.name: entry.shape for entry in entries if entry.kind == "buffer"},
    )


def kept_whole(layers: Mapping[str, Shape], only: tuple[str, ...], besides: tuple[str, ...]) -> set[str]:
    """The layers that are never pruned: those that `prune.only` does not name, and those that `prune.except` does.

    Raises:
        ValueError: a pattern names no layer, or nothing is left to prune.
    """
    names = {layer: (layer, f"{layer}{WEIGHT}") for layer in layers}
    for field, patterns in (("only", only), ("except", besides)):
        for pattern in patterns:
            if not any(_matches(name, (pattern,)) for both in names.values() for name in both):
                raise ValueError(f"prune.{field}: {pattern} is the name of no weight; there are {', '.join(layers)}")

    def is_named(layer: str, patterns: tuple[str, ...]) -> bool:
        return any(_matches(name, patterns) for name in names[layer])

    whole = {layer for layer in layers if (only and not is_named(layer, only)) or is_named(layer, besides)}
    if len(whole) == len(layers):
        raise ValueError("prune.except: leaves no layer to prune")
    return whole


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
