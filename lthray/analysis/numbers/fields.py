"""The columns of a table of rounds: which are fields of a trajectory, which fields vary, how values sort and print."""

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

ROLES, UNITS = "roles", "units"
"""Keys of a frame's `attrs`: mappings from column to role, and from column to unit where it has one (`load`)."""

FIELD, IDENTITY, MEASURE, BOOKKEEPING = "field", "identity", "measure", "bookkeeping"
"""What a column can be: part of a trajectory's setting, part of what tells rows apart, a result, or where and how the
result came about."""

EVAL_ATTACKS = ("fgsm", "pgd")
NETWORK = ("model", "widths")
"""The fields that say which network it is."""

_DENSE = {"mlp", "lenet-300-100"}
_MEASURED = ("eval_attacks", "eval_attacks_at", "end_attacks", "end_images")
_SWEPT = ("seed", "dataset", "strategy", "train_attack", "rounds", *_MEASURED)
_SOURCE = "transfer.setting"
_FOLLOWS = {"retrain.iterations": "iterations", "retrain.train_attack": "train_attack"}
"""Fields that take another's value unless a sweep sets them."""

_KNOWN_ROLES = {
    **dict.fromkeys(("folder", "protocol", *_SWEPT), FIELD),
    **dict.fromkeys(("trajectory_id", "round", "transfer.source"), IDENTITY),
    **dict.fromkeys(("weights_remaining", "weights_remaining_count"), MEASURE),
    **dict.fromkeys(("round_iterations", "stack", "train_seconds", "eval_seconds", "device"), BOOKKEEPING),
    **dict.fromkeys(("lthray_version", "torch_version", "python_version"), BOOKKEEPING),
    **dict.fromkeys(("own.code", "own.tensors"), BOOKKEEPING),
}
_MEASURES = ("early_stopping_", "final_")

_ORDER: dict[Hashable, tuple[str, ...]] = {
    "train_attack": ("none", *EVAL_ATTACKS),
    "eval_attack": EVAL_ATTACKS,
    "strategy": ("reset", "random", "continued"),
    "against": ("dense", "reset", "random", "continued"),
}


def field_columns(rounds: pd.DataFrame) -> list[str]:
    """The columns that are fields of a trajectory.

    Args:
        rounds: A table of rounds. `load` keeps in `rounds.attrs["roles"]` what the files say of each column. For a
            column without a role (lthray 0.1 wrote none, and frames made by hand have none) the name decides; a column
            of unknown name is a field if it never changes within a trajectory.
    """
    roles = _KNOWN_ROLES | rounds.attrs.get(ROLES, {})
    unknown = [name for name in rounds.columns if name not in roles and not str(name).startswith(_MEASURES)]
    if unknown:
        changes = rounds.groupby(trajectory_keys(rounds))[unknown].nunique(dropna=False).max()
        roles |= {name: FIELD for name in unknown if changes[name] <= 1}
    return [name for name in rounds.columns if roles.get(name) == FIELD]


def trajectory_keys(rounds: pd.DataFrame) -> list[str]:
    """The columns that tell trajectories apart: two folders may hold the same trajectory."""
    return [name for name in ("folder", "trajectory_id") if name in rounds.columns]


def varied(rounds: pd.DataFrame) -> list[str]:
    """The fields that take several values, without those that every figure shows or averages over.

    Every figure shows or averages over seed, dataset, strategy, train_attack and rounds; eval_attacks, end_attacks and
    end_images say only what was measured. Also left out are fields that separate no groups which other fields do not
    separate already:

    - a field that the data set determines (validation_size), alone or together with the folder or the protocol
      (rewind_to, iterations, ...), or together with the field whose value it takes by default (retrain.iterations);
    - `widths` where every network has its own name, and `model` where all networks are an mlp (lenet-300-100 is one);
    - the setting of a transfer's source, unless a strategy has several sources.
    """
    candidates = [name for name in field_columns(rounds) if name not in _SWEPT and len(rounds[name].unique()) > 1]
    candidates = [name for name in candidates if not _is_determined(rounds, name, ["dataset"])]
    for follower, leader in _FOLLOWS.items():
        if follower in candidates and _is_determined(rounds, follower, ["dataset", leader]):
            candidates.remove(follower)
    if _SOURCE in candidates and _is_determined(rounds, _SOURCE, ["dataset", "train_attack", "strategy", *candidates]):
        candidates.remove(_SOURCE)
    for leader in ("folder", "protocol"):
        if leader in candidates:
            by = ["dataset", leader]
            candidates = [name for name in candidates if name == leader or not _is_determined(rounds, name, by)]
    if set(NETWORK) <= set(candidates):
        models = set(rounds["model"])
        spare = "widths" if "mlp" not in models else "model" if models <= _DENSE else ""
        candidates = [name for name in candidates if name != spare]
    return candidates


def name_sources(rounds: pd.DataFrame) -> pd.DataFrame:
    """Rounds whose strategies name the source of their masks, where a strategy has several.

    The strategy `transfer` becomes "transfer (fgsm)" or "transfer (epsilon=0.1)": what all sources have in common
    (`transfer.setting`) is left out of the name.
    """
    if _SOURCE not in varied(rounds):
        return rounds
    settings = rounds[_SOURCE].fillna("")
    parts = {setting: setting.split("; ") for setting in settings.unique() if setting}
    names = {
        setting: ", ".join(_short(part) for part in own if any(part not in fields for fields in parts.values()))
        for setting, own in parts.items()
    }
    named = [
        f"{strategy} ({names[setting]})" if names.get(setting) else strategy
        for strategy, setting in zip(rounds["strategy"], settings, strict=True)
    ]
    return rounds.assign(strategy=named)


def select(frame: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that have a value in each of some columns; a missing value selects missing values."""
    for name, value in values.items():
        frame = frame[frame[name].isna() if value is None or value != value else frame[name] == value]
    return frame


def distinct(frame: pd.DataFrame, names: list[str]) -> list[Any]:
    """The combinations of columns' values that occur, as tuples in the order in which figures and tables show them."""
    ordered = frame[names].drop_duplicates().sort_values(names, key=sort_key)
    return list(ordered.itertuples(index=False, name=None))


def sort_key(column: pd.Series) -> pd.Series:
    """A sort key: the customary order where there is one, with unknown names last."""
    known = _ORDER.get(column.name)
    if known is None:
        return column
    order = [*known, *sorted({str(value) for value in column} - set(known))]
    return column.map({value: rank for rank, value in enumerate(order)})


def show(value: object) -> str:
    """A field's value as a reader expects it: booleans as in YAML, floats without needless digits."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:g}"
    return str(value).lower() if str(value) in ("True", "False") else str(value)


def as_floats(rounds: pd.DataFrame, name: str) -> pd.Series:
    """A column as floats, NaN where it is null or absent."""
    if name not in rounds.columns:
        return pd.Series(float("nan"), index=rounds.index)
    return rounds[name].astype("float64")


def hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A group's key in which missing values equal each other."""
    return tuple(None if pd.isna(value) else value for value in key)


def _is_determined(rounds: pd.DataFrame, name: str, by: list[str]) -> bool:
    """Whether the columns `by` determine `name`."""
    by = [key for key in by if key != name]
    return bool(rounds.groupby(by, dropna=False, observed=True)[name].nunique(dropna=False).max() <= 1)


def _short(part: str) -> str:
    """`train_attack=fgsm` as `fgsm`; a number or a truth value keeps its name."""
    name, _, value = part.partition("=")
    return value if name in ("strategy", "train_attack", "dataset") else part
