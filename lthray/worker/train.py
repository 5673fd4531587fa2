"""The body of a trial: a plain function that trains a stack and writes its rounds into the results folder."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import groupby
from typing import Any

import torch
from upath import UPath

from lthray.engine.data import Arrays, Dataset, on_device
from lthray.engine.results import Checkpoint, Failure, RoundResult
from lthray.engine.trajectory import Progress, device_name, run
from lthray.errors import InputError
from lthray.methods.attacks import NATURAL
from lthray.spec.attack_settings import label
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import sources
from lthray.store.folder import Store
from lthray.worker.memory import is_out_of_memory

REPORT_SECONDS = 1.0
"""Least time between reports inside a round: each costs the driver some 30 ms."""

Report = Callable[[dict[str, Any]], None]


def train_stack(
    trajectories: Sequence[Mapping[str, Any]],
    folder: UPath,
    data: Mapping[str, Arrays],
    threads: int,
    gpus: float,
    report: Report,
    checkpoint_minutes: float = 0,
) -> None:
    """Trains what is missing of a stack of trajectories, round by round.

    Args:
        trajectories: Their fields as `TrajectorySpec.model_dump` gives them, of one `stack_key`.
        folder: Results folder.
        data: The sweep's data sets by name.
        threads: CPU threads to use.
        gpus: Share of a GPU that it may take, or a number of GPUs; 0, or no GPU that torch finds, means the CPU.
        report: Told how far the stack is: a mapping with `failures`, a list of (trajectory_id, round, reason), and,
            but for reports of failures or of a `note` alone, the fields of `TrialProgress` without its trial.
        checkpoint_minutes: Least minutes between checkpoints inside a round; 0 for none.

    A stack that runs out of memory is cut into halves, which go on one after the other from their last finished round.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus)  # one that takes too much fails alone, not its neighbours
    store = Store(folder)
    specs = [TrajectorySpec.model_validate(fields) for fields in trajectories]
    dataset = on_device(data[specs[0].dataset], specs[0].validation_size, device)
    reporter = _Reporter(report, device_name(device))
    checkpointer = _Checkpointer(store, checkpoint_minutes, reporter)
    waiting = _together(specs, checkpointer)
    while waiting:
        stack = waiting.pop(0)
        try:
            _train(stack, store, dataset, reporter, checkpointer)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            continue
        # outside of the handler, which keeps the stack's tensors alive
        if device.type == "cuda":
            torch.cuda.empty_cache()
        left = [spec for spec in stack if store.rounds_done(spec.trajectory_id) <= spec.rounds]
        if len(left) == 1:
            number = store.rounds_done(left[0].trajectory_id)
            reporter.lost(store, Failure(left[0], number, f"out of memory on {reporter.device}, alone in its stack"))
            continue
        half = math.ceil(len(left) / 2)
        reporter.note(f"a stack of {len(left)} ran out of memory on {reporter.device}: going on with {half}")
        waiting[:0] = [*_together(left[:half], checkpointer), *_together(left[half:], checkpointer)]


def _together(specs: Sequence[TrajectorySpec], checkpointer: "_Checkpointer") -> list[list[TrajectorySpec]]:
    """Those that stand at the same round and iteration; the complete ones are left out."""
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
        except InputError as error:  # a damaged ticket is this trajectory's alone
            reporter.lost(store, Failure(spec, first, str(error)))
    checkpoints = [found for spec in stack if (found := checkpointer.find(spec, first))]
    reporter.at = checkpoints[0].iteration if checkpoints else 0

    def observe(progress: Progress) -> None:
        checkpointer.observe(progress)
        reporter.progress(progress)

    find_masks = partial(sources.masks, store)
    for results in run(stack, dataset, first, resumes, observe, find_masks, checkpoints) if stack else ():
        for result in results:
            if isinstance(result, Failure):
                store.remove_checkpoint(result.spec.trajectory_id)
                reporter.lost(store, result)
                continue
            store.write_round(result)
            if result.round == result.spec.rounds:
                with suppress(InputError, OSError):  # it is complete, if in more files than need be
                    store.compact(result.spec.trajectory_id)
        reporter.round_done(sum(isinstance(result, RoundResult) for result in results))


class _Checkpointer:
    """Decides when a stack's checkpoints are written, and which of those in the folder this device goes on from."""

    def __init__(self, store: Store, minutes: float, reporter: "_Reporter") -> None:
        self.store, self.seconds, self.reporter = store, 60 * minutes, reporter
        self.last = time.monotonic()

    def find(self, spec: TrajectorySpec, number: int) -> Checkpoint | None:
        """A trajectory's checkpoint inside round `number`, if this device has written it: others round otherwise."""
        checkpoint = self.store.checkpoint(spec, number)
        return checkpoint if checkpoint and checkpoint.device == self.reporter.device else None

    def position(self, spec: TrajectorySpec) -> tuple[int, int]:
        """The round that a trajectory is to go on in, and the iterations of it that are done."""
        number = self.store.rounds_done(spec.trajectory_id)
        checkpoint = self.find(spec, number)
        return number, checkpoint.iteration if checkpoint else 0

    def observe(self, progress: Progress) -> None:
        """Writes the stack's checkpoints when it is time."""
        now = time.monotonic()
        if progress.iteration == 0:
            self.last = now
        elif self.seconds and now - self.last >= self.seconds:
            self.last = now
            try:
                for checkpoint in progress.checkpoints():
                    self.store.write_checkpoint(checkpoint)
            except OSError as error:  # training goes on: a checkpoint saves time and nothing else
                self.reporter.note(f"a checkpoint could not be written: {error.strerror or error}")


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
        test = {label(m.attack): sum(m.accuracy) / len(m.accuracy) for m in progress.measurements if m.split == "test"}
        self.metrics = {
            "round": progress.round,
            "iteration": progress.iteration,
            "round_done": False,
            "iterations_done": self.iterations_done + progress.iteration * progress.running,
            "rate": self.rate,
            "weights_remaining": progress.weights_remaining,
            "natural": test.pop(str(NATURAL)),
            "adversarial": test,
            "running": progress.running,
            "device": self.device,
            "failures": [],
        }
        if now - self.last_report >= REPORT_SECONDS:
            self._send()

    def lost(self, store: Store, failure: Failure) -> None:
        """Writes and reports a trajectory that can't go on."""
        store.write_failure(failure)
        self.report({"failures": [(failure.spec.trajectory_id, failure.round, failure.reason)]})

    def note(self, text: str) -> None:
        """Reports a line worth reading."""
        self.report({"failures": [], "note": text})

    def round_done(self, running: int) -> None:
        """Reports that a round is written; `running` trajectories go on."""
        if not self.metrics:  # none could even begin
            return
        self.iterations_done = self.metrics["iterations_done"]
        self.metrics |= {"round_done": True, "running": running}
        self._send()

    def _send(self) -> None:
        self.last_report = time.perf_counter()
        self.report(dict(self.metrics))
