"""Numbers from a table of rounds: pure functions from frames to frames."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

EVAL_ATTACKS = ("fgsm", "pgd")
SERIES = ("dataset", "train_attack", "eval_attack", "strategy")
"""What a line of a figure stands for, within a panel's setting."""
MEASURES = (
    "early_stopping_iteration",
    "early_stopping_adversarial_accuracy_test",
    "early_stopping_natural_accuracy_test",
    "final_adversarial_accuracy_test",
    "final_natural_accuracy_test",
)
"""What `summarise` gives mean, standard deviation and number of seeds of."""
WEIGHTS = ("weights_remaining", "weights_remaining_count")
"""How much is left of a network, as a share of its weights and as their number."""

NETWORK = ("model", "widths")
"""The fields that say which network it is."""

_DENSE = {"mlp", "lenet-300-100"}
_SWEPT = ("seed", "dataset", "strategy", "train_attack", "eval_attacks", "rounds")
_SETTING = "transfer.setting"
_SAID = ("dataset", "train_attack", "strategy")
_RECORDED = frozenset((
    "trajectory_id", "round", "weights_remaining", "weights_remaining_count", "round_iterations", "stack",
    "train_seconds", "eval_seconds", "device", "lthray_version", "torch_version", "python_version",
    "transfer.source",
))  # fmt: skip
_MEASURED = (
    "early_stopping_", "final_", "accuracy_test_", "loss_validation_", "density_", "overlap_", "expected", "between",
    "place", "layer",
)  # fmt: skip
_ORDER: dict[Hashable, tuple[str, ...]] = {
    "train_attack": ("none", "fgsm", "pgd"),
    "eval_attack": EVAL_ATTACKS,
    "strategy": ("reset", "random", "continued"),
    "against": ("dense", "reset", "random", "continued"),
}


@dataclass(frozen=True, eq=False)
class Panel:
    """The part of a summary that one figure draws: one data set under one setting.

    Attributes:
        dataset: The data set.
        setting: The panel's value of every field that varies in the folder (see `varied`).
        summary: Its rows of the summary.
    """

    dataset: str
    setting: dict[str, Any]
    summary: pd.DataFrame

    @property
    def title(self) -> str:
        """The data set and what else tells this panel from others."""
        return " · ".join([self.dataset, *(f"{name} {show(value)}" for name, value in self.setting.items())])


def show(value: object) -> str:
    """A field's value as a reader expects it: booleans as in YAML, floats without needless digits."""
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:g}"
    return str(value).lower() if str(value) in ("True", "False") else str(value)


_FOLLOWS = {"retrain.iterations": "iterations", "retrain.train_attack": "train_attack"}
"""Fields that are another's unless a sweep says otherwise."""


def fields(rounds: pd.DataFrame) -> list[str]:
    """The columns that are fields of a trajectory.

    An unknown column counts as one where it never changes within a trajectory, so that a field added later keeps
    groups apart as any other does.
    """
    candidates = [name for name in rounds.columns if name not in _RECORDED and not str(name).startswith(_MEASURED)]
    known = (*_SWEPT, "protocol", "folder")
    unknown = [name for name in candidates if name not in known]
    changes = rounds.groupby(trajectory_keys(rounds))[unknown].nunique(dropna=False).max()
    return [name for name in candidates if name in known or changes[name] <= 1]


def trajectory_keys(rounds: pd.DataFrame) -> list[str]:
    """The columns that tell trajectories apart: two folders may hold the same one."""
    return [name for name in ("folder", "trajectory_id") if name in rounds.columns]


def varied(rounds: pd.DataFrame) -> list[str]:
    """The fields that take several values, besides those that the figures show or average over.

    Those are seed, dataset, strategy, train_attack, eval_attacks and rounds. A field that the data set determines
    (validation_size), or data set and the field it follows by default (retrain.iterations), or data set and folder,
    or data set and protocol together (rewind_to, iterations, ...), is left out: it tells no groups apart that are not
    apart already. So is `widths` where every network has its own name, and `model` where all are an mlp, be it by the
    name of `lenet-300-100`. So is the setting of a
    transfer's source, unless a strategy has several.
    """
    candidates = [name for name in fields(rounds) if name not in _SWEPT and len(rounds[name].unique()) > 1]
    candidates = [name for name in candidates if not _determined(rounds, name, ["dataset"])]
    for follower, leader in _FOLLOWS.items():
        if follower in candidates and _determined(rounds, follower, ["dataset", leader]):
            candidates.remove(follower)
    if _SETTING in candidates and _determined(rounds, _SETTING, [*_SAID, *candidates]):
        candidates.remove(_SETTING)
    for leader in ("folder", "protocol"):
        if leader in candidates:
            by = ["dataset", leader]
            candidates = [name for name in candidates if name == leader or not _determined(rounds, name, by)]
    if set(NETWORK) <= set(candidates):
        models = set(rounds["model"])
        spare = "widths" if "mlp" not in models else "model" if models <= _DENSE else ""
        candidates = [name for name in candidates if name != spare]
    return candidates


