"""What the verdicts rest on: paired tests of every question, for each setting and weights remaining."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import as_floats, trajectory_keys
from lthray.analysis.numbers.paired_tests import DENSE, TICKETS, compare_networks, pair_networks
from lthray.analysis.numbers.robustness import group_keys
from lthray.analysis.numbers.seeds import find_outliers
from lthray.analysis.numbers.stopping import OFTEN, at_cap

ROBUST, NATURAL, STOPPING = "adversarial_accuracy", "natural_accuracy", "early_stopping_iteration"
SIMILAR, BETTER, EARLIER = "similar", "better", "earlier"
NEAR = 1.25
"""The ratio to declared weights remaining up to which a round stands for them."""

INCOMPLETE, TOO_SHORT, NOT_COMMENSURATE, UNDECLARED = (
    "incomplete",
    "training-too-short",
    "not-commensurate",
    "undeclared",
)


@dataclass(frozen=True)
class Question:
    """A measure, what it is compared against, and what the comparison is to show.

    similar: an accuracy is lower by less than the margin. better: it is higher. earlier: fewer iterations.
    """

    measure: str
    against: str
    shows: str

    def boundary(self, margin: float) -> float:
        """The difference that its hypotheses are about."""
        return -margin if self.shows == SIMILAR else 0.0

    @property
    def weight(self) -> float:
        """Its share of the page's level beside other questions': the poster's comparisons with dense have the most."""
        return 3.0 if self.against == DENSE and self.shows != BETTER else 0.75

    @property
    def more_is_better(self) -> bool:
        """Whether it is answered by high values of the measure."""
        return self.shows != EARLIER


QUESTIONS = (
    Question(ROBUST, DENSE, SIMILAR),
    Question(NATURAL, DENSE, SIMILAR),
    Question(STOPPING, DENSE, EARLIER),
    Question(ROBUST, DENSE, BETTER),
    Question(ROBUST, "random", SIMILAR),
    Question(ROBUST, "continued", SIMILAR),
    Question(STOPPING, "random", EARLIER),
)
"""What is tested in every group; the tests of a page share its level, a quarter for each of the first three."""


def describe_networks(rounds: pd.DataFrame) -> pd.DataFrame:
    """What every question needs of a network: one row per group, strategy, seed and round.

    Returns:
        `group_keys(rounds)`, `strategy`, `seed`, `round`, `weights_remaining`, `natural_accuracy` and
        `early_stopping_iteration` at early stopping, `trained_accuracy` (under the train attack, natural without one)
        and `at_cap` (whether it stopped at the last evaluation).
    """
    keys = [*group_keys(rounds), "strategy", "seed", "round"]
    natural = as_floats(rounds, "early_stopping_none_accuracy_test")
    trained = natural.copy()
    for attack in set(rounds["train_attack"]) - {"none"}:
        own = rounds["train_attack"] == attack
        trained[own] = as_floats(rounds, f"early_stopping_{attack}_accuracy_test")[own]
    described = rounds.assign(natural_accuracy=natural, trained_accuracy=trained, at_cap=at_cap(rounds))
    described = described.sort_values([*trajectory_keys(rounds), "round"]).drop_duplicates(keys, ignore_index=True)
    return described[[*keys, "weights_remaining", NATURAL, STOPPING, "trained_accuracy", "at_cap"]]


