"""What is trained for real: on two devices, with TF32, and a part of the paper's grid."""

import statistics
from collections.abc import Sequence
from typing import Any

import torch
from gpu_parts import loops
from gpu_parts.bench import ATTACKS, DATASETS, PAPER, ROUNDS, STRATEGIES, Bench, say, trajectory_hours

from lthray.engine.evaluation import evaluate_under
from lthray.engine.results import RoundResult
from lthray.engine.trajectory import run
from lthray.methods.attacks import NATURAL, Attack
from lthray.spec import ends
from lthray.spec.trajectory import TrajectorySpec


def measure_agreement(bench: Bench) -> list[dict[str, Any]]:
    """A short trajectory without random starts on the CPU and on the device; steps by a graph and without."""
    rows: list[dict[str, Any]] = [_compare_ways(bench, attack) for attack in ATTACKS if len(bench.ways) > 1]
    count = bench.sizes.agreement
    for attack in ("fgsm", "pgd"):
        fields = {"rounds": 1, "iterations": count, "eval_every": count // 2, "end_attacks": []}
        spec = bench.spec(attack, **fields, pgd={"random_start": False})
        here, there = (
            [(result.round, row) for (result,) in run([spec], bench.put(device)) for row in result.curves]
            for device in (torch.device("cpu"), bench.device)
        )
        pairs = [(number, cpu, other) for (number, cpu), (_, other) in zip(here, there, strict=True)]
        for number, cpu, other in pairs:
            rows.append(
                {"train_attack": attack, "round": number, "iteration": cpu.iteration, "split": cpu.split,
                 "attack": str(cpu.attack), "accuracy": [cpu.accuracy, other.accuracy], "loss": [cpu.loss, other.loss]}
            )  # fmt: skip
            if cpu.split == "test":
                say(
                    f"trained against {attack}, round {number}, iteration {cpu.iteration:>4}, attack {cpu.attack!s:<5}"
                    f" accuracy {cpu.accuracy:.4f} and {other.accuracy:.4f}, loss {cpu.loss:.4f} and {other.loss:.4f}"
                )
        accuracy = max(abs(cpu.accuracy - other.accuracy) for _, cpu, other in pairs)
        loss = max(abs(cpu.loss - other.loss) for _, cpu, other in pairs)
        say(f"trained against {attack}: largest difference of accuracy {accuracy:.4f}, of loss {loss:.4f}")
    return rows


def _compare_ways(bench: Bench, attack: str) -> dict[str, Any]:
    """The largest difference of a weight after some steps of a stack by a graph, and without it."""
    specs, weights = bench.stack(attack, bench.sizes.stacks[0]), {}
    for name, way in bench.ways.items():
        training, job = loops.training_job(way, specs, bench.data.train, bench.sizes.steps)
        job()
        weights[name] = training.current()[0]
    difference = max(
        float((eager - graph).abs().max()) for eager, graph in zip(weights["eager"], weights["graph"], strict=True)
    )
    say(f"trained against {attack}, {bench.sizes.steps} steps by a graph or not: weights differ by {difference:.3g}")
    return {"train_attack": attack, "steps": bench.sizes.steps, "largest_difference_of_ways": difference}


def measure_precision(bench: Bench) -> list[dict[str, Any]]:
    """What TF32 does to accuracy: stacks of seeds trained against PGD without it and with it, compared by pairs."""
    fields = {"rounds": 0, "iterations": bench.sizes.precision, "eval_every": bench.sizes.precision, "end_attacks": []}
    specs = bench.stack("pgd", bench.sizes.stacks[0], **fields)
    rows: list[dict[str, Any]] = []
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        (results,) = run(specs, bench.data)
        seconds = sum(result.train_seconds for result in results)
        for attack in (NATURAL, Attack("pgd")):
            accuracy = [result.row(attack, "test", bench.sizes.precision).accuracy for result in results]
            rows.append({"precision": precision, "attack": str(attack), "accuracy": accuracy, "train_seconds": seconds})
    for before, after in zip(rows[:2], rows[2:], strict=True):
        changes = [100 * (new - old) for old, new in zip(before["accuracy"], after["accuracy"], strict=True)]
        error = statistics.stdev(changes) / len(changes) ** 0.5
        say(
            f"test accuracy under attack {before['attack']}: {statistics.mean(before['accuracy']):.4f} in float32,"
            f" {statistics.mean(after['accuracy']):.4f} with TF32;"
            f" change {statistics.mean(changes):+.3f} ± {error:.3f} points (mean, standard error; {len(changes)} seeds)"
        )
    say(f"training took {rows[0]['train_seconds']:.2f} s in float32, {rows[2]['train_seconds']:.2f} s with TF32")
    return rows


def measure_grid(bench: Bench) -> list[dict[str, Any]]:
    """A part of the paper's grid, trained for real by one process, and its projection to the whole grid."""
    rows: list[dict[str, Any]] = []
    for way in bench.ways if bench.device.type == "cuda" else ("eager",):
        total = 0.0
        for attack in ATTACKS:
            fields = {"rounds": bench.sizes.rounds, "iterations": bench.sizes.grid, "end_attacks": []}
            specs = [
                bench.spec(attack, seed=seed, strategy=strategy, **fields, eval_every=bench.sizes.grid // 2)
                for strategy in STRATEGIES
                for seed in range(bench.sizes.seeds)
            ]
            began = bench.clock()
            with bench.graphs(way):
                results = [result for round_ in run(specs, bench.data) for result in round_]
            wall = bench.clock() - began
            row = _project(results, wall) | {"way": way, "train_attack": attack, "ends": _measure_ends(bench, specs)}
            row["hours"] += ROUNDS * row["ends"] / 3600
            total += DATASETS * row["hours"]
            rows.append(row)
            say(
                f"{way:<6}{attack:<5}{len(specs):>3} trajectories,"
                f" {bench.sizes.rounds + 1} rounds of {bench.sizes.grid} iterations: {row['wall']:.1f} s;"
                f" step {1e3 * row['step']:.3f} ms, evaluation {1e3 * row['evaluation']:.0f} ms,"
                f" rest of a round {row['rest']:.2f} s, end attacks {row['ends']:.2f} s;"
                f" {ROUNDS} rounds of {PAPER.iterations:,}: {row['hours']:.2f} h"
            )
        say(f"{way}: the paper's grid of {DATASETS} x {len(ATTACKS)} stacks, one after the other: {total:.2f} h")
    return rows


def _project(results: Sequence[RoundResult], wall: float) -> dict[str, float]:
    """Seconds of a step, an evaluation and the rest of a round of a stack; hours of a stack's whole trajectories."""
    spec = results[0].spec
    rounds = spec.rounds + 1
    training, evaluating = (
        sum(getattr(result, name) for result in results) / rounds for name in ("train_seconds", "eval_seconds")
    )
    step, evaluation = training / spec.iterations, evaluating / len(spec.evaluation_iterations())
    rest = wall / rounds - training - evaluating
    hours = trajectory_hours(step, evaluation) + ROUNDS * rest / 3600
    return {"wall": wall, "step": step, "evaluation": evaluation, "rest": rest, "hours": hours}


def _measure_ends(bench: Bench, specs: Sequence[TrajectorySpec]) -> float:
    """Seconds of a round's end attacks of a stack, at early stopping and at the end."""
    asked = bench.spec(specs[0].train_attack)
    attacks, count = ends.end_attacks(asked), ends.end_images(asked)
    split = bench.data.test.first(count)
    start, _ = loops.begin(specs, bench.device)
    arguments = (attacks, start.weights, specs, {"test": split}, 0, [0] * len(specs))
    seconds = bench.measure({"ends": (lambda: evaluate_under(*arguments), 1)})["ends"]
    return 2 * statistics.median(seconds)
