"""What is recorded of a stack's round while it trains: curves, seconds, and losses that stopped being finite."""

import math
import time
from collections.abc import Sequence

import torch

from lthray.engine.data import Dataset
from lthray.engine.evaluation import Measurement, evaluate
from lthray.engine.results import Checkpoint, CurveRow
from lthray.engine.state import TrainingState
from lthray.methods.attacks import NATURAL, Attack
from lthray.spec.trajectory import TrajectorySpec


class Recorder:
    """Records a round of a stack.

    Args:
        specs: The trajectories as they are set in this round (`in_round`).
        data: Their data set.
        number: Number of the round.
        checkpoints: If the round was interrupted: what was recorded until then, one a trajectory.
    """

    def __init__(
        self, specs: Sequence[TrajectorySpec], data: Dataset, number: int, checkpoints: Sequence[Checkpoint]
    ) -> None:
        self.specs, self.number, self.device = specs, number, data.train.images.device
        self.splits = {"validation": data.validation, "test": data.test}
        self.reported = specs[0].evaluation_iterations()
        self.curves = [list(checkpoint.curves) for checkpoint in checkpoints] or [[] for _ in specs]
        self.before = [(saved.train_seconds, saved.eval_seconds) for saved in checkpoints] or [(0.0, 0.0)] * len(specs)
        self.failures: dict[int, str] = {}
        """Why a trajectory cannot go on, by its place in the stack."""
        self.last = checkpoints[0].iteration if checkpoints else 0
        self.began, self.evaluating = time.perf_counter(), 0.0

    def evaluate(self, state: TrainingState) -> list[Measurement]:
        """Evaluates the stack and records what is measured."""
        if self.device.type == "cuda":  # else the evaluation would be charged with training that is still queued
            torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        measurements = evaluate(state.weights, self.specs, self.splits, self.number, state.iteration)
        self.evaluating += time.perf_counter() - began
        for i, spec in enumerate(self.specs):
            rows = [self._row(measurement, i, state.iteration) for measurement in measurements]
            self.curves[i] += rows
            diverged = next((row for row in rows if not math.isfinite(row.loss)), None)
            if diverged:
                self.failures.setdefault(i, _explain_divergence(diverged, self.last, spec))
        self.last = state.iteration
        return measurements

    def _row(self, measurement: Measurement, i: int, iteration: int) -> CurveRow:
        shares = measurement.zero_gradient_share
        return CurveRow(
            iteration=iteration,
            reported_iteration=self.reported[iteration],
            split=measurement.split,
            attack=measurement.attack,
            loss=measurement.loss[i],
            accuracy=measurement.accuracy[i],
            zero_gradient_share=shares[i] if shares else None,
        )

    def seconds(self) -> list[tuple[float, float]]:
        """Each trajectory's share of the wall time that the round has spent so far on training and on evaluation."""
        shares = (
            (time.perf_counter() - self.began - self.evaluating) / len(self.specs),
            self.evaluating / len(self.specs),
        )
        return [(training + shares[0], evaluating + shares[1]) for training, evaluating in self.before]


def early_stopping_iteration(spec: TrajectorySpec, curves: Sequence[CurveRow]) -> int:
    """The first iteration with the smallest validation objective: the loss that round 0 trains by, on validation."""
    losses: dict[int, dict[Attack, float]] = {}
    for row in curves:
        if row.split == "validation":
            losses.setdefault(row.iteration, {})[row.attack] = row.loss
    attack = Attack(spec.train_attack)
    w = 0.0 if attack == NATURAL else spec.adversarial_weight
    objective = {
        iteration: (1 - w) * by_attack[NATURAL] + (w * by_attack[attack] if w else 0)
        for iteration, by_attack in losses.items()
    }
    return min(objective, key=lambda iteration: (objective[iteration], iteration))


def _explain_divergence(row: CurveRow, last: int, spec: TrajectorySpec) -> str:
    when = "before the first iteration" if row.iteration == 0 else f"between iterations {last} and {row.iteration}"
    return (
        f"the loss stopped being finite {when} ({row.split} loss under attack {row.attack}: {row.loss});"
        f" learning_rate is {spec.learning_rate:g}"
    )
