"""Means of what was measured under attacks beyond those of the table of rounds."""

import pandas as pd

from lthray.analysis.numbers.fields import sort_key, trajectory_keys, varied

KEYS = ("attack", "split", "moment", "images")
"""What tells the measurements of one network apart."""


def summarise_evaluations(evaluations: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds.

    Args:
        evaluations: What `Results.evaluations` gives.
        rounds: A table of rounds (`load`): which trajectories count, and what varies among them.

    Returns:
        One row per setting, data set, train attack, attack (full name), split (validation, test), moment
        (early_stopping, final), number of images, strategy and round: `weights_remaining` (mean, (0, 1]),
        `accuracy_mean`, `accuracy_sd` (sample standard deviation, NaN with one seed; shares of [0, 1]) and `accuracy_n`
        (seeds). Of trajectories that differ in nothing but their list of eval attacks, the first counts.
    """
    identity = trajectory_keys(rounds)
    at_moments = evaluations[evaluations["moment"] != "training"]
    reported = at_moments.merge(rounds[identity].drop_duplicates(), on=identity)
    keys = [*varied(rounds), "dataset", "train_attack", *KEYS, "strategy", "round"]
    once = reported.sort_values(identity).drop_duplicates([*keys, "seed"])
    groups = once.groupby(keys, dropna=False, observed=True, sort=False)
    columns = {
        "weights_remaining": groups["weights_remaining"].mean(),
        "accuracy_mean": groups["accuracy"].mean(),
        "accuracy_sd": groups["accuracy"].std(),
        "accuracy_n": groups["accuracy"].count(),
    }
    return pd.DataFrame(columns).reset_index().sort_values(keys, key=sort_key, ignore_index=True)
