"""Early stopping at the last evaluation of a round: longer training might have stopped later."""

import pandas as pd

from lthray.analysis.numbers.fields import as_floats

OFTEN = 0.2
"""The share of a group's rounds at the cap from which on its early-stopping iterations mean little."""


def at_cap(rounds: pd.DataFrame) -> pd.Series:
    """Whether early stopping was at the cap: the validation objective was smallest at the round's last evaluation.

    Longer training might have stopped later. The mean over a group's rows is the share that `OFTEN` is about.

    Args:
        rounds: A table of rounds (`load`).

    Returns:
        A boolean per row, under the frame's index; False where `eval_every` or the round's iterations are unknown.
    """
    iterations = as_floats(rounds, "round_iterations" if "round_iterations" in rounds else "iterations")
    # The last evaluation need not be at the very end: released-code evaluates by epoch.
    return rounds["early_stopping_iteration"] > iterations - as_floats(rounds, "eval_every")
