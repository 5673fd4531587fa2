"""Sentences that captions have in common."""

from collections.abc import Sequence

import pandas as pd


def count_seeds(counts: pd.Series) -> str:
    """How many seeds are behind the points: "3 seeds", "1 seed", "2 to 3 seeds"."""
    return count(counts, "seed")


def count(counts: pd.Series, noun: str) -> str:
    """A number, or the range of several, of something: "6 pairs"."""
    least, most = (int(counts.min()), int(counts.max())) if len(counts) else (0, 0)
    span = str(most) if least == most else f"{least} to {most}"
    return f"{span} {noun}{'' if most == 1 else 's'}"


def describe_means(counts: pd.Series) -> str:
    """What lines and bands are, by the numbers of seeds behind the points."""
    bands = "; bands are ± one sample standard deviation over seeds" if len(counts) and counts.max() > 1 else ""
    return f"Mean of {count_seeds(counts)}{bands}."


def describe_axes(apart: Sequence[str]) -> list[str]:
    """A sentence on the quantities whose vertical axes differ between panels; none without any."""
    return [f"Vertical axes are not shared: those of {' and '.join(apart)} differ between panels."] if apart else []
