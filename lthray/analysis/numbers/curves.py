"""Numbers from learning curves: early stopping, and means over seeds as training proceeds."""

import numpy as np
import pandas as pd

from lthray.analysis.numbers.fields import EVAL_ATTACKS, sort_key, trajectory_keys, varied
from lthray.analysis.numbers.frames import CURVES, OBJECTIVES, ROUNDS, takes
from lthray.analysis.numbers.summary import SERIES

POSTER_WEIGHTS = (1.0, 0.513, 0.169, 0.087, 0.036, 0.018)
"""The weights remaining whose curves the poster's Figures 1 and 3 show."""
CURVES_READ = ("trajectory_id", "round", "iteration", "split", "attack", "loss", "accuracy")
"""The columns of `curves` that `learning_curves` needs."""

_CURVE = ["_series", "eval_attack", "round", "iteration"]


@takes(curves=OBJECTIVES)
def early_stopping(curves: pd.DataFrame) -> pd.DataFrame:
    """Where training would have stopped early: the first iteration with the smallest validation objective.

    The objective is that of training: with adversarial weight w, (1 - w) natural + w adversarial loss under the train
    attack, or the natural loss alone for train attack none. An iteration where a loss it needs is missing or NaN is
    passed over; the earliest of equal minima counts.

    Args:
        curves: Rows of `Results.curves` with `trajectory_id` (and `folder`, if any), `train_attack`,
            `adversarial_weight`, `round`, `iteration`, `split`, `attack` and `loss`.

    Returns:
        One row per trajectory and round: `folder` where there is one, `trajectory_id`, `round`,
        `early_stopping_iteration` (optimizer steps, NA where no objective is known) and `objective` (nats per image,
        NaN likewise).
    """
    round_keys = [*trajectory_keys(curves), "round"]
    keys = [*round_keys, "iteration"]
    validation = curves[curves["split"] == "validation"]
    natural = validation.loc[validation["attack"] == "none", [*keys, "train_attack", "adversarial_weight", "loss"]]
    own = validation["attack"].astype(str) == validation["train_attack"].astype(str)
    adversarial = validation.loc[own & (validation["attack"] != "none"), [*keys, "loss"]]
    both = natural.merge(adversarial, on=keys, how="left", suffixes=("", "_adversarial"))
    weight = both["adversarial_weight"].where(both["train_attack"].astype(str) != "none", 0.0).astype(float)
    both["objective"] = both["loss"].where(weight == 0, (1 - weight) * both["loss"] + weight * both["loss_adversarial"])
    known = both.dropna(subset="objective").sort_values([*round_keys, "objective", "iteration"])
    first = known.drop_duplicates(round_keys).rename(columns={"iteration": "early_stopping_iteration"})
    every = curves[round_keys].drop_duplicates().sort_values(round_keys)
    table = every.merge(first[[*round_keys, "early_stopping_iteration", "objective"]], on=round_keys, how="left")
    return table.astype({"early_stopping_iteration": "Int64"})


