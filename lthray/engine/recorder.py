"""What is recorded of a stack's round while it trains: curves, seconds, and losses that stopped being finite.

Where there are end attacks, also the weights at early stopping, to be measured under them when the round has ended.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from lthray.engine.data import Dataset
from lthray.engine.evaluation import Measurement, evaluate, evaluate_under
from lthray.engine.results import Checkpoint, CurveRow
from lthray.engine.state import TrainingState
from lthray.methods.attacks import NATURAL, Attack
from lthray.methods.networks import Layers
from lthray.spec import ends
from lthray.spec.trajectory import TrajectorySpec


@dataclass(frozen=True)
class Snapshot:
    """A trajectory's network at an evaluation."""

    iteration: int
    objective: float
    """Its validation objective."""
    weights: Layers
    """(out, in) a layer."""


class Recorder:
    """Records a round of a stack.

    Args:
        trajectories: The trajectories of the stack.
        data: Their data set.
        number: Number of the round.
        checkpoints: If the round was interrupted: what was recorded until then, one a trajectory.
    """

    def __init__(
        self, trajectories: Sequence[TrajectorySpec], data: Dataset, number: int, checkpoints: Sequence[Checkpoint]
    ) -> None:
        self.trajectories, self.number, self.device = trajectories, number, data.train.images.device
        self.specs = specs = [spec.in_round(number) for spec in trajectories]
        """The trajectories as they are set in this round."""
        self.splits = {"validation": data.validation, "test": data.test}
        self.end_attacks, count = ends.end_attacks(specs[0]), ends.end_images(specs[0])
        self.end_images = data.test.first(count)
        self.reported = specs[0].evaluation_iterations()
        self.curves = [list(checkpoint.curves) for checkpoint in checkpoints] or [[] for _ in specs]
        self.before = [(saved.train_seconds, saved.eval_seconds) for saved in checkpoints] or [(0.0, 0.0)] * len(specs)
        self.failures: dict[int, str] = {}
        """Why a trajectory cannot go on, by its place in the stack."""
        self.last = checkpoints[0].iteration if checkpoints else 0
        self.early_stopped: list[Snapshot | None] = [None] * len(specs)
        """Each trajectory's network with the smallest validation objective so far, where there are end attacks."""
        for i, checkpoint in enumerate(checkpoints):
            if self.end_attacks and checkpoint.early_stopped:
                iteration, objective = _early_stopping(trajectories[i], checkpoint.curves)
                arrays = (checkpoint.early_stopped[name] for name in specs[i].layer_sizes)
                weights = tuple(torch.tensor(array, device=self.device) for array in arrays)
                self.early_stopped[i] = Snapshot(iteration, objective, weights)
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
            if self.end_attacks:
                self._keep_early_stopped(i, rows, state)
            diverged = next((row for row in rows if not math.isfinite(row.loss)), None)
            if diverged:
                self.failures.setdefault(i, _explain_divergence(diverged, self.last, spec))
        self.last = state.iteration
        return measurements

    def _keep_early_stopped(self, i: int, rows: Sequence[CurveRow], state: TrainingState) -> None:
        """Keeps a trajectory's weights where the evaluation of `rows` has the smallest objective so far."""
        (objective,) = _objectives(self.trajectories[i], rows).values()
        best = self.early_stopped[i]
        if best is None or objective < best.objective:
            self.early_stopped[i] = Snapshot(state.iteration, objective, tuple(w[i].clone() for w in state.weights))

    def measure_ends(self, state: TrainingState) -> list[list[CurveRow]]:
        """Measures the networks at early stopping and at the round's end under the end attacks, on test images.

        Args:
            state: The stack at the end of the round.

        Returns:
            For each trajectory a row an iteration and attack; none where it failed, and where there are no end attacks.
        """
        rows: list[list[CurveRow]] = [[] for _ in self.specs]
        if not self.end_attacks:
            return rows
        began = time.perf_counter()
        running = [i for i in range(len(self.specs)) if i not in self.failures]
        final = [(i, state.iteration, tuple(layer[i] for layer in state.weights)) for i in running]
        snapshots = [(i, snapshot) for i in running if (snapshot := self.early_stopped[i])]
        early = [(i, best.iteration, best.weights) for i, best in snapshots if best.iteration != state.iteration]
        for networks in filter(None, (early, final)):
            members, iterations, weights = zip(*networks, strict=True)
            stacked = tuple(map(torch.stack, zip(*weights, strict=True)))
            specs, splits = [self.specs[i] for i in members], {"test": self.end_images}
            for measurement in evaluate_under(self.end_attacks, stacked, specs, splits, self.number, iterations):
                if measurement.attack != NATURAL:
                    for place, i in enumerate(members):
                        rows[i].append(self._row(measurement, place, iterations[place]))
        self.evaluating += time.perf_counter() - began
        return rows

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
    """The first iteration with the smallest validation objective."""
    return _early_stopping(spec, curves)[0]


def _early_stopping(spec: TrajectorySpec, curves: Sequence[CurveRow]) -> tuple[int, float]:
    """The early-stopping iteration and its validation objective."""
    return min(_objectives(spec, curves).items(), key=lambda at: (at[1], at[0]))


def _objectives(spec: TrajectorySpec, curves: Sequence[CurveRow]) -> dict[int, float]:
    """The validation objective at each iteration: the loss that round 0 trains by, on validation."""
    losses: dict[int, dict[Attack, float]] = {}
    for row in curves:
        if row.split == "validation":
            losses.setdefault(row.iteration, {})[row.attack] = row.loss
    attack = Attack(spec.train_attack)
    w = 0.0 if attack == NATURAL else spec.adversarial_weight
    return {
        iteration: (1 - w) * by_attack[NATURAL] + (w * by_attack[attack] if w else 0)
        for iteration, by_attack in losses.items()
    }


def _explain_divergence(row: CurveRow, last: int, spec: TrajectorySpec) -> str:
    when = "before the first iteration" if row.iteration == 0 else f"between iterations {last} and {row.iteration}"
    return (
        f"the loss stopped being finite {when} ({row.split} loss under attack {row.attack}: {row.loss});"
        f" learning_rate is {spec.learning_rate:g}"
    )