def compare_all(
    networks: pd.DataFrame,
    attacked: pd.DataFrame,
    keys: list[str],
    planned: Mapping[str, Iterable[int]],
    *,
    margin: float,
    at: float | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The paired tests of every question, and the seeds that lie far from the others.

    Args:
        networks: `describe_networks`.
        attacked: `select_networks`: adversarial accuracies under the attacks that decide.
        keys: The columns that tell groups apart.
        planned: The seeds that a sweep was to train, by folder's label, or by "" for all; seeds with results count
            in any case.
        margin: Accuracy loss, as a share, that is ignored.
        at: The declared weights remaining, if one was declared.

    Returns:
        Two frames. A row per question, group and round: `question` (its place in `QUESTIONS`), `shows`, the columns of
        `compare_networks`, `planned` (seeds), and `untested` (why the round is no part of the sequence of tests, empty
        where it is). And the rows of `find_outliers`, with `question`.
    """
    attacked = attacked.rename(columns={"accuracy": ROBUST})
    seeds = _count_planned(networks, keys, planned)
    tables, outliers = [], []
    for place, question in enumerate(QUESTIONS):
        frame = attacked if question.measure == ROBUST else networks
        table = compare_networks(frame, keys, question.measure, [question.against], boundary=question.boundary(margin))
        table = table.merge(seeds, on=keys, how="left")
        untested = np.where(table["n"] < table["planned"], INCOMPLETE, "")
        if question.measure == STOPPING:
            untested = _check_training(table, untested, networks, keys, question.against, margin)
        if at is not None:
            untested = np.where(_is_nearest(table, keys, at), untested, UNDECLARED)
        tables.append(table.assign(question=place, shows=question.shows, untested=untested))
        pairs = pair_networks(frame[frame[question.measure].notna()], keys, question.measure, [question.against])
        if question.shows != BETTER:  # the same differences as those of `SIMILAR`
            far = find_outliers(pairs, keys, accuracy=question.more_is_better)
            outliers.append(far.assign(question=place))
    return _join(tables), _join(outliers)


def _join(tables: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _count_planned(networks: pd.DataFrame, keys: list[str], planned: Mapping[str, Iterable[int]]) -> pd.DataFrame:
    """The number of seeds of each group that were to be trained."""
    rows = []
    for key, part in networks.groupby(keys, dropna=False, observed=True):
        group = dict(zip(keys, key, strict=True))
        wanted = set(part["seed"]) | set(planned.get(str(group.get("folder", "")), planned.get("", ())))
        rows.append(group | {"planned": len(wanted)})
    return pd.DataFrame(rows, columns=[*keys, "planned"])


def _check_training(
    table: pd.DataFrame,
    untested: "np.typing.NDArray[np.str_]",
    networks: pd.DataFrame,
    keys: list[str],
    against: str,
    margin: float,
) -> "np.typing.NDArray[np.str_]":
    """Stopping early means something only where training was long enough and the accuracy is that of the others."""
    short, worse = np.zeros(len(table), bool), np.zeros(len(table), bool)
    on = [*keys, "round"]
    for strategy in {TICKETS, against} - {DENSE}:
        own = networks[networks["strategy"] == strategy]
        short |= _look_up(own.groupby(on, dropna=False)["at_cap"].mean(), table, on) > OFTEN
    if against == DENSE:
        dense = networks[(networks["strategy"] == TICKETS) & (networks["round"] == 0)]
        short |= _look_up(dense.groupby(keys, dropna=False)["at_cap"].mean(), table, keys) > OFTEN
    for measure in (NATURAL, "trained_accuracy"):
        for name in {DENSE, against}:
            means = compare_networks(networks, keys, measure, [name]).set_index(on)["mean_difference"]
            worse |= ~(_look_up(means, table, on) >= -margin)
    reasons = np.where(short, TOO_SHORT, np.where(worse, NOT_COMMENSURATE, ""))
    return np.where(untested == "", reasons, untested)


def _look_up(values: "pd.Series[float]", table: pd.DataFrame, on: list[str]) -> "np.typing.NDArray[np.float64]":
    """The value for each row of a table, NaN without one."""
    named = values.rename("_value").reset_index()
    return table[on].merge(named, on=on, how="left")["_value"].to_numpy(float)


def _is_nearest(table: pd.DataFrame, keys: list[str], at: float) -> "np.typing.NDArray[np.bool_]":
    """Whether a row's round is that of its group nearest to the declared weights remaining, and near enough."""
    distance = (table["weights_remaining"].astype(float) / at).map(math.log).abs()
    nearest = distance.groupby([table[name] for name in keys], dropna=False).transform("min")
    return ((distance == nearest) & (distance <= math.log(NEAR))).to_numpy()
