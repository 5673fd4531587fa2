"""Every accuracy that was measured, from the table of rounds and from that of evaluations."""

from itertools import product

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import EVAL_ATTACKS, as_floats, trajectory_keys

NATURAL = "none"
"""Stands for natural images among attacks."""
MOMENTS, SPLITS = ("early_stopping", "final"), ("validation", "test")
WHOLE = 0
"""The number of images that stands for the whole split."""
CHANCE = 0.1
"""The accuracy of a guess where a table does not know the number of classes: the data sets lthray brings have ten."""


def chance(rounds: pd.DataFrame) -> float:
    """The accuracy of a guess, (0, 1]: one over the number of classes of the rows' data set."""
    classes = as_floats(rounds, "own.classes").to_numpy()
    known = classes[classes > 0]
    return float(1 / known[0]) if len(known) else CHANCE


def list_measurements(rounds: pd.DataFrame, evaluations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Every accuracy of a network, on natural images and under every attack, from both tables.

    Args:
        rounds: A table of rounds (`load`), a row per network.
        evaluations: What `Results.evaluations` gives, if anything; networks that `rounds` lacks are left out.

    Returns:
        `network` (the number of its row in `rounds`, from 0), `moment` (early_stopping, final), `split` (validation,
        test), `attack` (full name, none for natural images), `images` (how many, from the first on; `WHOLE` for the
        split) and `accuracy` ([0, 1]).
    """
    parts = []
    for (moment, split), attack in product(product(MOMENTS, SPLITS), (NATURAL, *EVAL_ATTACKS)):
        accuracy = as_floats(rounds, f"{moment}_{attack}_accuracy_{split}").to_numpy()
        place = {"moment": moment, "split": split, "attack": attack, "images": WHOLE}
        parts.append(pd.DataFrame({"network": np.arange(len(rounds)), **place, "accuracy": accuracy}))
    if evaluations is not None and len(evaluations):
        identity = [*trajectory_keys(rounds), "round"]
        own = rounds[identity].assign(network=np.arange(len(rounds))).merge(evaluations, on=identity)
        parts.append(own.loc[own["moment"] != "training", parts[0].columns])
    table = pd.concat(parts, ignore_index=True)
    return table[table["accuracy"].notna()].reset_index(drop=True)


def trained_against(rounds: pd.DataFrame) -> pd.Series:
    """The attack that each row's round was trained against: after round 0, that of `retrain`."""
    if "retrain.train_attack" not in rounds.columns:
        return rounds["train_attack"]
    retrained = rounds["retrain.train_attack"].notna() & (rounds["round"] > 0)
    attacks = np.where(retrained, rounds["retrain.train_attack"], rounds["train_attack"])
    return pd.Series(attacks, index=rounds.index, dtype=object)
