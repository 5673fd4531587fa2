"""The body of a trial of `lthray sweep`: trains a stack and writes its rounds into the results folder."""

import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import groupby, islice, pairwise
from typing import Any

import torch

from lthray.engine import trajectory
from lthray.engine.arrays import Arrays
from lthray.engine.data import Dataset, on_device
from lthray.engine.results import Failure, RoundResult
from lthray.errors import InputError
from lthray.methods.attacks import NATURAL, Attack
from lthray.references import describe_exception
from lthray.spec.attack_settings import label
from lthray.spec.first_round import first_round_key
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import first_rounds, sources
from lthray.store.folder import Store
from lthray.worker.checkpoints import Checkpointer
from lthray.worker.probe import is_out_of_memory
from lthray.worker.report import Note, Progress, Report
from lthray.worker.share import take_share

REPORT_SECONDS = 1.0
"""Least time between reports inside a round: each costs the driver some 30 ms."""


def train_stack(
    stack: Sequence[TrajectorySpec],
    data: Mapping[str, Arrays],
    report: Report,
    largest: int | None = None,
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
        largest: The most trajectories to train at once, the others of the stack follow; None for the whole stack.
        store: Results folder.
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs, see `take_share`.
        checkpoint_minutes: Least minutes between checkpoints inside a round; 0 for none.

    Of trajectories with the same round 0, a single one trains it, and the others take it over; so they do from
    trajectories of other stacks that have finished it. A stack that runs out of memory, or whose code of the user's
    raises an exception, is cut into halves. They go on one after the other, each from its last checkpoint or finished
    round, so that the trajectory that can't go on fails alone.
    """
    device = take_share(threads, gpus)
    dataset = on_device(data[stack[0].dataset], stack[0].validation_size, device)
    reporter = _Reporter(report, trajectory.device_name(device))
    checkpointer = Checkpointer(store, checkpoint_minutes, reporter.device, report)
    _take_over(stack, store, reporter)
    first = _first_to_train(stack, checkpointer)
    if 0 < len(first) < len(stack):  # then all go on together in round 1
        _train_all(first, store, dataset, reporter, checkpointer, largest, rounds=1)
        _take_over(stack, store, reporter)
    _train_all(stack, store, dataset, reporter, checkpointer, largest)


def _take_over(stack: Sequence[TrajectorySpec], store: Store, reporter: "_Reporter") -> None:
    """Takes over round 0 for the trajectories that have not finished it, where another one has."""
    new = [
        spec
        for spec in stack
        if spec.trajectory_id not in reporter.failed and not store.rounds_done(spec.trajectory_id)
    ]
    rows = {spec: row for spec in new if (row := first_rounds.take_over(store, spec, reporter.device))}
    if rows:
        reporter.taken_over(rows, len(stack) - len(reporter.failed))


def _first_to_train(stack: Sequence[TrajectorySpec], checkpointer: Checkpointer) -> list[TrajectorySpec]:
    """Of the trajectories that have not finished round 0, one of each that share it: the one that is furthest in it."""
    positions = {spec: checkpointer.position(spec) for spec in stack}
    furthest: dict[str, TrajectorySpec] = {}
    for spec in sorted(stack, key=positions.__getitem__, reverse=True):
        if positions[spec] < (1, 0):
            furthest.setdefault(first_round_key(spec), spec)
    return list(furthest.values())


def _train_all(
    stack: Sequence[TrajectorySpec],
    store: Store,
    dataset: Dataset,
    reporter: "_Reporter",
    checkpointer: Checkpointer,
    largest: int | None,
    rounds: int | None = None,
) -> None:
    """Trains the unfinished trajectories that have not failed, at most `rounds` rounds of each."""
    unfailed = [spec for spec in stack if spec.trajectory_id not in reporter.failed]
    waiting = [part for group in _by_position(unfailed, checkpointer) for part in _cut(group, largest or len(group))]
    while waiting:
        part = waiting.pop(0)
        reason, traceback = f"out of memory on {reporter.device}, alone in its stack", ""
        event = f"ran out of memory on {reporter.device}"
        try:
            _train(part, store, dataset, reporter, checkpointer, rounds)
        except Exception as error:
            if not is_out_of_memory(error):
                if isinstance(error, OSError) or not any(spec.has_references for spec in part):
                    raise
                known = describe_exception(error)
                reason, traceback = str(known), known.traceback
                event = f"failed ({reason})"
        else:
            continue
        # Outside of the handler, whose traceback keeps the stack's tensors alive.
        if dataset.train.images.device.type == "cuda":
            torch.cuda.empty_cache()
        done = {spec: store.rounds_done(spec.trajectory_id) for spec in part}
        left = [spec for spec in part if done[spec] < (rounds or spec.rounds + 1)]
        if len(left) == 1:
            reporter.fail(store, Failure(left[0], done[left[0]], reason, traceback))
            continue
        half = math.ceil(len(left) / 2)
        reporter.report(Note(f"a stack of {len(left)} {event}: going on with {half}"))
        waiting[:0] = [*_by_position(left[:half], checkpointer), *_by_position(left[half:], checkpointer)]


def _cut(specs: Sequence[TrajectorySpec], largest: int) -> list[list[TrajectorySpec]]:
    """Parts of at most `largest` trajectories, as equal as can be."""
    parts = math.ceil(len(specs) / largest)
    edges = [len(specs) * part // parts for part in range(parts + 1)]
    return [list(specs[low:high]) for low, high in pairwise(edges)]


def _by_position(specs: Sequence[TrajectorySpec], checkpointer: Checkpointer) -> list[list[TrajectorySpec]]:
    """Groups trajectories that stand at the same round and iteration; leaves the complete ones out."""
    positions = {spec: checkpointer.position(spec) for spec in specs}
    incomplete = sorted((spec for spec in specs if positions[spec][0] <= spec.rounds), key=positions.__getitem__)
    return [list(group) for _, group in groupby(incomplete, positions.__getitem__)]


def _train(
    specs: Sequence[TrajectorySpec],
    store: Store,
    dataset: Dataset,
    reporter: "_Reporter",
    checkpointer: Checkpointer,
    rounds: int | None,
) -> None:
    """Trains trajectories that stand at the same round and iteration, and writes every round; see `_train_all`."""
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
    all_rounds = trajectory.run(stack, dataset, first, resumes, observe, find_masks, checkpoints)
    for results in islice(all_rounds, None if rounds is None else rounds - first):
        for result in results:
            if isinstance(result, Failure):
                store.remove_checkpoint(result.spec.trajectory_id)
                reporter.fail(store, result)
                continue
            store.write_round(result)
            if result.round == 0:
                with suppress(OSError):  # Others train round 0 themselves.
                    first_rounds.offer(store, result.spec)
            if result.round == result.spec.rounds:
                with suppress(InputError, OSError):  # The trajectory is complete, only in more files than necessary.
                    store.compact(result.spec.trajectory_id)
        reporter.round_done(sum(isinstance(result, RoundResult) for result in results))


class _Reporter:
    """Reports the rounds that a stack begins and its evaluations, but not too often."""

    def __init__(self, report: Report, device: str) -> None:
        self.report, self.device = report, device
        self.finished = 0
        """Iterations of the rounds that are finished."""
        self.failed: set[str] = set()
        """Ids of the trajectories that can't go on."""
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
            accuracies = {label(m.attack): sum(m.accuracy) / len(m.accuracy) for m in test}
            natural = accuracies.pop(str(NATURAL))
            adversarial = adversarial | accuracies  # not every attack is measured at every evaluation
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

    def taken_over(self, rows: Mapping[TrajectorySpec, Mapping[str, Any]], running: int) -> None:
        """Reports that round 0 of some trajectories is written without training; `rows` are those of `rounds`."""
        self.finished += sum(spec.iterations for spec in rows)
        spec = next(iter(rows))

        def accuracy(attack: Attack) -> float:
            column = [float(row[f"final_{attack}_accuracy_test"]) for row in rows.values()]
            return sum(column) / len(column)

        self.latest = Progress(
            unit="iterations",
            round=0,
            done_in_round=spec.iterations,
            done_in_trial=self.finished,
            round_done=True,
            rate=self.latest.rate if self.latest else 0.0,
            weights_remaining=1.0,
            natural=accuracy(NATURAL),
            adversarial={label(attack): accuracy(attack) for attack in spec.eval_attacks if attack.is_standard},
            running=running,
            device=self.device,
        )
        self._send(self.latest)

    def fail(self, store: Store, failure: Failure) -> None:
        """Writes and reports a trajectory that can't go on."""
        store.write_failure(failure)
        self.failed.add(failure.spec.trajectory_id)
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
