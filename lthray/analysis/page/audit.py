"""What the audit of the attacks found, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.figures.attack_words import describe_attack, name_attack
from lthray.analysis.numbers import attack_audit
from lthray.analysis.numbers.measurements import chance, list_measurements, trained_against
from lthray.analysis.page import tables
from lthray.analysis.page.cases import CaseList, groups, list_cases, worst

_NAMED = 3
"""How many groups an alarm names."""
_MASKED, _LEAKING = "warning-masked", "warning-leaking"


@dataclass(frozen=True)
class Alarm:
    """A sign that an accuracy is no evidence of robustness, for the top of the page."""

    headline: str
    words: str
    groups: str
    """The settings it is about, as the text of a link to the cases."""
    anchor: str
    """Of the warning with the cases."""


@dataclass(frozen=True)
class Audit:
    """What the audit found, and what it could check."""

    alarms: list[Alarm]
    warnings: list[CaseList]
    checked: str
    """A sentence without its full stop."""


def audit(rounds: pd.DataFrame, evaluations: pd.DataFrame, settings: list[str]) -> Audit:
    """Audits the attacks that networks were measured under.

    Args:
        rounds: A table of rounds.
        evaluations: What `Results.evaluations` gives.
        settings: The fields that vary (`varied`).
    """
    compared = attack_audit.comparisons(rounds, list_measurements(rounds, evaluations))
    masked, leaking = attack_audit.overstated(compared), attack_audit.leaking(rounds)
    in_effect = attack_audit.weaker_in_effect(compared)
    beside_fgsm = in_effect["weaker"].map(name_attack) == "FGSM"
    gain = leaking.assign(gain=leaking["fgsm"] - leaking["natural"])
    return Audit(
        alarms=[*_masking_alarms(compared, masked, settings), *_leaking_alarms(leaking, masked, settings)],
        warnings=[
            *list_cases(
                "group of networks withstands a weak attack only: its accuracy under it is no evidence of robustness",
                "groups of networks withstand a weak attack only: their accuracy under it is no evidence of robustness",
                _masked(compared, masked, settings),
                _MASKED,
            ),
            *list_cases(
                "group of networks is more accurate under FGSM than on natural images: FGSM is no attack on it",
                "groups of networks are more accurate under FGSM than on natural images: FGSM is no attack on them",
                worst(gain, settings, "gain", "by up to {:.1f} points"),
                _LEAKING,
            ),
            *list_cases(
                "group of networks looks more robust to PGD than to FGSM: its PGD is too weak to be trusted",
                "groups of networks look more robust to PGD than to FGSM: their PGD is too weak to be trusted",
                _in_effect(in_effect[beside_fgsm], settings),
            ),
            *list_cases(
                "group of networks lost more to a weaker attack than to a stronger one: do not trust the stronger one",
                "groups of networks lost more to a weaker attack than to a stronger one: do not trust the stronger one",
                _in_effect(in_effect[~beside_fgsm], settings),
            ),
            *list_cases(
                "group of networks has inputs without a gradient, which gradient attacks cannot change",
                "groups of networks have inputs without a gradient, which gradient attacks cannot change",
                worst(attack_audit.no_gradient(rounds), settings, "share", "up to {:.1f} % of the inputs"),
            ),
        ],
        checked=attack_audit.describe_audit(rounds, compared),
    )


def _masking_alarms(compared: pd.DataFrame, masked: pd.DataFrame, settings: list[str]) -> Iterator[Alarm]:
    """An alarm for each attack that networks were trained against and withstand alone."""
    rows = masked.assign(trained=trained_against(masked))
    for trained, part in rows.groupby("trained"):
        pairs = [pair for _, pair in part.groupby(["weaker", "stronger"])]
        shown = max(pairs, key=lambda pair: (pair["network"].nunique(), -pair["stronger_accuracy"].mean()))
        weaker, stronger = _name_pair(*shown[["weaker", "stronger"]].iloc[0])
        left, before = (_percent(shown[f"{side}_accuracy"].mean()) for side in ("stronger", "weaker"))
        networks = compared[trained_against(compared) == trained]
        networks = networks.merge(part[["dataset", *settings]].drop_duplicates(), on=["dataset", *settings])
        count, total = part["network"].nunique(), networks["network"].nunique()
        who = "Networks" if count == total else f"{count:,} of {total:,} networks"
        robust = shown["stronger_accuracy"].mean() > chance(shown)
        fewer = sorted(set(shown.loc[shown["sampling"] > 0, "images"]))
        images = f" One of the two was measured on the first {fewer[0]:,} images only." if fewer else ""
        verdict = f"are far less robust than {weaker} says" if robust else "are not robust"
        yield Alarm(
            headline=f"{who} trained against {trained} {verdict}: {stronger} leaves them {left} ({weaker} {before}).",
            words=f"Their {weaker} accuracy is no evidence of robustness (gradient masking or catastrophic"
            f" overfitting).{images}",
            groups=_name_groups(part, settings),
            anchor=_MASKED,
        )


def _leaking_alarms(leaking: pd.DataFrame, masked: pd.DataFrame, settings: list[str]) -> Iterator[Alarm]:
    """An alarm for each attack trained against under which FGSM helps, and that has no other alarm."""
    rows = leaking.assign(trained=trained_against(leaking))
    alarmed = set(trained_against(masked))
    for trained, part in rows[~rows["trained"].isin(alarmed)].groupby("trained"):
        fgsm, natural = _percent(part["fgsm"].mean()), _percent(part["natural"].mean())
        yield Alarm(
            headline=f"Networks trained against {trained} are more accurate under FGSM ({fgsm}) than on natural images"
            f" ({natural}).",
            words="FGSM is no attack on them: their FGSM accuracy is no evidence of robustness (label leaking or"
            " gradient masking).",
            groups=_name_groups(part, settings),
            anchor=_LEAKING,
        )


def _name_groups(rows: pd.DataFrame, settings: list[str]) -> str:
    names = [layout.label(facet) for facet in layout.facets(rows, ["dataset", *settings])]
    more = len(names) - _NAMED
    return "; ".join([*names[:_NAMED], *([f"and {more} more"] if more > 0 else [])])


def _name_pair(weaker: str, stronger: str) -> tuple[str, str]:
    """Two attacks by their names alone, where these differ."""
    names = name_attack(weaker), name_attack(stronger)
    return names if names[0] != names[1] else (describe_attack(weaker), describe_attack(stronger))


def _masked(compared: pd.DataFrame, masked: pd.DataFrame, settings: list[str]) -> list[str]:
    everything = dict(groups(compared, settings))
    cases = []
    for group, part in groups(masked, settings):
        lowest = part.sort_values("stronger_accuracy").iloc[0]
        same = part[(part["weaker"] == lowest["weaker"]) & (part["stronger"] == lowest["stronger"])]
        accuracies = ", ".join(
            f"{describe_attack(lowest[side])} {_percent(same[f'{side}_accuracy'].mean())}"
            for side in ("weaker", "stronger")
        )
        images = f" on the first {lowest['images']:,} images" if lowest["sampling"] else ""
        where = _describe_onset(attack_audit.onset(everything[group], part), everything[group])
        cases.append(f"{group}: {where}; on average {accuracies}{images}")
    return cases


def _describe_onset(onset: attack_audit.Onset, compared: pd.DataFrame) -> str:
    remaining = compared.groupby("round")["weights_remaining"].mean()

    def place(number: int) -> str:
        return f"round {number} ({tables.percent(remaining[number])} % of the weights)"

    if onset.always is None:
        return f"{onset.networks:,} of {onset.compared:,} networks, first in {place(onset.first)}"
    every = f"of {place(onset.always)}"
    if onset.last > onset.always:
        every = f"from {place(onset.always)} to {place(onset.last)}"
    if onset.always == onset.first:
        return f"every network {every}"
    return (
        f"{onset.networks:,} of {onset.compared:,} networks, first in {place(onset.first)}, and every network {every}"
    )


def _in_effect(rows: pd.DataFrame, settings: list[str]) -> list[str]:
    """A line for each group and pair of attacks whose order in effect is not that of their settings."""
    return [
        f"{case} – {describe_attack(str(stronger))} beside {describe_attack(str(weaker))}"
        for (weaker, stronger), part in rows.groupby(["weaker", "stronger"])
        for case in worst(part, settings, "excess", "by up to {:.1f} points")
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
