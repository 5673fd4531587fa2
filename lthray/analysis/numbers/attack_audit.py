"""Signs that an attack was weaker than it looks, so that an accuracy under it is no robustness.

PGD starts where FGSM ends and takes more steps; where it does less harm, its steps or its gradients are at fault
(Athalye, Carlini and Wagner 2018). An input whose gradient is exactly zero is not attacked at all by the sign of it.
"""

import pandas as pd

from lthray.analysis.numbers.fields import as_floats

MOMENTS = ("early_stopping", "final")
SPLITS = ("validation", "test")
WEAKER_BY = 0.005
"""How much higher, as a share, accuracy under PGD may lie than under FGSM before it is named.

Both are measured on the same images, so that the difference has no sampling error as a statement on these images; half
a point is left to PGD's random start.
"""
NO_GRADIENT = 0.01
"""The share of inputs without a gradient above which it is named."""


def weaker_pgd(rounds: pd.DataFrame, by: float = WEAKER_BY) -> pd.DataFrame:
    """Where PGD did less harm than FGSM to the same network on the same images.

    Args:
        rounds: A table of rounds (`load`), with or without columns of either attack.
        by: The difference in accuracy, as a share, that is still let pass.

    Returns:
        One row per trajectory, round, moment and split that exceeds it: the columns of `rounds`, `moment`
        (early_stopping, final), `split` (validation, test), `fgsm` and `pgd` (accuracies, [0, 1]) and `excess` (how
        much higher under PGD).
    """
    parts = []
    for moment, split in _measurements():
        fgsm, pgd = (as_floats(rounds, f"{moment}_{name}_accuracy_{split}") for name in ("fgsm", "pgd"))
        part = rounds.assign(moment=moment, split=split, fgsm=fgsm, pgd=pgd, excess=pgd - fgsm)
        parts.append(part[part["excess"] > by])
    return pd.concat(parts, ignore_index=True)


def no_gradient(rounds: pd.DataFrame, above: float = NO_GRADIENT) -> pd.DataFrame:
    """Where a share of the inputs could not be attacked, for their loss had no gradient.

    Args:
        rounds: A table of rounds; older ones lack the shares, and give no rows.
        above: The share of inputs that is still let pass.

    Returns:
        One row per trajectory, round, moment and split that exceeds it: the columns of `rounds`, `moment`, `split` and
        `share` (of the split's inputs, [0, 1]).
    """
    parts = []
    for moment, split in _measurements():
        share = as_floats(rounds, f"{moment}_zero_gradient_share_{split}")
        part = rounds.assign(moment=moment, split=split, share=share)
        parts.append(part[part["share"] > above])
    return pd.concat(parts, ignore_index=True)


def audited(rounds: pd.DataFrame) -> str:
    """What of this could be looked at, in one sentence."""
    both = sum(
        int((as_floats(rounds, f"{m}_fgsm_accuracy_{s}") + as_floats(rounds, f"{m}_pgd_accuracy_{s}")).count())
        for m, s in _measurements()
    )
    shares = sum(int(as_floats(rounds, f"{m}_zero_gradient_share_{s}").count()) for m, s in _measurements())
    compared = f"{both:,} measurements under both attacks were compared" if both else "no network met both attacks"
    known = f"{shares:,} shares of inputs without a gradient were looked at" if shares else "no shares were recorded"
    return f"{compared}; {known}"


def _measurements() -> list[tuple[str, str]]:
    return [(moment, split) for moment in MOMENTS for split in SPLITS]
