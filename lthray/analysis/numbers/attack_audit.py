"""Signs that an attack was too weak, so that an accuracy under it says nothing about robustness.

PGD starts where FGSM ends and takes more steps. Where it does less harm, its steps or its gradients are at fault
(Athalye, Carlini and Wagner 2018). An attack that follows the sign of the gradient leaves an input whose gradient is
exactly zero as it is.
"""

from itertools import product

import pandas as pd

from lthray.analysis.numbers.fields import as_floats

WEAKER_BY = 0.005
"""By how much accuracy under PGD, as a share, may exceed that under FGSM without a warning.

Both are measured on the same images, so that the difference has no sampling error as a statement on these images; half
a point is left to PGD's random start.
"""
NO_GRADIENT = 0.01
"""The share of inputs that may have no gradient without a warning."""

_MEASUREMENTS = tuple(product(("early_stopping", "final"), ("validation", "test")))


def weaker_pgd(rounds: pd.DataFrame) -> pd.DataFrame:
    """Where PGD did less harm than FGSM to the same network on the same images.

    Args:
        rounds: A table of rounds (`load`), with or without columns of either attack.

    Returns:
        One row per trajectory, round, moment and split where PGD's accuracy is more than `WEAKER_BY` higher: the
        columns of `rounds`, `moment` (early_stopping, final), `split` (validation, test), `fgsm` and `pgd` (accuracies,
        [0, 1]) and `excess` (how much higher under PGD).
    """
    parts = []
    for moment, split in _MEASUREMENTS:
        fgsm, pgd = (as_floats(rounds, f"{moment}_{attack}_accuracy_{split}") for attack in ("fgsm", "pgd"))
        part = rounds.assign(moment=moment, split=split, fgsm=fgsm, pgd=pgd, excess=pgd - fgsm)
        parts.append(part[part["excess"] > WEAKER_BY])
    return pd.concat(parts, ignore_index=True)


def no_gradient(rounds: pd.DataFrame) -> pd.DataFrame:
    """Where a share of the inputs could not be attacked because their loss had no gradient.

    Args:
        rounds: A table of rounds; old tables lack the shares and give no rows.

    Returns:
        One row per trajectory, round, moment and split where the share is above `NO_GRADIENT`: the columns of `rounds`,
        `moment`, `split` and `share` (of the split's inputs, [0, 1]).
    """
    parts = []
    for moment, split in _MEASUREMENTS:
        part = rounds.assign(moment=moment, split=split, share=_gradient_share(rounds, moment, split))
        parts.append(part[part["share"] > NO_GRADIENT])
    return pd.concat(parts, ignore_index=True)


def describe_audit(rounds: pd.DataFrame) -> str:
    """What the audit could check, in one sentence without its full stop."""
    both = shares = 0
    for moment, split in _MEASUREMENTS:
        fgsm, pgd = (as_floats(rounds, f"{moment}_{attack}_accuracy_{split}") for attack in ("fgsm", "pgd"))
        both += int((fgsm + pgd).count())
        shares += int(_gradient_share(rounds, moment, split).count())
    compared = f"{both:,} measurements under both attacks were compared" if both else "no network met both attacks"
    known = f"{shares:,} shares of inputs without a gradient were checked" if shares else "no shares were recorded"
    return f"{compared}; {known}"


def _gradient_share(rounds: pd.DataFrame, moment: str, split: str) -> pd.Series:
    return as_floats(rounds, f"{moment}_zero_gradient_share_{split}")
