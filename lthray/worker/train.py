"""The body of a trial of `lthray sweep`: trains a stack and writes its rounds into the results folder."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import groupby

import torch

from lthray.engine import trajectory
from lthray.engine.arrays import Arrays
from lthray.engine.data import Dataset, on_device
from lthray.engine.results import Checkpoint, Failure, RoundResult
from lthray.errors import InputError
from lthray.methods.attacks import NATURAL
from lthray.spec.attack_settings import label
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import sources
from lthray.store.folder import Store
from lthray.worker.probe import is_out_of_memory
from lthray.worker.report import Note, Progress, Report
from lthray.worker.share import take_share

REPORT_SECONDS = 1.0
"""Least time between reports inside a round: each costs the driver some 30 ms."""


def train_stack(
    stack: Sequence[TrajectorySpec],
    data: Mapping[str, Arrays],
    report: Report,
    *,
    store: Store,
    threads: int,
    gpus: float,
    checkpoint_minutes: float = 0,
) -> None:
    """Trains the missing rounds of a stack of trajectories.

    Args:
        stack: Trajectories of one `stack_key`.
        data: The sweep's data sets by name.
        report: Takes each message of the trial.
        store: Results folder.
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs, see `take_share`.
        checkpoint_minutes: Least minutes between checkpoints inside a round; 0 for none.

    A stack that runs out of memory is cut into halves. They go on one after the other, each from its last checkpoint or
    finished round.
    """
    device = take_share(threads, gpus)
    dataset = on_device(data[stack[0].dataset], stack[0].validation_size, device)
    reporter = _Reporter(report, trajectory.device_name(device))
    checkpointer = _Checkpointer(store, checkpoint_minutes, reporter)
    waiting = _by_position(stack, checkpointer)
    while waiting:
        part = waiting.pop(0)
        try:
            _train(part, store, dataset, reporter, checkpointer)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            continue
        # Outside of the handler, whose traceback keeps the stack's tensors alive.
        if device.type == "cuda":
            torch.cuda.empty_cache()
        left = [spec for spec in part if store.rounds_done(spec.trajectory_id) <= spec.rounds]
        if len(left) == 1:
            number = store.rounds_done(left[0].trajectory_id)
            reporter.fail(store, Failure(left[0], number, f"out of memory on {reporter.device}, alone in its stack"))
            continue
        half = math.ceil(len(left) / 2)
        report(Note(f"a stack of {len(left)} ran out of memory on {reporter.device}: going on with {half}"))
        waiting[:0] = [*_by_position(left[:half], checkpointer), *_by_position(left[half:], checkpointer)]


def _by_position(specs: Sequence[TrajectorySpec], checkpointer: "_Checkpointer") -> list[list[TrajectorySpec]]:
    """Groups trajectories that stand at the same round and iteration; leaves the complete ones out."""
    positions = {spec: checkpointer.position(spec) for spec in specs}
    incomplete = sorted((spec for spec in specs if positions[spec][0] <= spec.rounds), key=positions.__getitem__)
    return [list(group) for _, group in groupby(incomplete, positions.__getitem__)]


def _train(
    specs: Sequence[TrajectorySpec],
    store: Store,
    dataset: Dataset,
    reporter: "_Reporter",
    checkpointer: "_Checkpointer",
) -> None:
    """Trains trajectories that stand at the same round and iteration to their end, and writes every round."""
    first = store.rounds_done(specs[0].trajectory_id)
    stack, resumes = [], []
    for spec in specs:
        try:
            resumes += [resume] if (resume := store.resume(spec)) else []
            stack.append(spec)
        except InputError as error:  # The others of the stack don't need this trajectory's damaged ticket.
            reporter.fail(store, Failure(spec, first, str(error)))
    if not stack:
        return
    checkpoints = [checkpoint for spec in stack if (checkpoint := checkpointer.find(spec, first))]

    def observe(progress: trajectory.Progress) -> None:
        checkpointer.observe(progress)
        reporter.observe(progress)

    find_masks = partial(sources.masks, store)
    for results in trajectory.run(stack, dataset, first, resumes, observe, find_masks, checkpoints):
        for result in results:
            if isinstance(result, Failure):
                store.remove_checkpoint(result.spec.trajectory_id)
                reporter.fail(store, result)
                continue
            store.write_round(result)
            if result.round == result.spec.rounds:
                with suppress(InputError, OSError):  # The trajectory is complete, only in more files than necessary.
                    store.compact(result.spec.trajectory_id)
        reporter.round_done(sum(isinstance(result, RoundResult) for result in results))


class _Checkpointer:
    """Decides when a stack's checkpoints are written, and which of those in the folder this device goes on from."""

    def __init__(self, store: Store, minutes: float, reporter: "_Reporter") -> None:
        self.store, self.seconds, self.reporter = store, 60 * minutes, reporter
        self.last = time.monotonic()

    def find(self, spec: TrajectorySpec, number: int) -> Checkpoint | None:
        """A trajectory's checkpoint inside round `number`, if this device has written it: others round differently."""
        checkpoint = self.store.checkpoint(spec, number)
        return checkpoint if checkpoint and checkpoint.device == self.reporter.device else None

    def position(self, spec: TrajectorySpec) -> tuple[int, int]:
        """The round that a trajectory is to go on in, and the iterations of it that are done."""
        number = self.store.rounds_done(spec.trajectory_id)
        checkpoint = self.find(spec, number)
        return number, checkpoint.iteration if checkpoint else 0

    def observe(self, progress: trajectory.Progress) -> None:
        """Writes the stack's checkpoints when it is time."""
        now = time.monotonic()
        if progress.iteration == 0:
            self.last = now
        elif self.seconds and now - self.last >= self.seconds:
            self.last = now
            try:
                for checkpoint in progress.checkpoints():
                    self.store.write_checkpoint(checkpoint)
            except OSError as error:  # Training goes on: a checkpoint saves time and nothing else.
                self.reporter.report(Note(f"a checkpoint could not be written: {error.strerror or error}"))