def tidy_rounds(rounds: pd.DataFrame) -> pd.DataFrame:
    """One row per trajectory, round and eval attack.

    A trajectory trained without an attack is measured under several and has a row for each; an attack that was not
    measured has none.

    Returns:
        The columns of `rounds` other than accuracies, with `eval_attack` (fgsm, pgd) and, for moment in early_stopping,
        final and split in validation, test: `<moment>_adversarial_accuracy_<split>` (under the eval attack) and
        `<moment>_natural_accuracy_<split>`, shares of [0, 1].
    """
    moments = [(moment, split) for moment in ("early_stopping", "final") for split in ("validation", "test")]
    accuracies = [f"{m}_{attack}_accuracy_{s}" for attack in ("none", *EVAL_ATTACKS) for m, s in moments]
    kept = rounds.drop(columns=[name for name in accuracies if name in rounds.columns])
    parts = []
    for attack in EVAL_ATTACKS:
        sources = {
            f"{moment}_{kind}_accuracy_{split}": f"{moment}_{source}_accuracy_{split}"
            for kind, source in (("adversarial", attack), ("natural", "none"))
            for moment, split in moments
        }
        values = pd.DataFrame({name: numbers(rounds, source) for name, source in sources.items()})
        adversarial = [name for name in values.columns if "_adversarial_" in name]
        part = pd.concat([kept.assign(eval_attack=attack), values], axis=1)
        parts.append(part[values[adversarial].notna().any(axis=1)])
    return pd.concat(parts, ignore_index=True)


def one_per_seed(rounds: pd.DataFrame) -> pd.DataFrame:
    """`tidy_rounds` in which a seed counts once.

    Where two trajectories differ in nothing but the list of eval attacks, the numbers of the first (by trajectory_id)
    stand for both. Every other field that varies keeps rows apart.
    """
    keys = [*varied(rounds), *SERIES, "round", "seed"]
    return tidy_rounds(rounds).sort_values(trajectory_keys(rounds)).drop_duplicates(keys)


