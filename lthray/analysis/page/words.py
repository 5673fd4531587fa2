"""The sentences of a verdict."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from lthray.analysis.numbers.claims import Claim
from lthray.analysis.numbers.evidence import (
    BETTER,
    EARLIER,
    INCOMPLETE,
    NOT_COMMENSURATE,
    STOPPING,
    TOO_SHORT,
    UNDECLARED,
)
from lthray.analysis.numbers.paired_tests import DENSE
from lthray.analysis.numbers.robustness import DENSE_AT_CHANCE, NO_STRONGER_ATTACK, Basis
from lthray.analysis.numbers.seeds import MOST_SEEDS, share_unseen
from lthray.analysis.numbers.stopping import OFTEN
from lthray.analysis.numbers.verdicts import (
    AGAINST,
    CONTRADICTED,
    NOT_MEASURED,
    NOTHING,
    ONE_SEED,
    PARTLY,
    SUPPORTED,
    UNDECIDED,
    WITHHELD,
)

NONE = "none"
"""Stands for no verdict."""
KINDS = {
    SUPPORTED: "supported", PARTLY: "hold for a range", CONTRADICTED: "contradicted", UNDECIDED: "undecided",
    WITHHELD: "withheld", NONE: "without a verdict",
}  # fmt: skip
"""The kinds of verdicts, as they are counted."""

Row = Mapping[Hashable, Any]


def name_badge(row: Row) -> str:
    """A verdict in two or three words."""
    verdict, reason = row["verdict"], row["reason"]
    if verdict == PARTLY:
        return f"holds to {percent(row['holds_to'])}"
    if verdict == WITHHELD:
        return "training too short" if reason == TOO_SHORT else "not evidence of robustness"
    return {None: "no verdict", UNDECIDED: "cannot be told"}.get(verdict, str(verdict))


def name_training(train_attack: str) -> str:
    """What networks were trained against."""
    return "trained without attack" if train_attack == "none" else f"trained against {train_attack}"


def format_points(share: float) -> str:
    """A share in percentage points: "1 point", "0.5 points"."""
    return f"{share * 100:g} point{'' if share == 0.01 else 's'}"


def percent(share: float) -> str:
    """A share of weights as printed: "16.9 %"."""
    return f"{share * 100:.3g} %"


def explain_reason(row: Row, claim: Claim, basis: Basis) -> str:
    """Why there is no verdict."""
    networks = "pruned rounds" if row["rounds"] == 0 and claim.question.against == DENSE else claim.question.against
    train, attack = str(row["train_attack"]), str(basis.setting or "no attack")
    reasons = {
        NO_STRONGER_ATTACK: (
            f"These networks were {name_training(train)}, and the strongest attack that they met is {attack}. Accuracy"
            " under it is no evidence of robustness: no stronger attack was measured."
            " The command lthray evaluate measures one."
            if train != "none"
            else f"The strongest attack that these networks met is {attack}. It is too weak to be evidence of"
            " robustness. The command lthray evaluate measures a stronger one."
        ),
        DENSE_AT_CHANCE: (
            f"Under {attack}, the dense network itself has an accuracy of {basis.dense_accuracy:.1%}, which is not"
            f" clearly above a guess ({100 * basis.chance:.3g}%). There is no robustness that a sparse network could"
            " keep."
        ).replace("%", " %"),
        TOO_SHORT: (
            f"In over {OFTEN:.0%} of the networks, the validation loss was still falling at the last iteration, so we"
            " cannot tell when training stops early: train longer."
        ).replace("%", " %"),
        NOTHING: f"There are no {networks} networks of the same seeds to compare.".replace("rounds networks", "rounds"),
        ONE_SEED: "One seed cannot tell an effect from chance. Train with at least two seeds, better with five.",
        NOT_MEASURED: "No round is near the declared sparsity.",
        INCOMPLETE: f"Not all of the {row['seeds']} planned seeds are there. A verdict on the others would leave out"
        " those that failed.",
        NOT_COMMENSURATE: "At every sparsity level tested, the tickets are less accurate than the networks they are"
        " compared with, so stopping earlier means nothing.",
    }
    return reasons[str(row["reason"])]


def describe_attack(basis: Basis) -> str:
    """Under what robustness was measured, and what the dense network has there."""
    images = f", {basis.images:,} images" if basis.images else ""
    moment = "at early stopping" if basis.moment == "early_stopping" else "at the end of training"
    return (
        f"Measured with {basis.setting} ({moment}{images}): the dense network's accuracy is"
        f" {100 * basis.dense_accuracy:.1f} %."
    )


def describe_range(claim: Claim, row: Row, at: float | None) -> str:
    """Where the claim holds, where it fails, and what lies between."""
    holds, fails = _phrase(claim)
    level = percent(row["tested_to"])
    if at is not None:
        answers = {SUPPORTED: holds, CONTRADICTED: fails}
        return (
            f"At the declared {level} of the weights, {answers.get(row['verdict'], f'we cannot tell whether {holds}')}."
        )
    tested = f"{row['tested']} sparsity level{'' if row['tested'] == 1 else 's'}"
    if row["verdict"] == SUPPORTED:
        return f"At all {tested} tested, down to {level} of the weights, {holds}."
    if row["verdict"] == CONTRADICTED:
        return f"At all {tested} tested, down to {level} of the weights, {fails}."
    sentences = []
    if row["holds"]:
        sentences.append(f"Down to {percent(row['holds_to'])} of the weights, {holds}.")
    if row["fails"]:
        where = (
            f"Down to {percent(row['fails_to'])} of the weights"
            if claim.question.measure == STOPPING
            else f"From {percent(row['fails_from'])} of the weights down"
        )
        sentences.append(f"{where}, {fails}.")
    if not sentences:
        return f"At {tested} tested, down to {level} of the weights, we cannot tell whether {holds}."
    return " ".join(
        [*sentences, f"Tested to {level}; between, we cannot tell." if row["fails"] else f"Tested to {level}."]
    )


def describe_untested(rows: pd.DataFrame) -> str:
    """Which rounds are no part of the sequence of tests, and why."""
    reasons = {
        INCOMPLETE: "seeds are missing",
        TOO_SHORT: "training was too short",
        NOT_COMMENSURATE: "the tickets are less accurate",
    }
    counts = rows.loc[~rows["untested"].isin(["", UNDECLARED]), "untested"].value_counts()
    if counts.empty:
        return ""
    parts = [f"{count} where {reasons[str(reason)]}" for reason, count in counts.items()]
    return f"Not tested: {', '.join(parts)}."


def describe_seeds(row: Row) -> str:
    """How many seeds would tell more, if what was seen were the truth."""
    if row["verdict"] not in (UNDECIDED, PARTLY) or not row["seeds_show"]:
        return ""
    low, high = row["seeds_low"], row["seeds_high"]
    if pd.isna(low):
        return f"If the means seen were the truth, even {MOST_SEEDS:,} seeds might not tell more."
    most = f"over {MOST_SEEDS:,}" if pd.isna(high) else f"{high:,}"
    what = "show the contrary there" if row["seeds_show"] == AGAINST else "show it at the next level"
    count = f"{low:,}" if low == high else f"{low:,} to {most}"
    return f"If the means seen were the truth, {count} seeds would {what}."


def describe_unseen(row: Row) -> str:
    """What seeds that all went well cannot exclude."""
    if row["verdict"] not in (SUPPORTED, PARTLY):
        return ""
    seeds = row["seeds"]
    return f"{seeds} seeds cannot exclude that up to {share_unseen(seeds):.0%} of seeds fare otherwise.".replace(
        "%", " %"
    )


def _phrase(claim: Claim) -> tuple[str, str]:
    """The claim about tickets and its contrary, in words."""
    against = "the dense network" if claim.question.against == DENSE else f"{claim.question.against} networks"
    if claim.question.shows == EARLIER:
        return f"tickets stop earlier than {against}", f"tickets stop later than {against}"
    kind = "adversarial accuracy" if claim.question.measure.startswith("adversarial") else "natural accuracy"
    if claim.question.shows == BETTER:
        return f"the tickets' {kind} is above that of {against}", f"the tickets' {kind} is below that of {against}"
    return (
        f"the tickets' {kind} is at most the margin below that of {against}",
        f"the tickets' {kind} is more than the margin below that of {against}",
    )
