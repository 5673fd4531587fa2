"""The body of a trial: a plain function that trains a stack and writes its rounds into the results folder."""

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from lthray.data import Arrays, on_device
from lthray.results import Failure, RoundResult
from lthray.spec import TrajectorySpec
from lthray.store import Store
from lthray.trajectory import Progress, device_name, run

REPORT_SECONDS = 1.0
"""Least time between reports inside a round: each costs the driver some 30 ms."""

Report = Callable[[dict[str, Any]], None]


def train_stack(
    trajectories: Sequence[Mapping[str, Any]],
    folder: Path,
    data: Mapping[str, Arrays],
    threads: int,
    gpu: bool,
    report: Report,
) -> None:
    """Trains what is missing of a stack of trajectories, round by round.

    Args:
        trajectories: Their fields as `TrajectorySpec.model_dump` gives them, of one `stack_key`.
        folder: Results folder.
        data: The sweep's data sets by name.
        threads: CPU threads to use.
        gpu: Train on the GPU, if torch finds one.
        report: Told how far the stack is: a mapping with the fields of `TrialProgress` but its trial, and `failures`,
            a list of (trajectory_id, round, reason).
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if gpu and torch.cuda.is_available() else "cpu")
    store = Store(folder)
    specs = [TrajectorySpec.model_validate(fields) for fields in trajectories]
    dataset = on_device(data[specs[0].dataset], specs[0].validation_size, device)
    reporter = _Reporter(report, device_name(device))

    def done(spec: TrajectorySpec) -> int:
        return store.rounds_done(spec.trajectory_id)

    for first, group in groupby(sorted(specs, key=done), done):
        stack = [spec for spec in group if first <= spec.rounds]
        resumes = [one for spec in stack if (one := store.resume(spec))]
        for results in run(stack, dataset, first, resumes, reporter.progress) if stack else ():
            for result in results:
                if isinstance(result, Failure):
                    store.write_failure(result)
                else:
                    store.write_round(result)
            reporter.round_done(results)


class _Reporter:
    """Turns a stack's progress into reports, not too many."""

    def __init__(self, report: Report, device: str) -> None:
        self.report, self.device = report, device
        self.iterations_done = 0
        self.last_report = self.last_progress = time.perf_counter()
        self.rate = 0.0
        self.at = 0
        self.metrics: dict[str, Any] = {}

    def progress(self, progress: Progress) -> None:
        now = time.perf_counter()
        if progress.iteration > self.at:
            self.rate = (progress.iteration - self.at) * progress.running / (now - self.last_progress)
        self.at, self.last_progress = progress.iteration, now
        test = {m.attack: sum(m.accuracy) / len(m.accuracy) for m in progress.measurements if m.split == "test"}
        self.metrics = {
            "round": progress.round,
            "iteration": progress.iteration,
            "round_done": False,
            "iterations_done": self.iterations_done + progress.iteration * progress.running,
            "rate": self.rate,
            "weights_remaining": progress.weights_remaining,
            "natural": test.pop("none"),
            "adversarial": test,
            "running": progress.running,
            "device": self.device,
            "failures": [],
        }
        if now - self.last_report >= REPORT_SECONDS:
            self._send()

    def round_done(self, results: Sequence[RoundResult | Failure]) -> None:
        failures = [(one.spec.trajectory_id, one.round, one.reason) for one in results if isinstance(one, Failure)]
        self.iterations_done = self.metrics["iterations_done"]
        running = len(results) - len(failures)
        self.metrics |= {"round_done": True, "running": running, "failures": failures}
        self._send()

    def _send(self) -> None:
        self.last_report = time.perf_counter()
        self.report(dict(self.metrics))