def summarise(rounds: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds: one row per setting, data set, train attack, eval attack, strategy and round.

    A seed counts once (`one_per_seed`).

    Returns:
        The columns of `varied(rounds)`, `dataset`, `train_attack`, `eval_attack`, `strategy`, `round`,
        `weights_remaining` (mean, (0, 1]), `weights_remaining_count` (mean, weights) and, for each of `MEASURES`,
        `<measure>_mean`, `<measure>_sd` (sample standard deviation, NaN with one seed) and `<measure>_n` (seeds).
        Iterations are optimizer steps, accuracies shares of [0, 1].
    """
    settings = varied(rounds)
    keys = [*settings, *SERIES, "round"]
    groups = one_per_seed(rounds).groupby(keys, dropna=False, observed=True, sort=False)
    columns = {name: groups[name].mean() for name in WEIGHTS if name in rounds.columns}
    for measure in MEASURES:
        values = groups[measure]
        columns |= {f"{measure}_mean": values.mean(), f"{measure}_sd": values.std(), f"{measure}_n": values.count()}
    summary = pd.DataFrame(columns).reset_index()
    return summary.sort_values(keys, key=ranks, ignore_index=True)


def networks(summary: pd.DataFrame) -> pd.DataFrame | None:
    """A summary with one column `network` in place of those of `NETWORK`, to compare networks by their weights.

    Returns:
        The same rows, `network` being ordered from the network with the fewest weights to that with the most; None
        where there is one network, or nothing says how many weights there are.
    """
    names = [name for name in NETWORK if name in setting_keys(summary)]
    if not names or "weights_remaining_count" not in summary.columns:
        return None
    network = summary[names].astype(str).agg(" ".join, axis=1)
    sizes = (summary["weights_remaining_count"] / summary["weights_remaining"]).groupby(network).max()
    order = sizes.sort_values(kind="stable").index
    return summary.drop(columns=names).assign(network=pd.Categorical(network, order, ordered=True))


def panels(summary: pd.DataFrame, placed: Sequence[str] = ()) -> Iterator[Panel]:
    """A frame of means cut into what one figure each draws: by data set, then by setting.

    Args:
        summary: The rows of `summarise` or of `learning.learning_curves`.
        placed: Fields that a figure shows itself (`layout.Layout.fields`), which cut nothing.
    """
    keys = [name for name in ("dataset", *setting_keys(summary)) if name not in placed]
    for key in distinct(summary, keys) if keys else [()] * bool(len(summary)):
        setting: dict[str, Any] = dict(zip(keys, key, strict=True))
        part = select(summary, setting).reset_index(drop=True)
        dataset = str(setting.pop("dataset", ", ".join(sorted(set(part["dataset"])))))
        yield Panel(dataset, setting, part)


def select(frame: pd.DataFrame, values: Mapping[str, Any]) -> pd.DataFrame:
    """The rows that have a value in each of some columns; a missing value selects missing ones."""
    for name, value in values.items():
        frame = frame[frame[name].isna() if value is None or value != value else frame[name] == value]
    return frame


def setting_keys(summary: pd.DataFrame) -> list[str]:
    """The columns of a frame of means that hold the panels' settings."""
    known = {*SERIES, *WEIGHTS, "round", "iteration"}
    return [str(name) for name in summary.columns if name not in known and not str(name).startswith(_MEASURED)]


def attack_pairs(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """The (train attack, eval attack) pairs of a summary, in the order in which figures and tables show them."""
    return distinct(summary, ["train_attack", "eval_attack"])


def strategies(summary: pd.DataFrame) -> list[str]:
    """The strategies of a summary, in the order in which figures and tables show them."""
    return [strategy for (strategy,) in distinct(summary, ["strategy"])]


def distinct(summary: pd.DataFrame, names: list[str]) -> list[Any]:
    """The combinations of columns' values that occur, as tuples in the order in which figures and tables show them."""
    ordered = summary[names].drop_duplicates().sort_values(names, key=ranks)
    return list(ordered.itertuples(index=False, name=None))


def _determined(rounds: pd.DataFrame, name: str, by: list[str]) -> bool:
    """Whether the columns `by` leave `name` no choice."""
    by = [other for other in by if other != name]
    return bool(rounds.groupby(by, dropna=False, observed=True)[name].nunique(dropna=False).max() <= 1)


def by_source(rounds: pd.DataFrame) -> pd.DataFrame:
    """Rounds whose strategies tell sources apart where there are several: "transfer (fgsm)", "transfer (epsilon=0.1)".

    What the sources have in common (`transfer.setting`) is left out of the names.
    """
    if _SETTING not in varied(rounds):
        return rounds
    settings = rounds[_SETTING].fillna("")
    parts = {setting: setting.split("; ") for setting in settings.unique() if setting}
    names = {
        setting: ", ".join(_short(part) for part in own if any(part not in other for other in parts.values()))
        for setting, own in parts.items()
    }
    named = [
        f"{strategy} ({names[setting]})" if names.get(setting) else strategy
        for strategy, setting in zip(rounds["strategy"], settings, strict=True)
    ]
    return rounds.assign(strategy=named)


def _short(part: str) -> str:
    """`train_attack=fgsm` as `fgsm`; a number or a truth value keeps its name."""
    name, _, value = part.partition("=")
    return value if name in ("strategy", "train_attack", "dataset") else part


def numbers(rounds: pd.DataFrame, name: str) -> pd.Series:
    """A column as floats, NaN where it is null or absent."""
    if name not in rounds.columns:
        return pd.Series(float("nan"), index=rounds.index)
    return rounds[name].astype("float64")


def ranks(column: pd.Series) -> pd.Series:
    """A sort key: the customary order where there is one, unknown names behind it."""
    known = _ORDER.get(column.name)
    if known is None:
        return column
    order = [*known, *sorted({str(value) for value in column} - set(known))]
    return column.map({value: rank for rank, value in enumerate(order)})


def hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    """A group's key in which missing values equal each other."""
    return tuple(None if pd.isna(value) else value for value in key)
