"""Finds the sources of strategy transfer, whose masks its trajectories train under, by their fields."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from lthray.errors import InputError
from lthray.files import location
from lthray.methods.strategies import TRANSFER
from lthray.spec.dotted import nest
from lthray.spec.groups import TransferFields
from lthray.spec.presets import preset
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.transfer import TransferSpec
from lthray.store.folder import Store
from lthray.store.sources import Source, copied, copy, source_of, trained

UNSAID = ("seed", "rounds", "eval_", "end_", "prune.", "transfer.")
"""Prefixes of fields left out of `transfer.setting`: they change no mask, are always the same, or stand elsewhere."""
EXTENT = ("rounds", "eval_attacks_at", "end_attacks", "end_images")
"""Fields that say how much of a trajectory there is; they tell no trajectories apart."""


def resolve_sources(sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store) -> list[TrajectorySpec]:
    """Finds the source of each trajectory of strategy transfer; a trajectory with several becomes several.

    A source is the only trajectory of its folder with the same seed, model and layers, the values of `transfer.where`,
    and the same value in each field of `prune` that the sweep varies or sets to another value than its preset. The
    other fields of `prune` are copied from the source: they say how its masks were made.

    Args:
        sweep: The sweep.
        specs: Its trajectories as its file says them.
        store: The sweep's own results, with the sources copied earlier.

    Raises:
        InputError: there is no source, there are several, or it has too few rounds.
    """
    if sweep.transfer is None or not any(spec.strategy == TRANSFER and not spec.transfer.source for spec in specs):
        return list(specs)
    try:
        return _resolve(sweep, specs, store, sweep.transfer)
    except InputError as error:
        raise InputError(f"transfer.from: {sweep.transfer.origin}: {error}") from None


def _resolve(
    sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store, transfer: TransferSpec
) -> list[TrajectorySpec]:
    copies = copied(store)
    candidates = cache(lambda: trained(Store(location(transfer.origin))))
    resolved: dict[str, TrajectorySpec] = {}
    for spec in specs:
        if spec.strategy != TRANSFER or spec.transfer.source:
            resolved[spec.trajectory_id] = spec
            continue
        for where in transfer.alternatives():
            asked, required = {"from": transfer.origin, "where": where}, _required(sweep, spec, where)
            earlier = [
                copy for copy in copies if copy.asked == asked and copy.has(required) and copy.rounds > spec.rounds
            ]
            source = earlier[0] if len(earlier) == 1 else _find(candidates, copies, spec, required)
            own = _with_source(spec, source, where)
            if own.trajectory_id in resolved:
                raise InputError(
                    f"trajectory {source.trajectory_id} is the source of two cells of the grid that are the same"
                    " otherwise; every cell must differ in a field that changes a number"
                )
            resolved[own.trajectory_id] = own
    return list(resolved.values())


def _find(
    candidates: Callable[[], list[Source]], copies: Sequence[Source], spec: TrajectorySpec, required: Mapping[str, Any]
) -> Source:
    """Finds the source in its folder, or among the copies if the folder is gone."""
    try:
        sources = candidates()
    except InputError as error:
        try:
            return _single(copies, spec, required)
        except InputError as mismatch:
            raise InputError(f"{error}; among the copies from it, {mismatch}" if copies else str(error)) from None
    return _single(sources, spec, required)


def _required(sweep: SweepSpec, spec: TrajectorySpec, where: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a source must have."""
    fields = spec.flat()
    defaults = TrajectorySpec.model_validate(nest(preset(spec.protocol))).flat()
    pruning = [
        name
        for name, value in fields.items()
        if name.startswith("prune.") and (name in sweep.grid or value != defaults[name])
    ]
    return {name: fields[name] for name in ("seed", "model", *pruning)} | dict(where)


