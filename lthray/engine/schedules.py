"""The learning rate of each iteration of a round."""

from functools import lru_cache

import numpy as np
import torch

from lthray import references
from lthray.engine.results import Array
from lthray.methods.schedules import SCHEDULES, Course
from lthray.spec.optimizing import ScheduleSpec
from lthray.spec.trajectory import TrajectorySpec


def learning_rates(spec: TrajectorySpec) -> Array:
    """The learning rates (iterations,) of a round, by torch's own schedulers; warm-up comes first.

    In a warm-up of n iterations, iteration k has k/n of `learning_rate`, k from 1 to n.
    """
    return _learning_rates(spec.learning_rate, spec.iterations, spec.schedule, spec.own.code)


def rate_at(rates: Array, iteration: int) -> float:
    """The learning rate of an iteration, counted from 0; after the round's last iteration it stays the same."""
    return float(rates[min(iteration, len(rates) - 1)])


@lru_cache(maxsize=8)
def _learning_rates(rate: float, iterations: int, schedule: ScheduleSpec, code: str) -> Array:
    warmup = min(schedule.warmup, iterations)
    warm = rate * (np.arange(warmup) + 1) / max(warmup, 1)
    if schedule.name == "constant":
        return np.concatenate([warm, np.full(iterations - warmup, rate)])
    length = iterations - warmup
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=rate)
    milestones = [round(share * iterations) - warmup for share in schedule.milestones]
    course = Course(length, milestones, schedule.gamma, schedule.final)
    scheduler = references.find(SCHEDULES, "schedules", schedule.name, code)(optimizer, course)
    rates = np.empty(length)
    for iteration in range(length):
        rates[iteration] = optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()
    return np.concatenate([warm, rates])
