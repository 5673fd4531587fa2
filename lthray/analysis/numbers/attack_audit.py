"""Signs that an attack was too weak, so that an accuracy under it says nothing about robustness.

A network trained against an attack can learn to defeat that attack alone. Its accuracy under it is then high, and
falls far under a stronger one: gradient masking (Tramèr et al. 2018; Athalye, Carlini and Wagner 2018), and, of
training against a single step, catastrophic overfitting (Wong, Rice and Kolter 2020). Accuracy under FGSM above that on
natural images is called label leaking (Kurakin, Goodfellow and Bengio 2017). An attack that does less harm than a
weaker one has bad settings, or follows a gradient that is masked. An attack that follows the sign of the gradient
leaves an input whose gradient is exactly zero as it is.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import as_floats
from lthray.analysis.numbers.measurements import MOMENTS, NATURAL, SPLITS, WHOLE, trained_against
from lthray.analysis.numbers.strength import is_weaker, resolve_attack

WEAKER_BY = 0.005
"""By how much accuracy under an attack, as a share, may exceed that under a weaker one without a warning.

On the same images the difference has no sampling error as a statement on these images; half a point is left to random
starts.
"""
FAR_ABOVE = 0.2
"""Accuracy under an attack is a signature if it lies this much, as a share, above that under a stronger attack."""
AT_MOST = 0.5
"""It is a signature only if accuracy under the stronger attack is also below this share of that under the weaker."""
LEARNED = 0.5
"""Natural accuracy above which label leaking is looked for: at chance, either accuracy may be the larger."""
NO_GRADIENT = 0.01
"""The share of inputs that may have no gradient without a warning."""
_MEASUREMENTS = tuple(product(MOMENTS, SPLITS))
_PLACE = ["network", "moment", "split"]
_STRENGTH = ["epsilon", "norm", "attack_label", "pgd.steps", "pgd.step_size", "pgd.restarts"]


def comparisons(rounds: pd.DataFrame, measured: pd.DataFrame) -> pd.DataFrame:
    """Pairs of measurements of the same network, round, moment and split, one under a stronger attack than the other.

    An attack is stronger in the same norm and radius: PGD than FGSM, AutoAttack than either, and more steps, more
    restarts or the true label than fewer or the predicted label, where nothing else is weaker.

    Args:
        rounds: A table of rounds.
        measured: Its `list_measurements`.

    Returns:
        A row per pair: the columns of `rounds`, those of a place (`network`, `moment`, `split`), `weaker` and
        `stronger` (full names), `weaker_accuracy`, `stronger_accuracy` and `natural` (accuracies, [0, 1]; natural on
        the whole split, NaN where unknown), `images` (the smaller number of images, `WHOLE` for the split), `sampling`
        (what different numbers of images can account for, as a share: two standard errors, at most 1/√images; 0 on the
        same images) and `same_label` (both attacks move away from the same label).
    """
    attacked = measured[measured["attack"] != NATURAL]
    attacked = attacked[attacked.duplicated(_PLACE, keep=False)]
    weaker = attacked.rename(columns={name: f"weaker_{name}" for name in ("attack", "images", "accuracy")})
    stronger = attacked.rename(columns={name: f"stronger_{name}" for name in ("attack", "images", "accuracy")})
    pairs = weaker.merge(stronger, on=_PLACE)
    pairs = _ordered(rounds, pairs[pairs["weaker_attack"] != pairs["stronger_attack"]])
    images = pairs[["weaker_images", "stronger_images"]].replace(WHOLE, np.nan)
    fewer = images.min(axis=1)
    differ = pairs["weaker_images"] != pairs["stronger_images"]
    natural = measured[measured["attack"] == NATURAL].rename(columns={"accuracy": "natural"})
    pairs = pairs.rename(columns={"weaker_attack": "weaker", "stronger_attack": "stronger"}).assign(
        images=fewer.fillna(WHOLE).astype(int), sampling=(1 / np.sqrt(fewer)).where(differ, 0.0)
    )
    pairs = pairs.drop(columns=["weaker_images", "stronger_images"])
    pairs = pairs.merge(natural[[*_PLACE, "natural"]], on=_PLACE, how="left")
    fields = rounds.reset_index(drop=True).loc[pairs["network"]].reset_index(drop=True)
    return pd.concat([fields, pairs], axis=1)


def weaker_in_effect(compared: pd.DataFrame) -> pd.DataFrame:
    """Where an attack did less harm than a weaker one: its settings or its gradients are at fault.

    Args:
        compared: The rows of `comparisons`.

    Returns:
        The rows in which accuracy under the stronger attack is higher by more than `WEAKER_BY` and what sampling can
        account for, with `excess` (by how much it is higher, as a share).
    """
    rows = compared.assign(excess=compared["stronger_accuracy"] - compared["weaker_accuracy"])
    return rows[rows["excess"] > WEAKER_BY + rows["sampling"]].reset_index(drop=True)


def overstated(compared: pd.DataFrame) -> pd.DataFrame:
    """Where accuracy under an attack is no evidence of robustness, because a stronger attack leaves far less.

    A stronger attack always leaves less. The difference is a signature of gradient masking or catastrophic overfitting
    if accuracy under the weaker attack is more than `FAR_ABOVE` higher, and more than 1 / `AT_MOST` times as high.
    Before they are compared, accuracy under the weaker attack is reduced by what sampling can account for. If the two
    attacks move away from different labels, it is also reduced by the share of natural images that the network gets
    wrong: on the others both labels are the same.

    Args:
        compared: The rows of `comparisons`.

    Returns:
        The rows that show it.
    """
    trained = trained_against(compared) != NATURAL
    label = (1 - compared["natural"]).where(~compared["same_label"], 0.0)
    least = compared["weaker_accuracy"] - compared["sampling"] - label
    far = (least - compared["stronger_accuracy"] > FAR_ABOVE) & (compared["stronger_accuracy"] < AT_MOST * least)
    return compared[trained & far].reset_index(drop=True)


@dataclass(frozen=True)
class Onset:
    """Where in a group's rounds a sign shows."""

    networks: int
    """Networks (trajectory and round) that show it."""
    compared: int
    """Networks that could have shown it."""
    first: int
    """The first round in which a network shows it."""
    always: int | None
    """The round from which on every network compared shows it; None where the last round has one that does not."""
    last: int
    """The last round compared."""


