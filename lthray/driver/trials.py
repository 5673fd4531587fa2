"""Trials on Ray Tune: each runs a body on a stack, and what its worker reports becomes events."""

import contextlib
import math
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import ray
from ray import tune
from ray.exceptions import RayTaskError
from ray.tune.utils import flatten_dict
from upath import UPath

from lthray.driver.cluster import note_lost_nodes
from lthray.driver.events import (
    Notify,
    TrajectoryFailed,
    TrialBegan,
    TrialEnded,
    TrialProgress,
    TrialRetried,
    TrialStopped,
)
from lthray.driver.session import Session
from lthray.engine.results import Failure
from lthray.errors import InputError, first_line, last_line
from lthray.files import is_local
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.body import TrialBody
from lthray.worker.report import Message, Note, Progress, Score

Stack = tuple[TrajectorySpec, ...]
LARGEST = "largest_stack"
"""The key of a trial's config with the most trajectories to train at once, once its worker has died."""
StackOf = Callable[[Mapping[str, Any]], Stack]
"""Gives the stack of a trial from its config, in which `trial` is the trial's name."""


@dataclass(frozen=True)
class Tuning:
    """What Tune is to run: the trials' configs, and the body that runs on each one's stack."""

    stack_of: StackOf
    body: TrialBody
    param_space: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    """More for Tune's `TuneConfig`."""


def fixed_trials(stacks: Mapping[str, Stack], body: TrialBody) -> Tuning:
    """Trials whose stacks, by the trial's name, are known before the first begins."""
    return Tuning(partial(_stack_by_name, dict(stacks)), body, {"trial": tune.grid_search(list(stacks))})


def _stack_by_name(stacks: Mapping[str, Stack], config: Mapping[str, Any]) -> Stack:
    return stacks[config["trial"]]


def fit(
    session: Session,
    tuning: Tuning,
    on_error: Callable[[TrajectorySpec, str], Failure | None],
    loggers: Sequence[tune.Callback] = (),
) -> dict[str, Failure]:
    """Runs trials to their end, or until they are interrupted.

    Args:
        session: Where to run them.
        tuning: The trials.
        on_error: Turns a trial's error, one line, into the failure of a trajectory of its stack; None where the
            trajectory's work was done.
        loggers: Ray's callbacks that keep every trial's progress.

    Returns:
        The trajectories that failed, by id.
    """
    relay = _Relay(tuning.stack_of, session.share.gpus > 0, bool(loggers), session.notify)
    with contextlib.ExitStack() as ends:
        ends.enter_context(note_lost_nodes(session.share, session.notify))
        scratch = tempfile.TemporaryDirectory(prefix="lthray-", ignore_cleanup_errors=True)
        label = partial(_label, tuning.stack_of)
        trainable = tune.with_parameters(
            _trial,
            body=tuning.body,
            stack_of=tuning.stack_of,
            # Ray stores each parameter as an object; inside of a dict, a reference stays one, and all workers of a node
            # share one copy of the data.
            data={"ref": ray.put(session.data)},
        )
        trainable.__name__ = f"lthray-{session.store.folder.name}"  # what Ray's dashboard and `ray list` call workers
        tuner = tune.Tuner(
            tune.with_resources(trainable, {"cpu": session.share.cpus, "gpu": session.share.gpus}),
            param_space=tuning.param_space,
            tune_config=tune.TuneConfig(
                reuse_actors=True, trial_name_creator=label, trial_dirname_creator=label, **tuning.options
            ),
            run_config=tune.RunConfig(
                name=f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}",
                **_storage(session.store.folder) if loggers else {"storage_path": ends.enter_context(scratch)},
                verbose=0,
                callbacks=[relay, *loggers],
                failure_config=tune.FailureConfig(max_failures=session.resources.retries),
            ),
        )
        grid = tuner.fit()
    failures = dict(relay.failures)
    for result in grid:
        if result.error is None:
            continue
        # A trial that failed before its first report has no config in its result, but its folder has its name.
        name, reason = Path(result.path).name.split("-")[1], _reason(result.error)
        for spec in relay.stacks[name]:
            if spec.trajectory_id not in failures and (failure := on_error(spec, reason)):
                session.notify(TrajectoryFailed(name, failure))
                failures[spec.trajectory_id] = failure
    return failures


def _trial(config: dict[str, Any], body: TrialBody, stack_of: StackOf, data: Mapping[str, Any]) -> None:
    """What Tune runs on a worker."""
    stack = stack_of(config)
    names = ", ".join(spec.trajectory_id for spec in stack)
    sys.stdout.write(f"trial {config['trial']}: {names}\n")  # into the worker's log, which Ray's dashboard shows
    sys.stdout.flush()
    largest = config.get(LARGEST)
    body(stack, ray.get(data["ref"]), lambda message: tune.report(_result(message, stack)), largest)


def _result(message: Message, stack: Stack) -> dict[str, Any]:
    """A message as Tune takes it: a mapping of plain values, which schedulers and loggers see too."""

    def before(number: int) -> int:
        """The loggers' clock: iterations that a trajectory takes before a round."""
        return stack[0].iterations_from(0) - stack[0].iterations_from(number)

    match message:
        case Progress():
            return asdict(message) | {"timesteps_total": before(message.round) + message.done_in_round}
        case Score():
            return asdict(message) | {"timesteps_total": before(message.rounds_done)}
        case Note():
            return {"note": message.text}
        case Failure():
            trajectory_id, number = message.spec.trajectory_id, message.round
            values = {"reason": message.reason, "traceback": message.traceback}
            return {"failure": {"trajectory_id": trajectory_id, "round": number, **values}}


