"""Trials on Ray Tune: each trains a stack; what they report becomes events."""

import contextlib
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs
import ray
from ray import tune
from upath import UPath

from lthray.engine.data import Arrays
from lthray.engine.results import Failure
from lthray.files import is_local
from lthray.spec.sweepfile import ResourcesSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep.cluster import note_lost_nodes
from lthray.sweep.events import (
    Note,
    Notify,
    TrajectoryFailed,
    TrialBegan,
    TrialEnded,
    TrialProgress,
    TrialRetried,
    TrialStopped,
)
from lthray.sweep.planning import Share
from lthray.sweep.samples import METRIC, ROUNDS_DONE
from lthray.worker.train import train_stack

Stack = tuple[TrajectorySpec, ...]


@dataclass(frozen=True)
class Tuning:
    """What Tune is to run: the trials' configs, what each trains, and how."""

    stack_of: Callable[[Mapping[str, Any]], Stack]
    """The stack that a trial trains, from its config, which has the trial's name as `trial`."""
    train: Callable[..., None]
    """Trains it: takes its trajectories' fields, `data` and `report`, as `train_stack` does."""
    param_space: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    """More for Tune's `TuneConfig`."""


def training(store: Store, share: Share) -> Callable[..., None]:
    """`train_stack` with all but its trajectories, data and report."""
    return partial(train_stack, folder=store.folder, threads=max(1, int(share.cpus)), gpus=share.gpus)


def laid_down(trials: Mapping[str, Stack], train: Callable[..., None]) -> Tuning:
    """Trials that are known before the first of them begins."""
    stacks = dict(trials)
    return Tuning(partial(_named, stacks), train, {"trial": tune.grid_search(list(stacks))})


def _named(trials: Mapping[str, Stack], config: Mapping[str, Any]) -> Stack:
    return trials[config["trial"]]


def _trial(config: dict[str, Any], train: Callable[..., None], stack_of: Callable[..., Stack], data: Any) -> None:
    specs = stack_of(config)

    def report(metrics: dict[str, Any]) -> None:
        if "iteration" in metrics:  # the loggers' clock: iterations of a trajectory, over its rounds
            before = specs[0].iterations_from(0) - specs[0].iterations_from(metrics["round"])
            metrics = metrics | {"timesteps_total": before + metrics["iteration"]}
        tune.report(metrics)

    train([spec.model_dump() for spec in specs], data=ray.get(data["ref"]), report=report)


def fit(
    tuning: Tuning,
    store: Store,
    data: Mapping[str, Arrays],
    share: Share,
    resources: ResourcesSpec,
    loggers: Sequence[tune.Callback],
    notify: Notify,
    broken: Callable[[TrajectorySpec, str], Failure | None] | None = None,
) -> dict[str, Failure]:
    """Runs the trials; returns the trajectories that failed and why.

    `broken` says what a trial's end in an error means for a trajectory of its; None where that had its work done. By
    default it is training that failed.
    """
    relay = _Relay(tuning.stack_of, share.gpus > 0, notify)
    with contextlib.ExitStack() as ends:
        ends.enter_context(note_lost_nodes(share, notify))
        scratch = tempfile.TemporaryDirectory(prefix="lthray-", ignore_cleanup_errors=True)
        label = partial(_label, tuning.stack_of)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(
                    _trial, train=tuning.train, stack_of=tuning.stack_of, data={"ref": ray.put(dict(data))}
                ),
                {"cpu": share.cpus, "gpu": share.gpus},
            ),
            param_space=tuning.param_space
            # Tune keeps a history of every number in it, so it is for loggers alone
            | ({"fields": tune.sample_from(lambda config: _common(tuning.stack_of(config)))} if loggers else {}),
            tune_config=tune.TuneConfig(
                reuse_actors=True, trial_name_creator=label, trial_dirname_creator=label, **tuning.options
            ),
            run_config=tune.RunConfig(
                name=f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}",
                **_storage(store.folder) if loggers else {"storage_path": ends.enter_context(scratch)},
                verbose=0,
                callbacks=[relay, *loggers],
                failure_config=tune.FailureConfig(max_failures=resources.retries),
            ),
        )
        grid = tuner.fit()
    failures = dict(relay.failures)
    for result in grid:
        if result.error is None:
            continue
        # a trial that failed before its first report has no config, but it has its folder
        name, reason = Path(result.path).name.split("-")[1], _reason(result.error)
        for spec in relay.stacks[name]:
            if spec.trajectory_id in failures:
                continue
            if failure := (broken or partial(_untrained, store))(spec, reason):
                notify(TrajectoryFailed(name, spec.trajectory_id, failure.round, reason))
                failures[spec.trajectory_id] = failure
    return failures


