"""Sources: the trajectories whose masks those of strategy transfer train under, found by what their fields are."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from lthray.errors import InputError
from lthray.files import location
from lthray.methods.strategies import TRANSFER
from lthray.spec.groups import TransferFields
from lthray.spec.presets import preset
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.transfer import TransferSpec
from lthray.store.folder import Store
from lthray.store.sources import Source, copied, copy, source_of, trained

UNSAID = ("seed", "rounds", "eval_", "prune.", "transfer.")
"""Beginnings of fields left out of `transfer.setting`: they change no mask, are the same, or are said otherwise."""


def resolved(sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store) -> list[TrajectorySpec]:
    """The trajectories with their sources: of strategy transfer, one for each of the sources that are looked for.

    A source is the one trajectory of the folder that has the same seed, model and layers, what `transfer.where` says,
    and those fields of `prune` that the sweep varies or sets to something else than its preset. The others are taken
    over from the source: they say how its masks were made.

    Args:
        sweep: The sweep.
        specs: Its trajectories as its file says them.
        store: The sweep's own results, which know the sources that were copied before.

    Raises:
        InputError: there is no source, there are several, or it has too few rounds.
    """
    if sweep.transfer is None or not any(spec.strategy == TRANSFER and not spec.transfer.source for spec in specs):
        return list(specs)
    try:
        return _resolved(sweep, specs, store, sweep.transfer)
    except InputError as error:
        raise InputError(f"transfer.from: {sweep.transfer.origin}: {error}") from None


def _resolved(
    sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store, of: TransferSpec
) -> list[TrajectorySpec]:
    copies = copied(store)
    everyone = cache(lambda: trained(Store(location(of.origin))))
    found: dict[str, TrajectorySpec] = {}
    for spec in specs:
        if spec.strategy != TRANSFER or spec.transfer.source:
            found[spec.trajectory_id] = spec
            continue
        for where in of.alternatives():
            asked, wanted = {"from": of.origin, "where": where}, _wanted(sweep, spec, where)
            before = [one for one in copies if one.asked == asked and one.has(wanted) and one.rounds > spec.rounds]
            source = before[0] if len(before) == 1 else _looked_up(everyone, copies, spec, wanted)
            own = _with(spec, source, where)
            if own.trajectory_id in found:
                raise InputError(
                    f"trajectory {source.trajectory_id} is the source of two cells of the grid that are the same"
                    " otherwise; every cell must differ in a field that changes a number"
                )
            found[own.trajectory_id] = own
    return list(found.values())


def _looked_up(
    everyone: Callable[[], list[Source]], copies: Sequence[Source], spec: TrajectorySpec, wanted: Mapping[str, Any]
) -> Source:
    """The source in its folder, or among the copies where the folder is gone."""
    try:
        candidates = everyone()
    except InputError as error:
        try:
            return _only(copies, spec, wanted)
        except InputError as lacking:
            raise InputError(f"{error}; of what was copied of it, {lacking}" if copies else str(error)) from None
    return _only(candidates, spec, wanted)


def _wanted(sweep: SweepSpec, spec: TrajectorySpec, where: Mapping[str, Any]) -> dict[str, Any]:
    fields, usual = spec.flat(), preset(spec.protocol)
    set_ = [
        name
        for name, value in fields.items()
        if name.startswith("prune.") and (name in sweep.grid or value != usual[name])
    ]
    return {name: fields[name] for name in ("seed", "model", *set_)} | dict(where)


def _only(candidates: Sequence[Source], spec: TrajectorySpec, wanted: Mapping[str, Any]) -> Source:
    """The one source; an error says what was found instead."""
    matching = [one for one in candidates if one.has(wanted)]
    fitting = [one for one in matching if one.spec.layer_sizes == spec.layer_sizes]
    if len(fitting) == 1:
        if fitting[0].spec.trajectory_id != fitting[0].trajectory_id:
            raise InputError(
                f"trajectory {fitting[0].trajectory_id} is named as an older lthray did: run lthray migrate"
            )
        if (done := fitting[0].rounds) <= spec.rounds:
            raise InputError(
                f"trajectory {fitting[0].trajectory_id} has rounds 0 to {done - 1}, but rounds: {spec.rounds} asks for"
                f" {spec.rounds - done + 1} more; train it further, or set rounds to {done - 1} at most"
            )
        return fitting[0]
    asked = _shown(wanted)
    if len(fitting) > 1:
        values = {name: _values(fitting, name) for name in fitting[0].fields if name != "rounds"}
        differing = {name: found for name, found in values.items() if len(found) > 1}
        name, found = next(iter(differing.items()), ("trajectory_id", []))
        how = "; ".join(f"{field}: {', '.join(map(_text, found))}" for field, found in differing.items())
        raise InputError(
            f"{len(fitting)} trajectories have {asked}, and differ in {how}; name one under transfer.where, for"
            f" example {name}: {_text(found[0])}, or list several to compare them"
        )
    if matching:
        there, here = matching[0].spec.layer_sizes, spec.layer_sizes
        other = next(name for name in [*here, *there] if here.get(name) != there.get(name))
        raise InputError(
            f"the trajectories with {asked} are of other networks: layer {other} is {_shape(there.get(other))} there"
            f" ({matching[0].fields['dataset']}), {_shape(here.get(other))} here ({spec.dataset})"
        )
    seen = {name: _values(candidates, name) for name in wanted}
    wrong = [
        f"{name} is {', '.join(map(_text, found)) or 'unknown'}"
        for name, found in seen.items()
        if wanted[name] not in found
    ]
    why = f"there, {'; '.join(wrong)}" if wrong else "each occurs, but not together"
    raise InputError(
        f"none of its {len(candidates)} trajectories has {asked}: {why}; train one, or say under transfer.where which"
        " to take"
    )


def _with(spec: TrajectorySpec, source: Source, where: Mapping[str, Any]) -> TrajectorySpec:
    """A trajectory with its source, pruned as that was."""
    other = source.spec
    own, its = spec.flat(), other.flat()
    by_pgd = other.train_attack == "pgd" or other.prune.criterion == "adversarial-gradient"
    unsaid = UNSAID if by_pgd else (*UNSAID, "pgd.")
    differing = [
        name
        for name in its
        if its[name] != own[name]
        and not name.startswith(unsaid)
        and not all(_follows(name, fields) for fields in (its, own))
    ]
    fields = {name: its.get(name) for name in ("strategy", *where, *differing) if name != "rounds"}
    setting = "; ".join(f"{name}={_text(value)}" for name, value in fields.items())
    if other.transfer.setting:
        setting = f"{setting} ({other.transfer.setting})"
    given = TransferFields(source=source.trajectory_id, setting=setting)
    changed = {"prune": other.prune.model_dump(), "transfer": given.model_dump()}
    return TrajectorySpec.model_validate(spec.model_dump() | changed)


def _follows(name: str, fields: Mapping[str, Any]) -> bool:
    """Whether a field of `retrain` is what it is by default: that of the first round."""
    first = name.removeprefix("retrain.")
    return first != name and bool(fields[name] == fields[first])


def _values(sources: Sequence[Source], name: str) -> list[Any]:
    found = list(dict.fromkeys(one.fields.get(name) for one in sources))
    return sorted((value for value in found if value is not None), key=lambda value: (str(type(value)), value))


def _shown(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_text(value)}" for name, value in fields.items())


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shape(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size)) if size else "missing"


def keep(sweep: SweepSpec, specs: Sequence[TrajectorySpec], store: Store) -> int:
    """Copies the masks that trajectories are to be trained under, where they are not there yet.

    Args:
        sweep: The sweep.
        specs: Its trajectories, with their sources.
        store: The sweep's own results.

    Returns:
        How many sources were copied.

    Raises:
        InputError: the masks can't be read or are none of the source's, or the folder can't be written.
    """
    kept = {one.trajectory_id: one for one in copied(store)}
    short: dict[str, TrajectorySpec] = {}
    for spec in sorted(specs, key=lambda one: one.rounds):  # the longest of those that share a source comes last
        name = spec.transfer.source
        if name and (name not in kept or kept[name].rounds <= spec.rounds):
            short[name] = spec
    if not short or sweep.transfer is None:
        return 0
    origin = Store(location(sweep.transfer.origin))
    for name, spec in short.items():
        source = source_of(origin, name)
        where = next(where for where in sweep.transfer.alternatives() if source.has(where))
        record = Source(name, source.fields, spec.rounds + 1, {"from": sweep.transfer.origin, "where": where})
        copy(record, spec, origin, store, kept[name].rounds if name in kept else 0)
    return len(short)