class _Reporter:
    """Reports the rounds that a stack begins and its evaluations, but not too often."""

    def __init__(self, report: Report, device: str) -> None:
        self.report, self.device = report, device
        self.finished = 0
        """Iterations of the rounds that are finished."""
        self.last_report = self.last_evaluation = time.perf_counter()
        self.latest: Progress | None = None

    def observe(self, progress: trajectory.Progress) -> None:
        """Takes a round's start or an evaluation; the trial's first is reported at once, so that the trial shows up."""
        now = time.perf_counter()
        before = self.latest
        rate = before.rate if before else 0.0
        if before and before.round == progress.round and progress.iteration > before.done_in_round:
            rate = (progress.iteration - before.done_in_round) * progress.running / (now - self.last_evaluation)
        self.last_evaluation = now
        natural, adversarial = (before.natural, before.adversarial) if before else (None, {})
        if progress.measurements:
            test = [measurement for measurement in progress.measurements if measurement.split == "test"]
            adversarial = {label(m.attack): sum(m.accuracy) / len(m.accuracy) for m in test}
            natural = adversarial.pop(str(NATURAL))
        self.latest = Progress(
            unit="iterations",
            round=progress.round,
            done_in_round=progress.iteration,
            done_in_trial=self.finished + progress.iteration * progress.running,
            round_done=False,
            rate=rate,
            weights_remaining=progress.weights_remaining,
            natural=natural,
            adversarial=adversarial,
            running=progress.running,
            device=self.device,
        )
        if before is None or now - self.last_report >= REPORT_SECONDS:
            self._send(self.latest)

    def fail(self, store: Store, failure: Failure) -> None:
        """Writes and reports a trajectory that can't go on."""
        store.write_failure(failure)
        self.report(failure)

    def round_done(self, running: int) -> None:
        """Reports that a round is written; `running` trajectories go on."""
        if not self.latest:  # no trajectory could even begin
            return
        self.finished = self.latest.done_in_trial
        self.latest = replace(self.latest, round_done=True, running=running)
        self._send(self.latest)

    def _send(self, progress: Progress) -> None:
        self.last_report = time.perf_counter()
        self.report(progress)
