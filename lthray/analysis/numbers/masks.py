"""Numbers from masks: what each layer keeps, and how much of it two networks have in common. Pure functions."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import hashable, sort_key, trajectory_keys, varied
from lthray.analysis.numbers.frames import DENSITY, OVERLAPS, ROUNDS, takes
from lthray.analysis.numbers.summary import setting_keys
from lthray.analysis.ticket_masks import Rounds

BETWEEN = ("strategy", "seed", "train_attack", "dataset")
"""What two networks may differ in for their masks to be compared: one of these, and nothing else."""
PAIR = " – "
"""Stands between the values of a pair."""

Masks = Mapping[tuple[Any, ...], Rounds]
"""The masks of trajectories (`Results.masks`) by what tells these apart (`trajectory_keys`)."""

_FIELDS = ["dataset", "train_attack", "strategy"]


@takes(rounds=ROUNDS)
def layer_density(rounds: pd.DataFrame, masks: Masks) -> pd.DataFrame:
    """How many of its weights each layer has left.

    Args:
        rounds: A table of rounds (`load`).
        masks: The masks of its trajectories; what is missing is left out.

    Returns:
        One row per trajectory, round and layer: the columns of `varied(rounds)`, `dataset`, `train_attack`,
        `strategy`, `seed`, `round`, `weights_remaining` (of the network, (0, 1]), `layer`, `place` (0 for the first
        layer), `weights` (in the dense layer), `remaining` (of them) and `density` ([0, 1]). A seed counts once: of
        trajectories that differ in nothing but the list of eval attacks the first is taken.
    """
    settings = varied(rounds)
    rows = [
        {name: network[name] for name in (*settings, *_FIELDS, "seed")}
        | {"round": number, "weights_remaining": network["_weights"][number], "layer": layer, "place": place}
        | {"weights": mask.size, "remaining": mask.count, "density": mask.count / mask.size}
        for network in _networks(rounds, masks, settings)
        for number, layers in network["_masks"].items()
        for place, (layer, mask) in enumerate(layers.items())
    ]
    measured = ["seed", "round", "weights_remaining", "layer", "place", "weights", "remaining", "density"]
    return _sorted(pd.DataFrame(rows, columns=[*settings, *_FIELDS, *measured]), [*settings, *_FIELDS, "seed", "round"])


@takes(rounds=ROUNDS)
def overlaps(rounds: pd.DataFrame, masks: Masks) -> pd.DataFrame:
    """How much of each layer's mask two networks of a round have in common.

    Two networks are compared where they differ in the strategy, the seed, the train attack or the data set alone, and
    the layer has the same shape in both. The overlap is `|A ∩ B| / |A ∪ B|` (Jaccard's index). Beside it stands the
    overlap to be expected of many weights in independent random masks with the same densities p and q:
    p·q / (p + q - p·q).

    Args:
        rounds: A table of rounds (`load`).
        masks: The masks of its trajectories; what is missing is left out.

    Returns:
        One row per pair, round and layer: `between` (one of `BETWEEN`), the columns of `varied(rounds)`,
        `dataset`, `train_attack`, `strategy`, `seed` (what the two share; under the field that they differ in, both
        values, "reset – random"), `one`, `other` (these values as text), `round`, `weights_remaining` (mean of both,
        (0, 1]), `layer`, `place` (0 for the first layer), `density_one`, `density_other`, `overlap` and `expected`
        ([0, 1]; NaN where neither layer has a weight).
    """
    settings = varied(rounds)
    networks = _networks(rounds, masks, settings)
    rows: list[dict[str, Any]] = []
    for between in BETWEEN:
        shared = [*settings, *(name for name in (*_FIELDS, "seed") if name != between)]
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for network in networks:
            groups.setdefault(hashable(tuple(network[name] for name in shared)), []).append(network)
        for group in groups.values():
            for first, second in itertools.combinations(group, 2):
                both = {"between": between} | {name: first[name] for name in shared}
                both |= {between: f"{first[between]}{PAIR}{second[between]}", "one": str(first[between])}
                rows += (both | {"other": str(second[between])} | row for row in _compare_layers(first, second))
    measured = ["round", "weights_remaining", "layer", "place", "density_one", "density_other", "overlap", "expected"]
    frame = pd.DataFrame(rows, columns=["between", *settings, *_FIELDS, "seed", "one", "other", *measured])
    frame["seed"] = frame["seed"].astype(str)
    return frame


@takes(density=DENSITY)
def summarise_density(density: pd.DataFrame) -> pd.DataFrame:
    """`layer_density` as means over seeds: `density_mean`, `_sd` (sample standard deviation) and `_n` (seeds)."""
    return _means(density, [*setting_keys(density), *_FIELDS, "round", "place", "layer"], "density", [])


@takes(pairs=OVERLAPS)
def summarise_overlaps(pairs: pd.DataFrame) -> pd.DataFrame:
    """`overlaps` as means over pairs: `overlap_mean`, `_sd` (over pairs), `_n` (pairs), and `expected` (mean).

    Pairs of seeds are averaged over; other pairs are kept apart, each averaged over the seeds.
    """
    return _means(
        pairs, ["between", *setting_keys(pairs), *_FIELDS, "round", "place", "layer"], "overlap", ["expected"]
    )


def _networks(rounds: pd.DataFrame, masks: Masks, settings: list[str]) -> list[dict[str, Any]]:
    """The trajectories that have masks, in the customary order: their fields, `_weights` by round, and `_masks`."""
    identity = trajectory_keys(rounds)
    weights: dict[tuple[Any, ...], dict[int, float]] = {}
    for known in rounds[[*identity, "round", "weights_remaining"]].itertuples(index=False, name=None):
        weights.setdefault(known[:-2], {})[known[-2]] = known[-1]
    fields = list(dict.fromkeys([*identity, *settings, *_FIELDS, "seed"]))
    trajectories = rounds.drop_duplicates(identity).sort_values(identity).drop_duplicates([*settings, *_FIELDS, "seed"])
    trajectories = _sorted(trajectories[fields], [*settings, *_FIELDS, "seed"])
    networks = []
    for row in trajectories.to_dict("records"):
        key = tuple(row[name] for name in identity)
        own = {number: layers for number, layers in sorted(masks.get(key, {}).items()) if number in weights[key]}
        networks.append({str(name): value for name, value in row.items()} | {"_weights": weights[key], "_masks": own})
    return [network for network in networks if network["_masks"]]


def _compare_layers(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, layers in first["_masks"].items():
        second_layers = second["_masks"].get(number, {})
        for place, (layer, mask) in enumerate(layers.items()):
            twin = second_layers.get(layer)
            if twin is None or twin.shape != mask.shape:
                continue
            common = mask.common(twin)
            union = mask.count + twin.count - common
            p, q = mask.count / mask.size, twin.count / twin.size
            yield {
                "round": number,
                "weights_remaining": (first["_weights"][number] + second["_weights"][number]) / 2,
                "layer": layer,
                "place": place,
                "density_one": p,
                "density_other": q,
                "overlap": common / union if union else np.nan,
                "expected": p * q / (p + q - p * q) if union else np.nan,
            }


def _means(frame: pd.DataFrame, keys: list[str], measure: str, others: list[str]) -> pd.DataFrame:
    groups = frame.groupby(keys, dropna=False, observed=True, sort=False)
    values = groups[measure]
    columns = {name: groups[name].mean() for name in ("weights_remaining", *others)}
    columns |= {f"{measure}_mean": values.mean(), f"{measure}_sd": values.std(), f"{measure}_n": values.count()}
    return pd.DataFrame(columns).reset_index()  # in the order of the rows: the customary one, for pairs too


def _sorted(frame: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return frame.sort_values(keys, key=sort_key, kind="stable", ignore_index=True)