def onset(compared: pd.DataFrame, shown: pd.DataFrame) -> Onset:
    """Where in a group's rounds a sign shows.

    Args:
        compared: The group's rows of `comparisons`.
        shown: Those that show the sign, at least one.
    """
    networks = compared.groupby("round")["network"].nunique()
    showing = shown.groupby("round")["network"].nunique().reindex(networks.index, fill_value=0)
    spared = [int(number) for number in networks.index[showing < networks]]
    later = [int(number) for number in networks.index if number > max(spared, default=-1)]
    return Onset(
        networks=int(showing.sum()),
        compared=int(networks.sum()),
        first=int(shown["round"].min()),
        always=later[0] if later else None,
        last=int(networks.index.max()),
    )


def leaking(rounds: pd.DataFrame) -> pd.DataFrame:
    """Where a network is more accurate under FGSM than on natural images, so that FGSM is no attack on it.

    Args:
        rounds: A table of rounds.

    Returns:
        One row per trajectory, round, moment and split where it is by more than `WEAKER_BY`, and natural accuracy is
        above `LEARNED`: the columns of `rounds`, `moment`, `split`, `natural` and `fgsm` (accuracies, [0, 1]).
    """
    parts = []
    for moment, split in _MEASUREMENTS:
        natural, fgsm = (as_floats(rounds, f"{moment}_{attack}_accuracy_{split}") for attack in (NATURAL, "fgsm"))
        part = rounds.assign(moment=moment, split=split, natural=natural, fgsm=fgsm)
        parts.append(part[(natural > LEARNED) & (fgsm - natural > WEAKER_BY)])
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


def describe_audit(rounds: pd.DataFrame, compared: pd.DataFrame) -> str:
    """What the audit could check, in one sentence without its full stop.

    Args:
        rounds: A table of rounds.
        compared: Its `comparisons`.
    """
    shares = sum(int(_gradient_share(rounds, moment, split).count()) for moment, split in _MEASUREMENTS)
    networks = len(compared["network"].unique())
    pairs = f"{networks:,} of {len(rounds):,} networks were measured under a weaker and a stronger attack"
    known = f"{shares:,} shares of inputs without a gradient were checked" if shares else "no shares were recorded"
    return f"{pairs if networks else 'no network was measured under a weaker and a stronger attack'}; {known}"


def _ordered(rounds: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs whose second attack is the stronger, with `same_label`."""
    known = [name for name in _STRENGTH if name in rounds.columns]
    setting = rounds.groupby(known, dropna=False).ngroup() if known else pd.Series(0, index=rounds.index)
    pairs = pairs.assign(setting=setting.to_numpy()[pairs["network"]])
    kinds = ["weaker_attack", "stronger_attack", "setting"]
    distinct = pairs.drop_duplicates(kinds)
    rows = []
    for weak, strong, number, network in distinct[[*kinds, "network"]].itertuples(index=False, name=None):
        fields = rounds.iloc[network][known].to_dict()
        weaker, stronger = resolve_attack(str(weak), fields), resolve_attack(str(strong), fields)
        if is_weaker(weaker, stronger):
            rows.append((weak, strong, number, weaker.label == stronger.label))
    return pairs.merge(pd.DataFrame(rows, columns=[*kinds, "same_label"]), on=kinds).drop(columns="setting")


def _gradient_share(rounds: pd.DataFrame, moment: str, split: str) -> pd.Series:
    return as_floats(rounds, f"{moment}_zero_gradient_share_{split}")
