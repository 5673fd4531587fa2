"""Writes a very large synthetic results folder: 5,040 trajectories of 21 rounds, 51 million curve rows.

    python benchmarks/synthetic_results.py DIR [--seeds 20] [--epsilons 14] [--tickets]

Two data sets x three train attacks x three strategies x 14 epsilons x 20 seeds, 101 evaluations a round, one file per
trajectory, laid out as by `lthray sweep`. The numbers look like real ones but mean nothing. With tickets, a trajectory
takes 28 MB: `--seeds 5 --epsilons 1 --tickets` makes a folder as large as that of the paper's sweep, 2.5 GB.
"""

import argparse
import hashlib
import itertools
import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors.numpy import save_file

ROUNDS, ITERATIONS, EVAL_EVERY = 20, 50_000, 500
SPLITS = ("validation", "test")
LAYERS = {"hidden_1": (300, 784), "hidden_2": (100, 300), "output": (10, 100)}
FIELDS: dict[str, Any] = {
    "protocol": "paper", "dataset": "fashion-mnist", "model": "lenet-300-100", "widths": "300-100", "seed": 0,
    "strategy": "reset", "rewind_to": "init", "train_attack": "none", "eval_attacks": "fgsm,pgd",
    "rounds": ROUNDS, "iterations": ITERATIONS,
    "batch_size": 60, "drop_last": True, "eval_every": EVAL_EVERY, "eval_clock": "round", "validation_size": 10_000,
    "learning_rate": 0.0012, "label_smoothing": 0.1, "adversarial_weight": 0.5, "epsilon": 0.3,
    "attack_label": "predicted", "pgd.steps": 10, "pgd.step_size": 0.05, "pgd.random_start": True,
    "norm": "linf", "pgd.restarts": 1,
    "prune.rates.hidden_1": 0.2, "prune.rates.hidden_2": 0.2, "prune.rates.output": 0.1, "prune.cutoff": "exclusive",
    "prune.rates.deeper": 0.2, "prune.rates.convolution": 0.1,
    "prune.criterion": "magnitude", "prune.scope": "layerwise", "prune.schedule": "iterative", "prune.rate": 0.2,
    "transfer.source": "", "transfer.setting": "",
    "retrain.iterations": ITERATIONS, "retrain.train_attack": "none",
}  # fmt: skip
HELD = {"none": 0.1, "fgsm": 0.75, "pgd": 0.65}
FALL = {"reset": 0.0006, "random": 0.0016, "continued": 0.0003}


