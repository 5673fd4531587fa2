"""Numbers from a table of rounds: pure functions from frames to frames."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lthray.analysis.numbers.fields import (
    EVAL_ATTACKS,
    NETWORK,
    as_floats,
    distinct,
    select,
    show,
    sort_key,
    trajectory_keys,
    varied,
)
from lthray.analysis.numbers.frames import ROUNDS, SUMMARY, takes

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


@takes(rounds=ROUNDS)
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
        values = pd.DataFrame({name: as_floats(rounds, source) for name, source in sources.items()})
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


@takes(rounds=ROUNDS)
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
    return summary.sort_values(keys, key=sort_key, ignore_index=True)


@takes(summary=SUMMARY)
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
    compared = summary.drop(columns=names)
    compared.insert(0, "network", pd.Series(pd.Categorical(network, order, ordered=True), index=summary.index))
    return compared


def panels(summary: pd.DataFrame, placed: Sequence[str] = ()) -> Iterator[Panel]:
    """A frame of means cut into what one figure each draws: by data set, then by setting.

    Args:
        summary: The rows of `summarise` or of `learning_curves`.
        placed: Fields that a figure shows itself (`layout.Layout.fields`), which cut nothing.
    """
    keys = [name for name in ("dataset", *setting_keys(summary)) if name not in placed]
    for key in distinct(summary, keys) if keys else [()] * bool(len(summary)):
        setting: dict[str, Any] = dict(zip(keys, key, strict=True))
        part = select(summary, setting).reset_index(drop=True)
        dataset = str(setting.pop("dataset", ", ".join(sorted(set(part["dataset"])))))
        yield Panel(dataset, setting, part)


def setting_keys(summary: pd.DataFrame) -> list[str]:
    """The columns of a frame of means that hold the panels' settings: those before `dataset`, which come first."""
    before = summary.columns[: summary.columns.get_loc("dataset")]
    return [str(name) for name in before if name != "between"]


def list_attack_pairs(summary: pd.DataFrame) -> list[tuple[str, str]]:
    """The (train attack, eval attack) pairs of a summary, in the order in which figures and tables show them."""
    return distinct(summary, ["train_attack", "eval_attack"])


def list_strategies(summary: pd.DataFrame) -> list[str]:
    """The strategies of a summary, in the order in which figures and tables show them."""
    return [strategy for (strategy,) in distinct(summary, ["strategy"])]
