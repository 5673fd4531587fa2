"""What is recorded of a stack's round while it trains: curves, seconds, and losses that stopped being finite.

Where attacks are measured at the ends of rounds alone, also the weights at early stopping, to be measured when the
round has ended.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from lthray.engine.data import Dataset, Split
from lthray.engine.evaluation import Measurement, evaluate, evaluate_under
from lthray.engine.results import Checkpoint, CurveRow
from lthray.engine.state import TrainingState
from lthray.methods.attacks import NATURAL, Attack
from lthray.methods.networks import Layers
from lthray.spec import ends
from lthray.spec.metrics import SPLITS
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
        always, self.late = ends.split_eval_attacks(trajectories[0])
        """The eval attacks that are measured at early stopping and at the last iteration alone."""
        self.between = [spec.model_copy(update={"eval_attacks": always}) for spec in specs]
        """The same trajectories, as they are evaluated before the last iteration."""
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
        """Each trajectory's network with the smallest validation objective so far, if it is to be measured later."""
        self.keeps = ends.needs_early_stopped(trajectories[0])
        for i, checkpoint in enumerate(checkpoints):
            if self.keeps and checkpoint.early_stopped:
                iteration, objective = _early_stopping(trajectories[i], checkpoint.curves)
                arrays = (checkpoint.early_stopped[name] for name in specs[i].tensor_sizes)
                weights = tuple(torch.tensor(array, device=self.device) for array in arrays)
                self.early_stopped[i] = Snapshot(iteration, objective, weights)
        self.began, self.evaluating = time.perf_counter(), 0.0

    def evaluate(self, state: TrainingState) -> list[Measurement]:
        """Evaluates the stack and records what is measured."""
        if self.device.type == "cuda":  # else the evaluation would be charged with training that is still queued
            torch.cuda.synchronize(self.device)
        began = time.perf_counter()
        specs = self.specs if state.iteration == self.specs[0].iterations else self.between
        measurements = evaluate(state.weights, specs, self.splits, self.number, state.iteration)
        self.evaluating += time.perf_counter() - began
        for i in range(len(self.specs)):
            rows = [self._row(measurement, i, state.iteration) for measurement in measurements]
            if self.keeps:
                self._keep_early_stopped(i, rows, state)
            self._add(i, rows)
        self.last = state.iteration
        return measurements

    def _add(self, i: int, rows: Sequence[CurveRow]) -> None:
        """Adds rows to a trajectory's curves; a loss that is not finite fails the trajectory."""
        self.curves[i] += rows
        diverged = next((row for row in rows if not math.isfinite(row.loss)), None)
        if diverged:
            self.failures.setdefault(i, _explain_divergence(diverged, self.last, self.specs[i]))

    def _keep_early_stopped(self, i: int, rows: Sequence[CurveRow], state: TrainingState) -> None:
        """Keeps a trajectory's weights if the evaluation of `rows` has the smallest objective so far."""
        (objective,) = _objectives(self.trajectories[i], rows).values()
        best = self.early_stopped[i]
        if best is None or objective < best.objective:
            self.early_stopped[i] = Snapshot(state.iteration, objective, tuple(w[i].clone() for w in state.weights))

    def measure_ends(self, state: TrainingState) -> list[list[CurveRow]]:
        """Measures the networks at early stopping and at the round's end under the attacks measured there alone.

        At the end, `evaluate` measures the eval attacks among them; their rows at early stopping go to the curves.

        Args:
            state: The stack at the end of the round.

        Returns:
            For each trajectory its rows on test images, one for each iteration and end attack; no rows if it failed, or
            if there are no end attacks.
        """
        rows: list[list[CurveRow]] = [[] for _ in self.specs]
        if not self.keeps:
            return rows
        began = time.perf_counter()
        running = [i for i in range(len(self.specs)) if i not in self.failures]
        final = {i: Snapshot(state.iteration, math.nan, tuple(layer[i] for layer in state.weights)) for i in running}
        early = {i: best for i in running if (best := self.early_stopped[i]) and best.iteration != state.iteration}
        if self.late:
            for i, measured in self._measure(early, self.late, self.splits).items():
                self._add(i, measured)
                self.curves[i].sort(key=lambda row: (row.iteration, SPLITS.index(row.split)))
        if self.end_attacks:
            for networks in (early, final):
                for i, measured in self._measure(networks, self.end_attacks, {"test": self.end_images}).items():
                    rows[i] += measured
        self.evaluating += time.perf_counter() - began
        return rows

    def _measure(
        self, networks: Mapping[int, Snapshot], attacks: Sequence[Attack], splits: Mapping[str, Split]
    ) -> dict[int, list[CurveRow]]:
        """Measures networks, by their trajectory's place in the stack, under attacks; without the natural rows."""
        if not networks:
            return {}
        iterations = [network.iteration for network in networks.values()]
        stacked = tuple(map(torch.stack, zip(*(network.weights for network in networks.values()), strict=True)))
        specs = [self.specs[i] for i in networks]
        measurements = evaluate_under(attacks, stacked, specs, splits, self.number, iterations)
        attacked = [measurement for measurement in measurements if measurement.attack != NATURAL]
        return {
            i: [self._row(measurement, place, iterations[place]) for measurement in attacked]
            for place, i in enumerate(networks)
        }

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
    if last > row.iteration:  # measured when the round has ended
        when = f"by iteration {row.iteration}"
    return (
        f"the loss stopped being finite {when} ({row.split} loss under attack {row.attack}: {row.loss});"
        f" learning_rate is {spec.learning_rate:g}"
    )
