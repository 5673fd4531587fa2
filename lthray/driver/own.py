"""Looks up what lthray has to know of a user's own data, networks and code before it can plan a sweep."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from upath import UPath

from lthray import files, references
from lthray.driver import datasets
from lthray.errors import InputError
from lthray.methods import networks
from lthray.methods.datasets import DATASETS, DatasetFacts
from lthray.spec.arguments import Pairs, thaw
from lthray.spec.own import ARGUMENTS, WITH_REFERENCES, NetworkFacts, OwnFacts, model_arguments, references_in
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store

FOLDER = "code"
"""Where a results folder keeps the code packages that it was trained with."""


def look_up(sweep: SweepSpec, folder: Path, data_dir: Path) -> OwnFacts:
    """Looks up a sweep's data sets, networks and code.

    Nothing is read, and torch is not imported, where a sweep has nothing of the user's own.

    Args:
        sweep: The sweep, whose `own` is empty.
        folder: The folder of its file.
        data_dir: Where torchvision's data sets are, or are downloaded to.

    Raises:
        InputError: a file, a function or a data set is not there, or is not what it should be.
    """
    code: dict[str, str] = {}
    data: dict[str, tuple[DatasetFacts, str]] = {}
    built: dict[tuple[Any, ...], NetworkFacts] = {}
    for fields in _combinations(sweep):
        wanted = references_in(fields)
        key = " ".join(wanted)
        if wanted and key not in code:
            code[key] = stage(references.closure(folder, wanted))
        dataset, model = fields["dataset"], fields["model"]
        if not isinstance(dataset, str) or not isinstance(model, str):
            continue  # the trajectory's own checks say what is allowed
        digest = code.get(key, "")
        if datasets.is_own(dataset) and dataset not in data:
            data[dataset] = datasets.look(dataset, folder, data_dir, digest)
        known = model in networks.MODULES or references.is_reference(model)
        arguments = model_arguments(fields)
        if not known or not isinstance(arguments, tuple):
            continue  # likewise
        if (model, arguments, dataset) not in built:
            facts = DATASETS[dataset] if dataset in DATASETS else data[dataset][0]
            built[model, arguments, dataset] = _network(model, arguments, dataset, facts, digest)
    used = {name: digest for name, digest in code.items() if digest}
    if not (data or built or used):
        return OwnFacts()
    return OwnFacts(
        folder=str(folder),
        datasets={name: _as_fields(facts, digest) for name, (facts, digest) in data.items()},
        networks=list(built.values()),
        code=used,
    )


def _combinations(sweep: SweepSpec) -> Iterator[dict[str, Any]]:
    """The fields of the sweep's trajectories by dotted name, once for each combination of those that are looked up."""

    def is_looked_up(name: str) -> bool:
        return name in WITH_REFERENCES or name == "model_args" or name.startswith(ARGUMENTS)

    varied = {name: values for name, values in sweep.grid.items() if is_looked_up(name)}
    for name, space in (sweep.search.space if sweep.search else {}).items():
        if is_looked_up(name):
            varied[name] = next(iter(space.values()))
    for values in product(*varied.values()):
        yield sweep.fields_of(dict(zip(varied, values, strict=True)))


def _network(model: str, arguments: Pairs, dataset: str, facts: DatasetFacts, code: str) -> NetworkFacts:
    from lthray.engine.module import build_module, describe_tensors  # torch takes seconds to import

    module = build_module(model, thaw(arguments), facts, code, 0)
    tensors = json.dumps(describe_tensors(module, model))
    return NetworkFacts(model=model, model_args=arguments, dataset=dataset, tensors=tensors)


def _as_fields(facts: DatasetFacts, digest: str) -> dict[str, str | int]:
    return {
        "data": digest,
        "shape": "x".join(map(str, facts.shape)),
        "classes": facts.classes,
        "examples": facts.examples,
        "validation": facts.validation or 0,
        "test": facts.test,
    }


@cache  # the folder lasts as long as the process, which removes it at its end
def _staging() -> "tempfile.TemporaryDirectory[str]":
    """A folder of this process's own on Python's path, for code packages."""
    folder = tempfile.TemporaryDirectory(prefix="lthray-code-")
    sys.path.append(folder.name)
    return folder


def stage(contents: Mapping[str, bytes]) -> str:
    """Puts a code package where this process finds it, and returns its digest; empty where there are no files."""
    code = references.digest(contents)
    if code:
        _write(Path(_staging().name) / f"{references.PACKAGE}{code}", contents)
    return code


def package_in(store: Store, code: str) -> UPath:
    """The folder of a code package in a results folder."""
    return store.folder / FOLDER / f"{references.PACKAGE}{code}"


def keep(store: Store, own: OwnFacts) -> None:
    """Writes the code packages of a sweep into its results folder, beside those that it was trained with before.

    Raises:
        OSError: one can't be written.
    """
    for code in set(own.code.values()):
        place = package_in(store, code)
        if not place.is_dir():
            for file in sorted((package := references.package(code)).rglob("*.py")):
                path = file.relative_to(package)
                files.replace(place.joinpath(*path.parts), file.read_bytes())


def fetch(store: Store, own: OwnFacts) -> list[Path]:
    """The code packages of a sweep as folders of this process, from its results folder; Ray sends them to its workers.

    Raises:
        InputError: the results folder does not have one.
    """
    return [fetch_package(store, code) for code in sorted(set(own.code.values()))]


def fetch_package(store: Store, code: str) -> Path:
    """A code package that a results folder keeps, by its digest, as a folder of this process.

    Raises:
        InputError: the results folder does not have it.
    """
    place = package_in(store, code)
    contents = {str(path.relative_to(place)): files.read(path) for path in place.rglob("*.py")}
    if references.digest(contents) != code:
        raise InputError(f"{place}: is not there, or was changed; run the sweep again from its own file")
    stage(contents)
    return Path(_staging().name) / place.name


def _write(folder: Path, contents: Mapping[str, bytes]) -> None:
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def check_code(store: Store, trajectories: Sequence[TrajectorySpec]) -> None:
    """Checks that finished rounds were trained with the code that further rounds would be trained with.

    Raises:
        InputError: a file has changed since.
    """
    begun = set(files.names(store.folder / "rounds", ".parquet"))
    changed: dict[tuple[str, str], int] = {}
    for spec in (spec for spec in trajectories if spec.own.code and spec.trajectory_id in begun):
        rows = store.fields("rounds", spec.trajectory_id)
        before = rows.get("own.code", "") if rows else spec.own.code
        if before != spec.own.code:
            changed[before, spec.own.code] = changed.get((before, spec.own.code), 0) + 1
    if changed:
        (before, now), _ = next(iter(changed.items()))
        count = sum(changed.values())
        raise InputError(
            f"{_difference(store, before, now)} changed since {count} trajectories of {store.folder} were trained:"
            " name another folder with --out, or go on with --accept-changed-code"
        )


def _difference(store: Store, before: str, now: str) -> str:
    """The names of the files in which two code packages differ."""
    old, new = package_in(store, before), references.package(now) if now else None
    contents = {str(path.relative_to(old)): files.read(path) for path in old.rglob("*.py")} if before else {}
    current = {path.relative_to(new).as_posix(): path.read_bytes() for path in new.rglob("*.py")} if new else {}
    names = sorted(name for name in {*contents, *current} if contents.get(name) != current.get(name))
    return ", ".join(names) or "the code"
