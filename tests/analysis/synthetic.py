"""Results as a sweep would leave them, made up: every column, no training."""

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

ATTACKS = ("none", "fgsm", "pgd")
SPLITS = ("validation", "test")

FIELDS: dict[str, Any] = {
    "protocol": "paper",
    "dataset": "fashion-mnist",
    "model": "lenet-300-100",
    "widths": "300-100",
    "seed": 0,
    "strategy": "reset",
    "rewind_to": "init",
    "train_attack": "none",
    "eval_attacks": "fgsm,pgd",
    "rounds": 2,
    "iterations": 50_000,
    "batch_size": 60,
    "drop_last": True,
    "eval_every": 500,
    "eval_clock": "round",
    "validation_size": 10_000,
    "learning_rate": 0.0012,
    "label_smoothing": 0.1,
    "adversarial_weight": 0.5,
    "norm": "linf",
    "epsilon": 0.3,
    "attack_label": "predicted",
    "pgd.steps": 10,
    "pgd.step_size": 0.05,
    "pgd.random_start": True,
    "pgd.restarts": 1,
    "prune.rates.hidden_1": 0.2,
    "prune.rates.hidden_2": 0.2,
    "prune.rates.output": 0.1,
    "prune.rates.deeper": 0.2,
    "prune.rates.convolution": 0.1,
    "prune.cutoff": "exclusive",
    "prune.criterion": "magnitude",
    "prune.scope": "layerwise",
    "prune.schedule": "iterative",
    "prune.rate": 0.2,
    "transfer.source": "",
    "transfer.setting": "",
    "retrain.iterations": 50_000,
    "retrain.train_attack": "none",
}
RELEASED_CODE = {
    "protocol": "released-code",
    "rewind_to": "end-of-round-0",
    "iterations": 50_040,
    "drop_last": False,
    "eval_clock": "epoch",
    "prune.cutoff": "inclusive",
}


def fields(**changes: Any) -> dict[str, Any]:
    """A trajectory's fields; `pgd__steps` stands for `pgd.steps`."""
    changed = {name.replace("__", "."): value for name, value in changes.items()}
    own = changed.get("train_attack", "none")
    derived = {"eval_attacks": "fgsm,pgd" if own == "none" else own}
    derived |= {"retrain.train_attack": own, "retrain.iterations": changed.get("iterations", 50_000)}
    if changed.get("dataset") == "digits-8x8":
        derived["validation_size"] = 360
    return FIELDS | derived | changed


def identity(setting: dict[str, Any]) -> str:
    text = json.dumps({name: value for name, value in setting.items() if name != "rounds"}, sort_keys=True)
    return f"{random.Random(text).getrandbits(48):012x}"


def trajectory(
    *,
    upto: int | None = None,
    stop: float | list[float] | None = None,
    adversarial: float | list[float] | None = None,
    natural: float | list[float] | None = None,
    **changes: Any,
) -> pd.DataFrame:
    """A trajectory's rows; `stop`, `adversarial` and `natural` (test, at early stopping) are made up by default."""
    setting = fields(**changes)
    measured = ("none", *setting["eval_attacks"].split(","))
    last = setting["rounds"] if upto is None else upto
    rows = []
    for number in range(last + 1):
        made_up = _made_up(setting, number)
        values = {
            "stop": _at(stop, number, made_up["stop"]),
            "none": _at(natural, number, made_up["natural"]),
            "fgsm": _at(adversarial, number, made_up["fgsm"]),
            "pgd": _at(adversarial, number, made_up["pgd"]),
        }
        weights = round(266_200 * 0.8**number)
        row: dict[str, Any] = {"trajectory_id": identity(setting), **setting, "round": number}
        row |= {"weights_remaining": weights / 266_200, "weights_remaining_count": weights}
        row["early_stopping_iteration"] = int(values["stop"])
        for moment, shift in (("early_stopping", 0.0), ("final", -0.01)):
            for attack, split in itertools.product(ATTACKS, SPLITS):
                extra = 0.002 if split == "validation" else 0.0
                value = values[attack] + shift + extra if attack in measured else math.nan
                row[f"{moment}_{attack}_accuracy_{split}"] = value
        row |= {"stack": 3, "train_seconds": 12.5, "eval_seconds": 3.5, "device": "cpu"}
        row |= {"lthray_version": "0.1.0", "torch_version": "2.11.0", "python_version": "3.11.9"}
        rows.append(row)
    return pd.DataFrame(rows)


