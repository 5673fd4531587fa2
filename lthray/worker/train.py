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
from lthray.engine.data import Arrays, Dataset, on_device
from lthray.engine.results import Failure, RoundResult
from lthray.errors import InputError
from lthray.spec.attack_settings import label
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import sources
from lthray.store.folder import Store
from lthray.worker.body import TrialBody, take_share
from lthray.worker.memory import is_out_of_memory
from lthray.worker.report import Message, Note, Progress, Report, Score

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
) -> None:
    """Trains the missing rounds of a stack of trajectories.

    Args:
        stack: Trajectories of one `stack_key`.
        data: The sweep's data sets by name.
        report: Takes each message of the trial.
        store: Results folder.
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs, as `take_share` has it.

    A stack that runs out of memory is cut into halves, which go on one after the other from their last finished round.
    """
    device = take_share(threads, gpus)
    dataset = on_device(data[stack[0].dataset], stack[0].validation_size, device)
    reporter = _Reporter(report, trajectory.device_name(device))
    waiting = _by_rounds_done(stack, store)
    while waiting:
        part = waiting.pop(0)
        try:
            _train(part, store, dataset, reporter)
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
        waiting[:0] = [*_by_rounds_done(left[:half], store), *_by_rounds_done(left[half:], store)]


def train_sample(
    stack: Sequence[TrajectorySpec],
    data: Mapping[str, Arrays],
    report: Report,
    *,
    train: TrialBody,
    store: Store,
    metric: str,
) -> None:
    """Trains a sample's stack, and reports its score after each round.

    The scores of rounds finished earlier come first, for a scheduler and a searcher that know nothing of them. A
    trajectory that fails leaves the sample without a score for that round and later ones.

    Args:
        stack: The sample's trajectories.
        data: The sweep's data sets by name.
        report: Takes each message of the trial.
        train: Trains the stack.
        store: Results folder.
        metric: The column of `rounds` to report, as a mean over the stack.
    """
    scored = 0

    def report_scores() -> None:
        nonlocal scored
        for value in store.means(stack, metric)[scored:]:
            scored += 1
            report(Score(value, scored))

    def report_and_score(message: Message) -> None:
        report(message)
        if isinstance(message, Progress) and message.round_done:
            report_scores()

    report_scores()
    train(stack, data, report_and_score)


def _by_rounds_done(specs: Sequence[TrajectorySpec], store: Store) -> list[list[TrajectorySpec]]:
    """Groups trajectories that have the same number of rounds done; leaves the complete ones out."""

    def done(spec: TrajectorySpec) -> int:
        return store.rounds_done(spec.trajectory_id)

    groups = {number: list(group) for number, group in groupby(sorted(specs, key=done), done)}
    kept = [[spec for spec in group if number <= spec.rounds] for number, group in groups.items()]
    return [group for group in kept if group]


def _train(specs: Sequence[TrajectorySpec], store: Store, dataset: Dataset, reporter: "_Reporter") -> None:
    """Trains trajectories with the same number of rounds done to their end, and writes every round."""
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
    masks = partial(sources.masks, store)
    for results in trajectory.run(stack, dataset, first, resumes, reporter.evaluated, masks):
        for result in results:
            if isinstance(result, Failure):
                reporter.fail(store, result)
                continue
            store.write_round(result)
            if result.round == result.spec.rounds:
                with suppress(InputError, OSError):  # The trajectory is complete, only in more files than need be.
                    store.compact(result.spec.trajectory_id)
        reporter.round_done(sum(isinstance(result, RoundResult) for result in results))


class _Reporter:
    """Turns a stack's evaluations into reports, not too many."""

    def __init__(self, report: Report, device: str) -> None:
        self.report, self.device = report, device
        self.finished = 0
        """Iterations of the rounds that are finished."""
        self.last_report = self.last_evaluation = time.perf_counter()
        self.latest: Progress | None = None

    def evaluated(self, at: trajectory.Progress) -> None:
        """Takes an evaluation inside a round; the trial's first is reported at once, so that the trial is seen."""
        now = time.perf_counter()
        before = self.latest
        rate = before.rate if before else 0.0
        if before and before.round == at.round and at.iteration > before.done_in_round:
            rate = (at.iteration - before.done_in_round) * at.running / (now - self.last_evaluation)
        self.last_evaluation = now
        test = {label(m.attack): sum(m.accuracy) / len(m.accuracy) for m in at.measurements if m.split == "test"}
        self.latest = Progress(
            unit="iterations",
            round=at.round,
            done_in_round=at.iteration,
            done_in_trial=self.finished + at.iteration * at.running,
            round_done=False,
            rate=rate,
            weights_remaining=at.weights_remaining,
            natural=test.pop("none"),
            adversarial=test,
            running=at.running,
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