def _single(candidates: Sequence[Source], spec: TrajectorySpec, required: Mapping[str, Any]) -> Source:
    """The only source with the required fields and layers; the error says what there is instead."""
    matching = [source for source in candidates if source.has(required)]
    fitting = [source for source in matching if source.spec.layer_sizes == spec.layer_sizes]
    if len(fitting) == 1:
        if fitting[0].spec.trajectory_id != fitting[0].trajectory_id:
            raise InputError(
                f"trajectory {fitting[0].trajectory_id} has its id from an older lthray: run lthray migrate"
            )
        if (done := fitting[0].rounds) <= spec.rounds:
            raise InputError(
                f"trajectory {fitting[0].trajectory_id} has rounds 0 to {done - 1}, but rounds: {spec.rounds} asks for"
                f" {spec.rounds - done + 1} more; train it further, or set rounds to {done - 1} at most"
            )
        return fitting[0]
    asked = ", ".join(f"{name} {_text(value)}" for name, value in required.items())
    if len(fitting) > 1:
        values = {name: _values(fitting, name) for name in fitting[0].fields if name not in EXTENT}
        differing = {name: choices for name, choices in values.items() if len(choices) > 1}
        name, choices = next(iter(differing.items()), ("trajectory_id", [fitting[0].trajectory_id]))
        how = "; ".join(f"{field}: {', '.join(map(_text, choices))}" for field, choices in differing.items())
        raise InputError(
            f"{len(fitting)} trajectories have {asked}, and differ in {how}; name one under transfer.where, for"
            f" example {name}: {_text(choices[0])}, or list several to compare them"
        )
    if matching:
        there, here = matching[0].spec.layer_sizes, spec.layer_sizes
        layer = next(name for name in [*here, *there] if here.get(name) != there.get(name))
        raise InputError(
            f"the trajectories with {asked} have other networks: layer {layer} is {_shape(there.get(layer))} there"
            f" ({matching[0].fields['dataset']}), {_shape(here.get(layer))} here ({spec.dataset})"
        )
    seen = {name: _values(candidates, name) for name in required}
    wrong = [
        f"{name} is {', '.join(map(_text, choices)) or 'unknown'}"
        for name, choices in seen.items()
        if required[name] not in choices
    ]
    why = f"there, {'; '.join(wrong)}" if wrong else "each occurs, but not together"
    raise InputError(
        f"none of its {len(candidates)} trajectories has {asked}: {why}; train one, or say under transfer.where which"
        " to take"
    )


def _with_source(spec: TrajectorySpec, source: Source, where: Mapping[str, Any]) -> TrajectorySpec:
    """A trajectory with its source, pruned as the source was."""
    origin = source.spec
    own, source_fields = spec.flat(), origin.flat()
    by_pgd = origin.train_attack == "pgd" or origin.prune.criterion == "adversarial-gradient"
    unsaid = UNSAID if by_pgd else (*UNSAID, "pgd.")
    differing = [
        name
        for name in source_fields
        if source_fields[name] != own[name]
        and not name.startswith(unsaid)
        and not all(_follows(name, fields) for fields in (source_fields, own))
    ]
    fields = {name: source_fields.get(name) for name in ("strategy", *where, *differing) if name not in EXTENT}
    setting = "; ".join(f"{name}={_text(value)}" for name, value in fields.items())
    if origin.transfer.setting:
        setting = f"{setting} ({origin.transfer.setting})"
    transfer = TransferFields(source=source.trajectory_id, setting=setting)
    changed = {"prune": origin.prune.model_dump(), "transfer": transfer.model_dump()}
    return TrajectorySpec.model_validate(spec.model_dump() | changed)


def _follows(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a field of `retrain` has its default: the value of the first round."""
    first = name.removeprefix("retrain.")
    return first != name and bool(fields[name] == fields[first])


def _values(sources: Sequence[Source], name: str) -> list[Any]:
    different = dict.fromkeys(source.fields.get(name) for source in sources)
    return sorted((value for value in different if value is not None), key=lambda value: (str(type(value)), value))


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shape(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size)) if size else "missing"


def copy_masks(sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store) -> int:
    """Copies the masks that trajectories train under into the sweep's own folder, unless they are there already.

    Args:
        sweep: The sweep.
        specs: Its trajectories, with their sources.
        store: The sweep's own results.

    Returns:
        How many sources were copied.

    Raises:
        InputError: the masks can't be read or don't fit the source's fields, or the folder can't be written.
    """
    copies = {copy.trajectory_id: copy for copy in copied(store)}
    missing: dict[str, TrajectorySpec] = {}
    for spec in sorted(
        specs, key=lambda spec: spec.rounds
    ):  # The longest trajectory of a source comes last and counts.
        name = spec.transfer.source
        if name and (name not in copies or copies[name].rounds <= spec.rounds):
            missing[name] = spec
    if not missing or sweep.transfer is None:
        return 0
    origin = Store(location(sweep.transfer.origin))
    for name, spec in missing.items():
        source = source_of(origin, name)
        where = next(where for where in sweep.transfer.alternatives() if source.has(where))
        record = Source(name, source.fields, spec.rounds + 1, {"from": sweep.transfer.origin, "where": where})
        copy(record, spec, origin, store, copies[name].rounds if name in copies else 0)
    return len(missing)
