"""Adversarial accuracy under every attack that was measured, and the attack that a verdict rests on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats as sps

from lthray.analysis.numbers.fields import hashable, select, trajectory_keys, varied
from lthray.analysis.numbers.measurements import (
    CHANCE,
    MOMENTS,
    NATURAL,
    WHOLE,
    chance,
    list_measurements,
    trained_against,
)
from lthray.analysis.numbers.paired_tests import TICKETS
from lthray.analysis.numbers.strength import AttackSetting, is_stronger, resolve_attack

LEVEL_ABOVE_CHANCE = 0.025
"""One-sided level at which the dense network's accuracy has to lie above chance."""

NO_STRONGER_ATTACK, DENSE_AT_CHANCE = "no-stronger-attack", "dense-at-chance"

_MEASUREMENT = ["attack", "moment", "images"]


@dataclass(frozen=True)
class Basis:
    """What a verdict on robustness rests on, or why there is none."""

    attack: str = ""
    """Full name of the attack; empty where none is strong enough."""
    setting: AttackSetting | None = None
    moment: str = ""
    """early_stopping or final."""
    images: int = WHOLE
    """Test images, `WHOLE` for all."""
    reason: str = ""
    """Why accuracy under it is no evidence of robustness; empty where it is evidence."""
    dense_accuracy: float = math.nan
    """Mean accuracy of the dense network under it, in [0, 1]; NaN where no attack is strong enough."""
    chance: float = CHANCE
    """The accuracy of a guess."""

    @property
    def measurement(self) -> dict[str, Any]:
        """What tells its rows of `measure_networks` from those of other measurements."""
        return {name: getattr(self, name) for name in _MEASUREMENT}

    @property
    def rank(self) -> tuple[Any, ...]:
        """What orders measurements by strength."""
        strength = self.setting.rank if self.setting else ()
        return *strength, self.moment == MOMENTS[0], self.images == WHOLE, self.images


def group_keys(rounds: pd.DataFrame) -> list[str]:
    """The columns that tell apart the groups that get verdicts: networks of one group differ in strategy and seed."""
    return [*varied(rounds), "dataset", "train_attack"]


def measure_networks(rounds: pd.DataFrame, evaluations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Adversarial test accuracy of every network under every attack, from both tables.

    Args:
        rounds: A table of rounds (`load`).
        evaluations: What `Results.evaluations` gives, if anything.

    Returns:
        `group_keys(rounds)`, `strategy`, `seed`, `round`, `weights_remaining`, `attack` (full name), `moment`
        (early_stopping, final), `images` (test images from the first on, 0 for all) and `accuracy` ([0, 1]). Of
        trajectories that differ in nothing but what they were measured under, the first counts.
    """
    keys = [*group_keys(rounds), "strategy", "seed", "round"]
    order = trajectory_keys(rounds)
    measured = list_measurements(rounds, evaluations)
    attacked = measured[(measured["split"] == "test") & (measured["attack"] != NATURAL)]
    networks = rounds[[*dict.fromkeys([*order, *keys, "weights_remaining"])]].reset_index(drop=True)
    table = attacked.join(networks, on="network").sort_values([*order, "round"], kind="stable")
    kept = table.drop_duplicates([*keys, *_MEASUREMENT], ignore_index=True)
    return kept[[*keys, "weights_remaining", *_MEASUREMENT, "accuracy"]]


def find_bases(rounds: pd.DataFrame, measured: pd.DataFrame) -> dict[tuple[Any, ...], Basis]:
    """The attack that decides in each group: the strongest that measured a dense and a sparse ticket of the same seed.

    Strength is a matter of settings (`AttackSetting.rank`), not of outcome; among equals, early stopping comes before
    the end of training and more images before fewer.

    Args:
        rounds: A table of rounds.
        measured: Its `measure_networks`.

    Returns:
        A `Basis` by the group's values of `group_keys(rounds)`. Where no attack is stronger than the train attack, it
        has the strongest there is, and the reason.
    """
    keys = group_keys(rounds)
    by_group = _split(measured, keys)
    return {key: _find_basis(part, by_group.get(key, measured.iloc[:0])) for key, part in _split(rounds, keys).items()}


def select_networks(measured: pd.DataFrame, keys: list[str], bases: Mapping[tuple[Any, ...], Basis]) -> pd.DataFrame:
    """The rows of `measure_networks` under the attack that decides in each group."""
    chosen = [
        select(part, basis.measurement) for key, part in _split(measured, keys).items() if (basis := bases[key]).attack
    ]
    return pd.concat(chosen, ignore_index=True) if chosen else measured.iloc[:0]


def _split(frame: pd.DataFrame, keys: list[str]) -> dict[tuple[Any, ...], pd.DataFrame]:
    return {hashable(key): part for key, part in frame.groupby(keys, dropna=False, observed=True)}


def _find_basis(rounds: pd.DataFrame, measured: pd.DataFrame) -> Basis:
    fields = dict(zip(rounds.columns, rounds.iloc[0], strict=True))
    train_attacks = set(trained_against(rounds))
    candidates = sorted(_list_candidates(measured, fields), key=lambda basis: basis.rank, reverse=True)
    for basis in candidates:
        if basis.setting and all(is_stronger(basis.setting, attack, fields) for attack in train_attacks):
            dense = select(_tickets(measured), {"round": 0, **basis.measurement})["accuracy"]
            guess = chance(rounds)
            reason = "" if _is_above(guess, dense) else DENSE_AT_CHANCE
            return replace(basis, reason=reason, dense_accuracy=float(dense.mean()), chance=guess)
    return replace(candidates[0] if candidates else Basis(), reason=NO_STRONGER_ATTACK)


def _list_candidates(measured: pd.DataFrame, fields: dict[str, Any]) -> Iterator[Basis]:
    """Every measurement that pairs a dense and a sparse ticket of one seed."""
    for key, part in _tickets(measured).groupby(_MEASUREMENT, observed=True):
        attack, moment, images = map(str, key)
        sparse = part["round"] > 0
        if set(part.loc[sparse, "seed"]) & set(part.loc[~sparse, "seed"]):
            yield Basis(attack, resolve_attack(attack, fields), moment, int(images))


def _tickets(measured: pd.DataFrame) -> pd.DataFrame:
    return measured[measured["strategy"] == TICKETS]


def _is_above(guess: float, accuracy: "pd.Series[float]") -> bool:
    """Whether the mean over seeds lies above a guess, by a one-sided t test; one seed is taken by its value."""
    n, deviation = len(accuracy), float(accuracy.std())
    if n < 2 or deviation == 0:
        return bool(accuracy.mean() > guess)
    return bool(sps.t.sf((accuracy.mean() - guess) / (deviation / np.sqrt(n)), n - 1) <= LEVEL_ABOVE_CHANCE)
