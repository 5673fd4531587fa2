"""How fast a device trains and evaluates stacks, beside plain loops and beside its matrix products."""

import statistics
from dataclasses import asdict
from functools import partial
from typing import Any

import torch
from gpu_parts import loops
from gpu_parts.bench import ATTACKS, Bench, describe, say, trajectory_hours

from lthray.bench.measure import Spread


def measure_speed(bench: Bench) -> list[dict[str, Any]]:
    """Steps and evaluations of stacks beside a plain loop, and the trajectories an hour that follow from them."""
    rows: list[dict[str, Any]] = []
    for attack in ATTACKS:
        plain = loops.PlainLoop(bench.spec(attack), bench.data)
        steps = {("plain", 1): plain.step_job(bench.sizes.steps)}
        evaluations = {("plain", 1): plain.evaluation_job()}
        for size in bench.sizes.stacks:
            specs = bench.stack(attack, size)
            for name, way in bench.ways.items():
                steps[name, size] = loops.step_job(way, specs, bench.data.train, bench.sizes.steps)
            evaluations["stack", size] = loops.evaluation_job(specs, bench.data)
        step, evaluation = bench.measure(steps), bench.measure(evaluations)
        for work, seconds in (("step", step), ("evaluation", evaluation)):
            rows += [_compare(attack, work, loop, size, seconds) for loop, size in seconds]
        for (loop, size), values in step.items():
            evaluating = evaluation[("plain" if loop == "plain" else "stack"), size]
            hours = trajectory_hours(statistics.median(values), statistics.median(evaluating)) / size
            say(f"{attack:<5} {loop:<7}{size:>4} networks: {1 / hours:9.2f} trajectories an hour, summed")
            rows.append(
                {"train_attack": attack, "work": "trajectory", "loop": loop, "networks": size, "an_hour": 1 / hours}
            )
    return rows


def _compare(attack: str, work: str, loop: str, size: int, seconds: dict[Any, list[float]]) -> dict[str, Any]:
    """A loop's seconds, and how many times as long as many plain loops take, one after the other."""
    values = seconds[loop, size]
    ratio = Spread.compute([size * plain / value for plain, value in zip(seconds["plain", 1], values, strict=True)])
    spread = Spread.compute(values)
    say(
        f"{attack:<5} {loop:<7}{size:>4} networks, {work:<10} {describe(spread, 1e3, 3):>30} ms,"
        f" {describe(ratio)} times as fast as plain loops"
    )
    return {
        "train_attack": attack, "work": work, "loop": loop, "networks": size,
        "seconds": asdict(spread), "ratio": asdict(ratio),
    }  # fmt: skip


def measure_utilisation(bench: Bench) -> list[dict[str, Any]]:
    """Operations a second of whole steps, beside the matrix products of the step alone, without and with TF32."""
    rows = []
    for precision in ("highest", "high"):
        torch.set_float32_matmul_precision(precision)
        for attack in ("none", "pgd"):
            for size in bench.sizes.stacks:
                specs, count = bench.stack(attack, size), bench.sizes.steps
                seconds = bench.measure(
                    {
                        "step": loops.step_job(bench.way, specs, bench.data.train, count),
                        "products": loops.products_job(specs[0], size, bench.device, bench.capture, count),
                    }
                )
                operations = size * loops.count_operations(specs[0])
                rates = {name: operations / statistics.median(values) for name, values in seconds.items()}
                say(
                    f"{attack:<5}{size:>4} networks, precision {precision}: step {rates['step'] / 1e12:.2f} TFLOP/s,"
                    f" its products alone {rates['products'] / 1e12:.2f} TFLOP/s,"
                    f" so {rates['step'] / rates['products']:.0%} of the products' speed"
                )
                rows.append({"train_attack": attack, "networks": size, "precision": precision, **rates})
    return rows


def measure_saturation(bench: Bench) -> list[dict[str, Any]]:
    """Stacks of growing size against PGD: how many steps of a network they do, and what memory they take."""
    rows: list[dict[str, Any]] = []
    for size in bench.sizes.growing:
        if bench.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        specs = bench.stack("pgd", size)
        step = loops.step_job(bench.way, specs, bench.data.train, bench.sizes.steps)
        jobs = {"step": step, "evaluation": loops.evaluation_job(specs, bench.data)}
        seconds = {name: statistics.median(values) for name, values in bench.measure(jobs).items()}
        memory = torch.cuda.max_memory_reserved() if bench.device.type == "cuda" else None
        rows.append({"networks": size, "memory": memory, **seconds})
        say(
            f"{size:>4} networks: {size / seconds['step']:10,.0f} steps of a network a second,"
            f" {size / seconds['evaluation']:8,.1f} evaluations a second"
            + (f", {memory / 2**30:.2f} GiB reserved" if memory else "")
        )
        del jobs, step
    best = max(row["networks"] / row["step"] for row in rows)
    enough = next(row["networks"] for row in rows if row["networks"] / row["step"] >= 0.95 * best)
    say(f"the smallest stack with 95 % of the best rate has {enough} networks")
    return rows


def measure_compiled(bench: Bench) -> list[dict[str, Any]]:
    """A stack's step by torch.compile, beside the other ways; last, because compiling takes long."""
    size, rows = bench.sizes.stacks[0], []
    compiled = partial(loops.CompiledTraining, **bench.sizes.compile_options)
    for attack in ATTACKS:
        ways = {**bench.ways, "compile": compiled}
        specs, count = bench.stack(attack, size), bench.sizes.steps
        seconds = bench.measure(
            {name: loops.step_job(way, specs, bench.data.train, count) for name, way in ways.items()}
        )
        for name, values in seconds.items():
            spread = Spread.compute(values)
            say(f"{attack:<5}{name:<8}{size:>4} networks, step {describe(spread, 1e3, 3):>30} ms")
            rows.append({"train_attack": attack, "loop": name, "networks": size, "seconds": asdict(spread)})
    return rows