@takes(curves=CURVES, rounds=ROUNDS)
def learning_curves(curves: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds as training proceeds: one row per setting, strategy, eval attack, round and iteration.

    Args:
        curves: Rows of `Results.curves` with the columns `CURVES_READ` (and `folder`, if any); those of attack none,
            splits beyond test accuracy and validation loss, and attacks measured at the ends of rounds alone
            (`eval_attacks_at`), are ignored.
        rounds: The table of rounds (`load`), which says what each trajectory is.

    Returns:
        The columns of `varied(rounds)`, `dataset`, `train_attack`, `eval_attack`, `strategy`, `round`,
        `weights_remaining` (mean, (0, 1]), `iteration` (optimizer steps), and, for `accuracy_test` (adversarial, share
        of [0, 1]) and `loss_validation` (adversarial, nats per image), `<measure>_mean`, `<measure>_sd` (sample
        standard deviation, NaN with one seed) and `<measure>_n` (seeds). NaN is not counted.
    """
    identity = trajectory_keys(rounds)
    settings = varied(rounds)
    series_keys = [*settings, "dataset", "train_attack", "strategy"]
    trajectories = _trajectories(rounds, series_keys)
    attacked = _at_every_evaluation(curves[curves["attack"].isin(EVAL_ATTACKS)], rounds)
    attacked = attacked[["round", "iteration", "split", "attack", "loss", "accuracy"]].assign(
        _trajectory=_codes(attacked, trajectories, identity)
    )
    attacked = _first_of_a_seed(attacked[attacked["_trajectory"] >= 0], trajectories)
    attacked["_series"] = trajectories["_series"].to_numpy()[attacked["_trajectory"]]
    attacked = attacked.rename(columns={"attack": "eval_attack"})
    parts = []
    for name, split in (("accuracy", "test"), ("loss", "validation")):
        groups = attacked[attacked["split"] == split].groupby(_CURVE, observed=True)[name]
        part = pd.DataFrame({"mean": groups.mean(), "sd": groups.std(), "n": groups.count()})
        parts.append(part.add_prefix(f"{name}_{split}_"))
    table = pd.concat(parts, axis=1).reset_index()
    counts = [name for name in table.columns if name.endswith("_n")]
    table[counts] = table[counts].fillna(0).astype(int)
    table["eval_attack"] = table["eval_attack"].astype(str)
    table = table.merge(_weights(rounds, trajectories, identity), on=["_series", "round"], how="left")
    named = trajectories[["_series", *series_keys]].drop_duplicates("_series")
    table = table.merge(named, on="_series", how="left")
    keys = [*settings, *SERIES, "round"]
    measured = [name for name in table.columns if name.startswith(("accuracy_", "loss_"))]
    table = table[[*keys, "weights_remaining", "iteration", *measured]]
    return table.sort_values([*keys, "iteration"], key=sort_key, ignore_index=True)


def at_ends(rounds: pd.DataFrame) -> pd.DataFrame:
    """The rows of rounds in which attacks other than the train attack were measured at the ends alone.

    Args:
        rounds: The table of rounds (`load`).
    """
    name = "eval_attacks_at"
    return rounds[rounds[name] == "ends"] if name in rounds.columns else rounds.iloc[:0]


def _at_every_evaluation(curves: pd.DataFrame, rounds: pd.DataFrame) -> pd.DataFrame:
    """The rows under attacks that were measured at every evaluation of their round."""
    keys = [*trajectory_keys(rounds), "round"]
    trained = curves[keys].merge(at_ends(rounds)[[*keys, "train_attack"]], on=keys, how="left")["train_attack"]
    everywhere = trained.isna() | (trained.astype(str) == curves["attack"].astype(str).to_numpy())
    return curves[everywhere.to_numpy()]


def rounds_shown(rounds: pd.DataFrame) -> list[int]:
    """The rounds whose mean weights remaining are nearest, in ratio, to `POSTER_WEIGHTS`; each once, in order."""
    mean = rounds.groupby("round")["weights_remaining"].mean()
    distances = np.abs(np.log(mean.to_numpy(float)[:, None] / np.asarray(POSTER_WEIGHTS)))
    return sorted({int(mean.index[place]) for place in distances.argmin(axis=0)})


def _trajectories(rounds: pd.DataFrame, series_keys: list[str]) -> pd.DataFrame:
    """One row per trajectory, in order: what tells it apart, its series, and its number among those of one seed."""
    identity = trajectory_keys(rounds)
    table = rounds.drop_duplicates(identity).sort_values(identity, ignore_index=True)
    series = table.groupby(series_keys, dropna=False, observed=True, sort=False).ngroup()
    table = table.assign(_series=series)
    table["_twin"] = table.groupby(["_series", "seed"]).ngroup()
    return table[list(dict.fromkeys([*identity, *series_keys, "_series", "_twin"]))]


def _codes(curves: pd.DataFrame, trajectories: pd.DataFrame, identity: list[str]) -> "pd.Series[int]":
    """The place of each row's trajectory among `trajectories`, -1 without one."""
    places = {key: place for place, key in enumerate(trajectories[identity].itertuples(index=False, name=None))}
    known = curves[identity].drop_duplicates()
    known = known.assign(_place=[places.get(key, -1) for key in known.itertuples(index=False, name=None)])
    places_of_rows = curves[identity].merge(known, on=identity, how="left")["_place"]
    return places_of_rows.set_axis(curves.index)


def _first_of_a_seed(curves: pd.DataFrame, trajectories: pd.DataFrame) -> pd.DataFrame:
    """The rows in which a seed counts once: of twins measured under an attack, those of the first trajectory."""
    twins = trajectories["_twin"].to_numpy()
    if len(set(twins)) == len(twins):
        return curves.copy()
    curves = curves.assign(_twin=twins[curves["_trajectory"]])
    first = curves.groupby(["_twin", "round", "attack"], observed=True)["_trajectory"].transform("min")
    return curves[curves["_trajectory"] == first].drop(columns="_twin")


def _weights(rounds: pd.DataFrame, trajectories: pd.DataFrame, identity: list[str]) -> pd.DataFrame:
    known = rounds[[*identity, "round", "weights_remaining"]].merge(trajectories[[*identity, "_series"]], on=identity)
    return known.groupby(["_series", "round"])["weights_remaining"].mean().reset_index()
