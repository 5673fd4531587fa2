"""Trials on Ray Tune: each trains a stack; what they report becomes events."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial, partialmethod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.fs
import ray
from ray import tune
from ray.util.queue import Queue
from upath import UPath

import lthray.cluster  # noqa: F401 - sets what Ray reads when it is imported
from lthray.data import Arrays
from lthray.events import (
    Note,
    Notify,
    TrajectoryFailed,
    TrialEnded,
    TrialProgress,
    TrialRetried,
)
from lthray.planning import Share
from lthray.results import Failure
from lthray.spec import TrajectorySpec
from lthray.storage import is_local
from lthray.store import Store
from lthray.sweepfile import ResourcesSpec
from lthray.worker import train_stack


def _trial(config: dict[str, Any], body: Any, trials: Any, data: Any) -> None:
    specs = trials[config["trial"]]

    def report(metrics: dict[str, Any]) -> None:
        if "iteration" in metrics:  # the loggers' clock: iterations of a trajectory, over its rounds
            metrics = metrics | {"timesteps_total": metrics["round"] * specs[0]["iterations"] + metrics["iteration"]}
        tune.report(metrics)

    body(specs, data=ray.get(data["ref"]), report=report)


def fit(
    trials: Mapping[str, tuple[TrajectorySpec, ...]],
    store: Store,
    data: Mapping[str, Arrays],
    share: Share,
    resources: ResourcesSpec,
    loggers: Sequence[tune.Callback],
    notify: Notify,
) -> dict[str, Failure]:
    """Runs the trials; returns the trajectories that failed and why."""
    relay = _Relay(trials, share.gpus > 0, notify)
    body = partial(train_stack, folder=store.folder, threads=max(1, int(share.cpus)), gpus=share.gpus)
    fields = {name: [spec.model_dump() for spec in stack] for name, stack in trials.items()}
    labels = {name: _label(name, stack) for name, stack in trials.items()}
    with contextlib.ExitStack() as ends:
        callback = ends.enter_context(_heard(relay))
        scratch = tempfile.TemporaryDirectory(prefix="lthray-", ignore_cleanup_errors=True)
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_trial, body=body, trials=fields, data={"ref": ray.put(dict(data))}),
                {"cpu": share.cpus, "gpu": share.gpus},
            ),
            param_space={
                "trial": tune.grid_search(list(trials)),
                # Tune keeps a history of every number in it, so it is for loggers alone
                **({"fields": tune.sample_from(lambda config: _common(trials[config["trial"]]))} if loggers else {}),
            },
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=lambda trial: labels[trial.config["trial"]],
                trial_dirname_creator=lambda trial: labels[trial.config["trial"]],
            ),
            run_config=tune.RunConfig(
                name=f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%S}",
                **_storage(store.folder) if loggers else {"storage_path": ends.enter_context(scratch)},
                verbose=0,
                callbacks=[callback, *loggers],
                failure_config=tune.FailureConfig(max_failures=resources.retries),
            ),
        )
        try:
            grid = tuner.fit()
        except KeyboardInterrupt:  # Tune itself returns, but a Ray Client only stops waiting for it
            grid = ()
    failures = dict(relay.failures)
    for result in grid:
        if result.error is None:
            continue
        # a trial that failed before its first report has no config, but it has its folder
        name, reason = Path(result.path).name.split("-")[1], _reason(result.error)
        for spec in trials[name]:
            failure = Failure(spec, store.rounds_done(spec.trajectory_id), reason)
            if failure.round <= spec.rounds and spec.trajectory_id not in failures:
                with contextlib.suppress(OSError):  # on a full disk the line below still says it
                    store.write_failure(failure)
                notify(TrajectoryFailed(name, spec.trajectory_id, failure.round, reason))
                failures[spec.trajectory_id] = failure
    return failures


def _storage(folder: UPath) -> dict[str, Any]:
    """Where Tune keeps what loggers write: with the results, brought up to date twice a minute."""
    place = folder / "logs"
    remote = {} if is_local(folder) else {"storage_filesystem": pa.fs.PyFileSystem(pa.fs.FSSpecHandler(folder.fs))}
    return remote | {"storage_path": place.path, "sync_config": tune.SyncConfig(sync_period=30)}


def _label(trial: str, stack: Sequence[TrajectorySpec]) -> str:
    """`trial-3-fashion-mnist-fgsm-reset`: a trial's name, which begins with its number."""
    common = _common(stack)
    return "-".join(["trial", trial, *(common[name] for name in ("dataset", "train_attack", "strategy"))]).replace(
        "+", "-"
    )


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

    def __init__(self, trials: Mapping[str, tuple[TrajectorySpec, ...]], gpu: bool, notify: Notify) -> None:
        self.trials, self.gpu, self.notify = trials, gpu, notify
        self.failures: dict[str, Failure] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks with its state; a display can't be, and a restored sweep has no need of it."""
        return {"trials": {}, "gpu": False, "notify": None, "failures": {}}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        name = trial.config["trial"]
        specs = {spec.trajectory_id: spec for spec in self.trials[name]}
        for trajectory_id, number, reason in result["failures"]:
            self.failures[trajectory_id] = Failure(specs[trajectory_id], number, reason)
            self.notify(TrajectoryFailed(name, trajectory_id, number, reason))
        if "note" in result:
            self.notify(Note(f"trial {name}: {result['note']}"))
        if "iteration" not in result:
            return
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


class _Sender(tune.Callback):  # type: ignore[misc]
    """Stands in for a `_Relay` that is not where Tune runs: passes Tune's callbacks on through a queue."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue

    def _send(self, method: str, trial: Any, result: Mapping[str, Any] | None = None, **info: Any) -> None:
        arguments = {"result": {key: result[key] for key in result if key != "config"}} if result else {}
        self.queue.put((method, trial.config["trial"], arguments))

    on_trial_result = partialmethod(_send, "on_trial_result")
    on_trial_recover = partialmethod(_send, "on_trial_recover")
    on_trial_complete = partialmethod(_send, "on_trial_complete")
    on_trial_error = partialmethod(_send, "on_trial_error")


@contextlib.contextmanager
def _heard(relay: _Relay) -> Iterator[tune.Callback]:
    """A callback for Tune whose calls reach the relay: itself, or a sender where Tune runs on the cluster."""
    if not ray.util.client.ray.is_connected():  # which `ray://` makes it
        yield relay
        return
    queue = Queue(actor_options={"num_cpus": 0})

    def listen() -> None:
        while (call := queue.get()) is not None:
            method, name, arguments = call
            getattr(relay, method)(0, [], SimpleNamespace(config={"trial": name}), **arguments)

    with ThreadPoolExecutor(1) as thread:
        heard = thread.submit(listen)
        try:
            yield _Sender(queue)
        finally:
            queue.put(None)
        heard.result()