def grid(**axes: Any) -> list[pd.DataFrame]:
    """A trajectory for each element of the cross product of the arguments that are lists."""
    names = [name for name, values in axes.items() if isinstance(values, list)]
    fixed = {name: value for name, value in axes.items() if name not in names}
    return [
        trajectory(**fixed, **dict(zip(names, values, strict=True)))
        for values in itertools.product(*(axes[name] for name in names))
    ]


def evaluations(
    rounds: pd.DataFrame, attack: str, accuracy: float, *, moment: str = "early_stopping", images: int = 2_000
) -> pd.DataFrame:
    """Rows of `evaluations`: every network of a table of rounds under one attack, on test images."""
    kept = rounds[["trajectory_id", *FIELDS, "round", "weights_remaining", "weights_remaining_count"]]
    measured = {"moment": moment, "iteration": 50_000, "split": "test", "attack": attack, "loss": 1.0}
    return kept.assign(**measured, accuracy=accuracy, zero_gradient_share=0.0, images=images, seconds=1.0)


def curves(rounds: pd.DataFrame) -> pd.DataFrame:
    """A short learning curve for every round of a trajectory."""
    rows = []
    for row in rounds.to_dict("records"):
        kept = {name: row[name] for name in ("trajectory_id", *FIELDS, "round")}
        kept |= {name: row[name] for name in ("weights_remaining", "weights_remaining_count")}
        for iteration, split, attack in itertools.product((0, 500, 1000), SPLITS, ATTACKS):
            if attack == "none" or attack in row["eval_attacks"]:
                moment = {"iteration": iteration, "reported_iteration": iteration, "split": split, "attack": attack}
                rows.append(kept | moment | {"loss": 2.3 - iteration / 1000, "accuracy": 0.1 + iteration / 2000})
    return pd.DataFrame(rows)


def write(
    folder: Path,
    trajectories: list[pd.DataFrame],
    *,
    name: str | None = "made-up",
    roles: dict[str, str] | None = None,
) -> Path:
    """A results folder with these trajectories; columns say what they are in so far as `roles` does."""
    for table in ("rounds", "curves"):
        (folder / table).mkdir(parents=True, exist_ok=True)
    for rounds in trajectories:
        stem = rounds["trajectory_id"].iloc[0]
        _write(rounds, folder / "rounds" / f"{stem}.parquet", roles or {})
        _write(curves(rounds), folder / "curves" / f"{stem}.parquet", roles or {})
    if name is not None:
        (folder / "sweep.yaml").write_text(yaml.safe_dump({"name": name, "protocol": "paper"}), encoding="utf-8")
    return folder


def write_failure(folder: Path, error: str, number: int | None, **changes: Any) -> str:
    """A failed trajectory; its id."""
    setting = fields(**changes)
    said = {"trajectory_id": identity(setting), "round": number, "error": error, "fields": setting}
    (folder / "failures").mkdir(exist_ok=True)
    (folder / "failures" / f"{said['trajectory_id']}.json").write_text(json.dumps(said), encoding="utf-8")
    return said["trajectory_id"]


def _write(frame: pd.DataFrame, path: Path, roles: dict[str, str]) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False)
    columns = [one.with_metadata({"role": roles[one.name]} if one.name in roles else None) for one in table.schema]
    pq.write_table(table.cast(pa.schema(columns)), path)


def _at(given: float | list[float] | None, number: int, otherwise: float) -> float:
    if given is None:
        return otherwise
    return given[number] if isinstance(given, list) else given


def _made_up(setting: dict[str, Any], number: int) -> dict[str, float]:
    """Numbers of a plausible shape: resetting stops earlier and holds its accuracy longer."""
    # Under every strategy of a seed, round 0 is the same.
    noise = random.Random(f"{identity(setting if number else setting | {'strategy': ''})}-{number}")
    pace = {"reset": 0.93, "random": 1.06, "continued": 0.8}.get(setting["strategy"], 1.0)
    fall = {"reset": 0.0006, "random": 0.0016, "continued": 0.0003}.get(setting["strategy"], 0.001) * number**1.7
    robust = {"none": 0.06, "fgsm": 0.80, "pgd": 0.72}[setting["train_attack"]]
    return {
        "stop": round(max(500, 9000 * pace**number * noise.uniform(0.85, 1.15)) / 500) * 500,
        "natural": 0.88 - fall + noise.gauss(0, 0.004),
        "fgsm": max(0.0, robust - 1.5 * fall + noise.gauss(0, 0.01)),
        "pgd": max(0.0, robust * 0.9 - 1.7 * fall + noise.gauss(0, 0.01)),
    }
