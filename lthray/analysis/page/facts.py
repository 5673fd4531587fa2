"""What was run, in words."""

import pandas as pd

from lthray.analysis.figures.attack_words import LABELS, NORMS, describe_attack, describe_steps
from lthray.analysis.load import Results
from lthray.analysis.numbers.consistency import PROVENANCE
from lthray.analysis.numbers.curves import at_ends
from lthray.analysis.numbers.fields import NETWORK, distinct, show, varied
from lthray.analysis.numbers.measurements import WHOLE, list_measurements
from lthray.analysis.numbers.states import COMPLETE, FAILED, PARTIAL, STOPPED
from lthray.analysis.page.overview import list_trajectories, list_values

Facts = dict[str, list[str]]
"""Lines of text by heading."""

_PGD = ("pgd.steps", "pgd.step_size", "pgd.random_start", "pgd.restarts")
_MOMENTS = {"early_stopping": "at early stopping", "final": "at the end"}


def list_facts(results: Results, evaluations: pd.DataFrame) -> dict[str, Facts]:
    """What was run, in words, by group and heading.

    Args:
        results: What the page is about.
        evaluations: Its `Results.evaluations()`.
    """
    groups = {
        "Data and network": _network_facts(results.rounds),
        "Training": _training_facts(results),
        "Attacks": _attack_facts(results.rounds),
        "Evaluation": _evaluation_facts(results.rounds, evaluations),
        "Provenance": _provenance_facts(results),
    }
    return {
        group: {heading: lines for heading, lines in facts.items() if any(lines)} for group, facts in groups.items()
    }


def _network_facts(rounds: pd.DataFrame) -> Facts:
    return {
        "Data sets": [list_values(rounds, "dataset")],
        "Validation images": [_numbers(rounds, "validation_size")],
        "Networks": _networks(rounds),
    }


def _networks(rounds: pd.DataFrame) -> list[str]:
    """Every network by its name, the units of its hidden layers, and its number of weights."""
    known = [name for name in NETWORK if name in rounds.columns]
    if "weights_remaining_count" not in rounds.columns:
        listed = distinct(rounds, known) if known else []
        return [", hidden units ".join(show(name) for name in names if name != "") for names in listed]
    dense = (rounds["weights_remaining_count"] / rounds["weights_remaining"]).round().astype(int)
    sizes = rounds[known].assign(weights=dense)
    return [
        ", ".join(
            [
                *(
                    f"{word}{show(name)}"
                    for word, name in zip(("", "hidden units "), names, strict=False)
                    if name != ""
                ),
                f"{weights:,} weights",
            ]
        )
        for *names, weights in distinct(sizes, [*known, "weights"])
    ]


def _training_facts(results: Results) -> Facts:
    rounds = results.rounds
    table = list_trajectories(results)
    counts = {state: int((table["state"] == state).sum()) for state in (COMPLETE, STOPPED, PARTIAL, FAILED)}
    states = ", ".join(f"{count:,} {state}" for state, count in counts.items() if count)
    return {
        "Trajectories": [f"{len(table):,} ({states})"],
        "Strategies": [list_values(rounds, "strategy")],
        "Seeds": [list_values(rounds, "seed")],
        "Rounds": [
            f"{_numbers(rounds, 'rounds')} after the dense one",
            f"{len(rounds):,} measured, up to round {rounds['round'].max()}",
        ],
        "Iterations per round": [_numbers(rounds, "iterations")],
        "Iterations of later rounds": [_numbers(_retrained(rounds, "iterations"), "retrain.iterations")],
        "Protocols": [list_values(rounds, "protocol")],
        "Also varied": [", ".join(varied(rounds))],
    }


def _attack_facts(rounds: pd.DataFrame) -> Facts:
    by = [name for name in ("train_attack", "retrain.train_attack", "eval_attacks") if name in rounds.columns]
    by_pgd = rounds[rounds[by].apply(lambda column: column.astype(str).str.contains("pgd", regex=False)).any(axis=1)]
    return {
        "Train attacks": [list_values(rounds, "train_attack")],
        "Train attacks of later rounds": [list_values(_retrained(rounds, "train_attack"), "retrain.train_attack")],
        "Radius ε": [
            f"{show(epsilon)} in {NORMS.get(str(norm), norm)}"
            for epsilon, norm in _combinations(rounds, "epsilon", "norm")
        ],
        "Attack label": [
            f"{label}: away from {LABELS.get(str(label), label)}" for (label,) in _combinations(rounds, "attack_label")
        ],
        "PGD": [describe_steps(*map(show, values)) for values in _combinations(by_pgd, *_PGD)],
    }


def _evaluation_facts(rounds: pd.DataFrame, evaluations: pd.DataFrame) -> Facts:
    measured = list_measurements(rounds, evaluations)
    attacks: dict[str, list[str]] = {}
    for attack in dict.fromkeys(measured["attack"]):
        for images, part in measured[measured["attack"] == attack].groupby("images"):
            coverage = _describe_coverage(part, int(str(images)), len(rounds))
            attacks.setdefault(coverage, []).append(describe_attack(str(attack)))
    every, fewer = _numbers(rounds, "eval_every"), len(at_ends(rounds))
    return {
        "Measured": [f"{', '.join(names)}: {coverage}" for coverage, names in attacks.items()],
        "Learning curves": [
            *([f"every {every} iterations"] if every else []),
            *([f"under no attack but the train attack: {fewer:,} of {len(rounds):,} networks"] if fewer else []),
        ],
    }


def _describe_coverage(measured: pd.DataFrame, images: int, networks: int) -> str:
    """On which images, when, and of how many networks something was measured."""
    how_many = "all" if images == WHOLE else f"the first {images:,}"
    splits = " and ".join(sorted(set(measured["split"]), reverse=True))
    moments = " and ".join(words for moment, words in _MOMENTS.items() if moment in set(measured["moment"]))
    covered = measured["network"].nunique()
    some = "" if covered == networks else f", {covered:,} of {networks:,} networks"
    return f"{how_many} {splits} images, {moments}{some}"


def _provenance_facts(results: Results) -> Facts:
    rounds = results.rounds
    versions = [
        f"{name} {list_values(rounds, column)}"
        for column, name in PROVENANCE.items()
        if column != "device" and column in rounds.columns
    ]
    return {
        "Folders": [", ".join(results.folders) if len(results.folders) > 1 else ""],
        "Devices": [list_values(rounds, "device")],
        "Versions": ["; ".join(versions)],
    }


def _retrained(rounds: pd.DataFrame, field: str) -> pd.DataFrame:
    """The rows whose later rounds have a value of their own of a field."""
    own = f"retrain.{field}"
    return rounds[rounds[own] != rounds[field]] if own in rounds.columns else rounds.iloc[:0]


def _combinations(rounds: pd.DataFrame, *names: str) -> list[tuple[object, ...]]:
    """The combinations of values of some columns; none where a column is missing."""
    return distinct(rounds, list(names)) if set(names) <= set(rounds.columns) else []


def _numbers(rounds: pd.DataFrame, column: str) -> str:
    """The distinct numbers of a column, in order."""
    if column not in rounds.columns:
        return ""
    return ", ".join(f"{int(value):,}" for value in sorted(rounds[column].dropna().unique()))