def main() -> None:
    """Writes the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=20, help="252 trajectories each (default: %(default)s)")
    parser.add_argument("--epsilons", type=int, default=14, help="values of epsilon, at most 14 (default: %(default)s)")
    parser.add_argument("--tickets", action="store_true", help="write random masks, with weights of zero")
    arguments = parser.parse_args()
    for name in ("rounds", "curves"):
        (arguments.folder / name).mkdir(parents=True, exist_ok=True)
    (arguments.folder / "sweep.yaml").write_text("name: synthetic\nprotocol: paper\n", encoding="utf-8")
    grid = itertools.product(
        ("mnist", "fashion-mnist"), ("none", "fgsm", "pgd"), ("reset", "random", "continued"),
        [round(0.05 * step, 2) for step in range(1, 15)][: arguments.epsilons], range(arguments.seeds),
    )  # fmt: skip
    tasks = [(arguments.folder, arguments.tickets, *point) for point in grid]
    with multiprocessing.Pool() as pool:
        rows = sum(pool.imap_unordered(write, tasks, chunksize=50))
    print(f"{len(tasks):,} trajectories, {rows:,} curve rows in {arguments.folder}")


def write(task: tuple[Path, bool, str, str, str, float, int]) -> int:
    """Writes one trajectory and returns the number of its curve rows."""
    folder, tickets, dataset, train, strategy, epsilon, seed = task
    attacks = ("none", "fgsm", "pgd") if train == "none" else ("none", train)
    fields = FIELDS | {
        "dataset": dataset, "train_attack": train, "strategy": strategy, "epsilon": epsilon, "seed": seed,
        "eval_attacks": ",".join(attacks[1:]), "retrain.train_attack": train,
    }  # fmt: skip
    identity = hashlib.sha256(repr(sorted(fields.items())).encode()).hexdigest()[:12]
    noise = np.random.default_rng(int(identity, 16))
    accuracies = _accuracies(noise, train, strategy, attacks)
    curves = _curves(noise, fields, identity, attacks, accuracies)
    _write(curves, folder / "curves" / f"{identity}.parquet")
    _write(_rounds(noise, fields, identity, attacks, accuracies), folder / "rounds" / f"{identity}.parquet")
    if tickets:
        _tickets(noise, folder / "tickets" / identity)
    return len(curves)


def _tickets(noise: np.random.Generator, folder: Path) -> None:
    """Writes the three ticket files of a finished trajectory, with masks that lose weights at random."""
    folder.mkdir(parents=True, exist_ok=True)
    masks = {name: np.ones(shape, np.uint8) for name, shape in LAYERS.items()}
    rounds = []
    for number in range(ROUNDS + 1):
        rounds.append({f"{name}.mask": mask.copy() for name, mask in masks.items()})
        rounds[number] |= {f"{name}.weight": np.zeros(mask.shape, np.float32) for name, mask in masks.items()}
        for mask in masks.values():
            left = np.flatnonzero(mask)
            mask.flat[noise.permutation(left)[: round(0.2 * len(left))]] = 0
    between = {f"round-{i:02d}.{name}": one for i in range(1, ROUNDS) for name, one in rounds[i].items()}
    for name, tensors in (
        ("round-00", rounds[0]),
        (f"rounds-01-{ROUNDS - 1}", between),
        (f"round-{ROUNDS}", rounds[-1]),
    ):
        save_file(tensors, folder / f"{name}.safetensors")


def _accuracies(noise: np.random.Generator, train: str, strategy: str, attacks: tuple[str, ...]) -> np.ndarray:
    """Accuracies at the end of each round, (round, split, attack)."""
    best = np.array([0.88 if attack == "none" else HELD[train] for attack in attacks])
    fall = FALL[strategy] * np.arange(ROUNDS + 1)[:, None, None] ** 1.7
    spread = noise.normal(0, 0.006, (ROUNDS + 1, len(SPLITS), len(attacks)))
    return np.clip(best - fall * best + spread, 0, 1).round(4)


def _curves(
    noise: np.random.Generator, fields: dict[str, Any], identity: str, attacks: tuple[str, ...], last: np.ndarray
) -> pa.Table:
    at = np.arange(0, ITERATIONS + 1, EVAL_EVERY)
    grown = 0.1 + (last - 0.1)[:, None] * (1 - np.exp(-at / 4000))[None, :, None, None]
    accuracy = np.clip(grown + noise.normal(0, 0.004, grown.shape), 0, 1).round(4)
    number, iteration, split, attack = (index.ravel() for index in np.indices(accuracy.shape))
    remaining = np.rint(266_200 * 0.8**number).astype(np.int64)
    return _table(fields, identity, len(number), {
        "round": number, "weights_remaining": remaining / 266_200, "weights_remaining_count": remaining,
        "iteration": at[iteration], "reported_iteration": at[iteration],
        "split": _text(SPLITS, split), "attack": _text(attacks, attack),
        "loss": 2.5 - 2.2 * accuracy.ravel() + noise.normal(0, 0.01, accuracy.size), "accuracy": accuracy.ravel(),
    })  # fmt: skip


def _rounds(
    noise: np.random.Generator, fields: dict[str, Any], identity: str, attacks: tuple[str, ...], last: np.ndarray
) -> pa.Table:
    number = np.arange(ROUNDS + 1)
    remaining = np.rint(266_200 * 0.8**number).astype(np.int64)
    stop = np.rint(noise.normal(9000, 1500, ROUNDS + 1) / EVAL_EVERY).astype(np.int64) * EVAL_EVERY
    columns: dict[str, Any] = {
        "round": number, "weights_remaining": remaining / 266_200, "weights_remaining_count": remaining,
        "early_stopping_iteration": np.clip(stop, EVAL_EVERY, ITERATIONS),
    }  # fmt: skip
    for moment, name, (place, split) in itertools.product(
        ("early_stopping", "final"), ("none", "fgsm", "pgd"), enumerate(SPLITS)
    ):
        measured = last[:, place, attacks.index(name)] if name in attacks else np.full(ROUNDS + 1, np.nan)
        columns[f"{moment}_{name}_accuracy_{split}"] = pa.array(measured, from_pandas=True)
    same = {"stack": 9, "train_seconds": 40.0, "eval_seconds": 8.0, "device": "cpu"}
    same |= {"lthray_version": "0.1.0", "torch_version": "2.11.0", "python_version": "3.11.9"}
    columns |= {name: pa.repeat(pa.scalar(value), ROUNDS + 1) for name, value in same.items()}
    return _table(fields, identity, ROUNDS + 1, columns)


def _table(fields: dict[str, Any], identity: str, rows: int, columns: dict[str, Any]) -> pa.Table:
    shared = {"trajectory_id": identity, **fields}
    return pa.table({name: pa.repeat(pa.scalar(value), rows) for name, value in shared.items()} | columns)


def _text(names: tuple[str, ...], codes: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names)).cast(pa.string())


def _write(table: pa.Table, path: Path) -> None:
    beside = path.with_name(f".{path.name}")
    pq.write_table(table, beside, compression="zstd")
    beside.replace(path)


if __name__ == "__main__":
    main()