def _untrained(store: Store, spec: TrajectorySpec, reason: str) -> Failure | None:
    failure = Failure(spec, store.rounds_done(spec.trajectory_id), reason)
    if failure.round > spec.rounds:
        return None
    with contextlib.suppress(OSError):  # on a full disk the line that is told still says it
        store.write_failure(failure)
    return failure


def _storage(folder: UPath) -> dict[str, Any]:
    """Where Tune keeps what loggers write: with the results, brought up to date twice a minute."""
    place = folder / "logs"
    remote = {} if is_local(folder) else {"storage_filesystem": pa.fs.PyFileSystem(pa.fs.FSSpecHandler(folder.fs))}
    return remote | {"storage_path": place.path, "sync_config": tune.SyncConfig(sync_period=30)}


def _label(stack_of: Callable[[Mapping[str, Any]], Stack], trial: Any) -> str:
    """`trial-3-fashion-mnist-fgsm-reset`: a trial's name, which begins with its number."""
    common = _common(stack_of(trial.config))
    parts = ["trial", trial.config["trial"], *(common[name] for name in ("dataset", "train_attack", "strategy"))]
    return "-".join(parts).replace("+", "-")


def _common(stack: Sequence[TrajectorySpec]) -> dict[str, Any]:
    """A stack's fields, those that differ as text such as `reset+random`."""
    fields: dict[str, list[Any]] = {}
    for spec in stack:
        for name, value in spec.flat().items():
            fields.setdefault(name, []).append(value)
    kept = {name: list(dict.fromkeys(values)) for name, values in fields.items()}
    return {name: one[0] if len(one) == 1 else "+".join(map(str, one)) for name, one in kept.items()}


def _reason(error: BaseException) -> str:
    """Why a trial failed, in a line; what Ray says of a lost worker is a page long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if any(line.startswith(("The actor is dead", "The actor died")) for line in lines):
        return "its worker process died (killed, out of memory, or crashed) and no retry is left"
    return lines[-1]


class _Relay(tune.Callback):  # type: ignore[misc]
    """Turns Tune's callbacks, which run in the driver, into events."""

    def __init__(self, stack_of: Callable[[Mapping[str, Any]], Stack], gpu: bool, notify: Notify) -> None:
        self.stack_of, self.gpu, self.notify = stack_of, gpu, notify
        self.stacks: dict[str, Stack] = {}
        self.failures: dict[str, Failure] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks with its state; a display can't be, and a restored sweep has no need of it."""
        return {"stack_of": None, "stacks": {}, "gpu": False, "notify": None, "failures": {}}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        name = trial.config["trial"]
        self.stacks[name] = self.stack_of(trial.config)
        self.notify(TrialBegan(name, self.stacks[name]))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name = trial.config["trial"]
        specs = {spec.trajectory_id: spec for spec in self.stacks[name]}
        for trajectory_id, number, reason in result["failures"]:
            self.failures[trajectory_id] = Failure(specs[trajectory_id], number, reason)
            self.notify(TrajectoryFailed(name, trajectory_id, number, reason))
        if "note" in result:
            self.notify(Note(f"trial {name}: {result['note']}"))
        if "iteration" in result:
            self._progress(name, result)
        if result.get("done") and result.get(ROUNDS_DONE, math.inf) <= max(spec.rounds for spec in specs.values()):
            self.notify(TrialStopped(name, result[ROUNDS_DONE] - 1, result[METRIC]))

    def _progress(self, name: str, result: Mapping[str, Any]) -> None:
        if self.gpu and result["device"] == "cpu":
            self.gpu = False
            self.notify(Note("Ray has GPUs, but PyTorch in its workers finds none: trials run on CPU"))
        fields = {field: result[field] for field in TrialProgress.__dataclass_fields__ if field != "trial"}
        self.notify(TrialProgress(trial=name, **fields))

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.notify(TrialRetried(trial.config["trial"]))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.notify(TrialEnded(trial.config["trial"]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.notify(TrialEnded(trial.config["trial"]))