def _message(result: Mapping[str, Any], stack: Stack) -> Message:
    """The message that `_result` made a result of; Tune adds values of its own to it."""
    if "note" in result:
        return Note(result["note"])
    if "failure" in result:
        failure = result["failure"]
        spec = next(spec for spec in stack if spec.trajectory_id == failure["trajectory_id"])
        return Failure(spec, failure["round"], failure["reason"], failure["traceback"])
    kind = Progress if "unit" in result else Score
    return kind(**{entry.name: result[entry.name] for entry in fields(kind)})


def _storage(folder: UPath) -> dict[str, Any]:
    """Where Tune keeps what loggers write: with the results, brought up to date twice a minute."""
    place = folder / "logs"
    remote = {} if is_local(folder) else {"storage_filesystem": pa.fs.PyFileSystem(pa.fs.FSSpecHandler(folder.fs))}
    return remote | {"storage_path": place.path, "sync_config": tune.SyncConfig(sync_period=30)}


def _label(stack_of: StackOf, trial: Any) -> str:
    """`trial-3-fashion-mnist-fgsm-reset`: a label of a trial that begins with its name."""
    common = _common(stack_of(trial.config))
    parts = ["trial", trial.config["trial"], *(common[name] for name in ("dataset", "train_attack", "strategy"))]
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))  # references and paths have characters that no folder takes


def _common(stack: Sequence[TrajectorySpec]) -> dict[str, Any]:
    """A stack's fields, those that differ as text such as `reset+random`."""
    values: dict[str, list[Any]] = {}
    for spec in stack:
        for name, value in spec.flat().items():
            values.setdefault(name, []).append(value)
    different = {name: list(dict.fromkeys(column)) for name, column in values.items()}
    return {
        name: distinct[0] if len(distinct) == 1 else "+".join(map(str, distinct))
        for name, distinct in different.items()
    }


DEATHS = {
    "running low on memory": "Ray killed its worker process because its node ran low on memory",
    "worker process has died": "its worker process died (killed, out of memory, or crashed)",
    "node has died": "its node died",
}
"""How a worker died, by a part of Ray's message, which is a page long."""
OUT_OF_MEMORY = [*DEATHS.values()][:2]
"""The deaths that a smaller stack may be spared; the kernel kills without a word."""


def _death(text: str) -> str | None:
    """How a worker died, in words; None where the error is none of Ray's own."""
    return next((words for part, words in DEATHS.items() if part in text), None)


def _cause(trial: Any) -> str:
    """Why a trial failed last, in one line: Tune appends each error's text to a file."""
    with contextlib.suppress(OSError):
        text = Path(trial.error_file).read_text(encoding="utf-8").rpartition("Failure # ")[2]
        return _death(text) or text.strip().splitlines()[-1]
    return "it broke or lost its worker"


def _reason(error: BaseException) -> str:
    """Why a trial failed, in one line."""
    if not isinstance(error, RayTaskError) and (death := _death(str(error))):
        return f"{death} and no retry is left"
    if not isinstance(error, RayTaskError):  # Ray and Tune have put the worker's traceback into the text
        return last_line(error)
    line = first_line(error.cause)
    return line if isinstance(error.cause, InputError) else f"{type(error.cause).__name__}: {line}"


class _Relay(tune.Callback):  # type: ignore[misc]
    """Turns Tune's callbacks into events. Tune calls them in the driver, one after the other."""

    def __init__(self, stack_of: StackOf, gpu: bool, has_loggers: bool, notify: Notify) -> None:
        self.stack_of, self.gpu, self.has_loggers, self.notify = stack_of, gpu, has_loggers, notify
        self.stacks: dict[str, Stack] = {}
        self.failures: dict[str, Failure] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks with its state: a display can't be pickled, and lthray restores no Tune state."""
        return {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """A worker has the trial, for the first time or after a retry."""
        name = trial.config["trial"]
        self.stacks[name] = self.stack_of(trial.config)
        if self.has_loggers:
            # They are called after this, and take a trial's parameters from these two.
            trial.set_config(trial.config | {"fields": _common(self.stacks[name])})
            trial.evaluated_params = flatten_dict(trial.config)
        self.notify(TrialBegan(name, self.stacks[name]))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """The worker has reported; the scheduler has decided by then, and `done` says that it stops the trial."""
        name = trial.config["trial"]
        stack = self.stacks[name]
        match _message(result, stack):
            case Progress() as progress:
                self._check_device(progress)
                self.notify(TrialProgress(name, progress))
            case Score(metric, rounds_done) if result["done"] and rounds_done <= max(spec.rounds for spec in stack):
                self.notify(TrialStopped(name, rounds_done - 1, metric))
            case Failure() as failure:
                self.failures[failure.spec.trajectory_id] = failure
                self.notify(TrajectoryFailed(name, failure))
            case Note(text):
                self.notify(Note(f"trial {name}: {text}"))

    def _check_device(self, progress: Progress) -> None:
        if self.gpu and progress.device == "cpu":
            self.gpu = False
            self.notify(Note("Ray has GPUs, but PyTorch in its workers finds none: trials run on CPU"))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial failed, perhaps before its worker could start, and Tune starts it again."""
        name, cause, half = trial.config["trial"], _cause(trial), None
        largest = trial.config.get(LARGEST, len(self.stack_of(trial.config)))
        if cause in OUT_OF_MEMORY and largest > 1:
            half = math.ceil(largest / 2)
            trial.set_config(trial.config | {LARGEST: half})
        self.notify(TrialRetried(name, cause, half))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial's body has returned, or its scheduler has stopped it."""
        self.notify(TrialEnded(trial.config["trial"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """The trial failed for good; Tune has not called `on_trial_start` where its worker could not even start."""
        name = trial.config["trial"]
        self.stacks[name] = self.stack_of(trial.config)
        self.notify(TrialEnded(name))
