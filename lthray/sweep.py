"""A sweep on Ray Tune: what is missing becomes trials, each trains a stack on its share of the machines."""

import contextlib
import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# Ray reads these when it is imported: no banner, no second progress display, no logger files, no statistics sent.
for _name, _value in {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}.items():
    os.environ.setdefault(_name, _value)

import ray  # noqa: E402
from ray import tune  # noqa: E402

from lthray.data import Arrays, is_here, read  # noqa: E402
from lthray.errors import InputError  # noqa: E402
from lthray.events import (  # noqa: E402
    Event,
    Note,
    Notify,
    Planned,
    TrajectoryFailed,
    TrialEnded,
    TrialProgress,
    TrialRetried,
)
from lthray.planning import Share, fit_to_cluster, plan  # noqa: E402
from lthray.progress import SweepProgress  # noqa: E402
from lthray.results import Failure  # noqa: E402
from lthray.running import announced  # noqa: E402
from lthray.spec import TrajectorySpec  # noqa: E402
from lthray.store import Store  # noqa: E402
from lthray.sweepfile import SweepSpec  # noqa: E402
from lthray.worker import train_stack  # noqa: E402


@dataclass(frozen=True)
class Outcome:
    """How a sweep ended."""

    complete: int
    """Trajectories that are complete now."""
    trained: int
    """Rounds that this run trained."""
    failures: dict[str, Failure]
    """Trajectories that can't go on, by id."""
    missing: int
    """Trajectories neither complete nor failed: the sweep was interrupted."""


def run(
    sweep: SweepSpec,
    trajectories: Sequence[TrajectorySpec],
    folder: str | Path,
    data_dir: Path,
    address: str | None,
    notify: Notify,
) -> Outcome:
    """Trains what is missing of a sweep into `folder`.

    Args:
        sweep: The sweep.
        trajectories: Its trajectories.
        folder: Results folder, by path or URL; made where it is not there.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None for one of this machine's own.
        notify: Told what goes on.

    Raises:
        InputError: the folder, the data or the cluster is not to be had.
        KeyboardInterrupt: interrupted before training began; later an interrupt ends in an Outcome.
    """
    store, progress = Store(folder), SweepProgress()

    def tell(event: Event) -> None:
        progress.take(event)
        notify(event)

    def lost() -> None:
        tell(Note(f"{store.folder}: another sweep has taken this folder over: stopping"))
        os.kill(os.getpid(), signal.SIGINT)

    with announced(store.folder, progress.snapshot, lost, lambda text: tell(Note(text))):
        store.create(sweep.resolved())
        before = store.done(trajectories)
        missing = [spec for spec in trajectories if before[spec.trajectory_id] <= spec.rounds]
        errors: dict[str, Failure] = {}
        if missing:
            data = _data(missing, data_dir, tell)
            tell(Note(f"connecting to Ray at {address}" if address else "starting Ray"))
            with _ray(address):
                if address:
                    _check_shared(store)
                share = fit_to_cluster(sweep.resources, _nodes(), tell)
                stacks = plan(missing, before, share, sweep.resources.stack)
                trials = {str(i + 1): stack for i, stack in enumerate(stacks)}
                tell(_planned(trajectories, missing, before, trials))
                errors = _fit(trials, store, data, share, sweep.resources.retries, tell)
        else:
            tell(_planned(trajectories, missing, before, {}))
        return _outcome(trajectories, store, before, errors)


def _data(specs: Sequence[TrajectorySpec], folder: Path, notify: Notify) -> dict[str, Arrays]:
    """The data sets that trajectories need, by name."""
    data: dict[str, Arrays] = {}
    for name in sorted({spec.dataset for spec in specs}):
        if not is_here(name, folder):
            notify(Note(f"getting {name} into {folder}"))
        data[name] = read(name, folder)
    return data


def _planned(
    trajectories: Sequence[TrajectorySpec],
    missing: Sequence[TrajectorySpec],
    before: Mapping[str, int],
    trials: Mapping[str, tuple[TrajectorySpec, ...]],
) -> Planned:
    rounds = [spec.rounds + 1 - before[spec.trajectory_id] for spec in missing]
    return Planned(
        trajectories=len(trajectories),
        complete=len(trajectories) - len(missing),
        trials=dict(trials),
        rounds=sum(rounds),
        iterations=sum(n * spec.iterations for n, spec in zip(rounds, missing, strict=True)),
    )


def _outcome(
    trajectories: Sequence[TrajectorySpec], store: Store, before: Mapping[str, int], errors: Mapping[str, Failure]
) -> Outcome:
    after = store.done(trajectories)
    incomplete = {spec.trajectory_id: spec for spec in trajectories if after[spec.trajectory_id] <= spec.rounds}
    failures = {id_: failure for id_, failure in errors.items() if id_ in incomplete}
    return Outcome(
        complete=len(trajectories) - len(incomplete),
        trained=sum(after.values()) - sum(before.values()),
        failures=failures,
        missing=len(incomplete) - len(failures),
    )


def _check_shared(store: Store) -> None:
    """Checks that every node of the cluster reaches the results folder.

    Raises:
        InputError: one does not: its results would be lost.
    """
    look = ray.remote(num_cpus=0)(lambda: Store(store.folder).holds_sweep())
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    nodes = [node for node in ray.nodes() if node["Alive"]]
    seen = ray.get([look.options(scheduling_strategy=here(node["NodeID"], soft=False)).remote() for node in nodes])
    for node, sees in zip(nodes, seen, strict=True):
        if not sees:
            raise InputError(
                f"{store.folder}: node {node['NodeManagerAddress']} of the cluster does not see this folder;"
                " --out must be a folder that all nodes share, or a URL such as s3://bucket/run"
            )


def _nodes() -> list[dict[str, float]]:
    """What each node of the cluster has."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


@contextlib.contextmanager
def _ray(address: str | None) -> Iterator[None]:
    """A connection to Ray, closed in the end; SIGTERM is as gentle as Ctrl-C meanwhile."""
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        _knock(address)
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **({} if address else {"include_dashboard": False}),
        )
    except (OSError, ValueError, RuntimeError) as error:
        where = f"--address {address}: no Ray cluster can be reached" if address else "Ray can't be started"
        raise InputError(f"{where}: {(str(error).strip() or type(error).__name__).splitlines()[0]}") from None
    before = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        ray.shutdown()


def _knock(address: str | None) -> None:
    """Fails at once where nothing listens at HOST:PORT; Ray itself would try for minutes."""
    host, colon, port = (address or "").rpartition("://")[2].rpartition(":")
    if colon:
        if not port.isdigit():
            raise ValueError("an address is auto, HOST:PORT or ray://HOST:PORT")
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _trial(config: dict[str, Any], body: Any, data: Any) -> None:
    body(config["trajectories"], data=ray.get(data["ref"]), report=tune.report)


def _fit(
    trials: Mapping[str, tuple[TrajectorySpec, ...]],
    store: Store,
    data: Mapping[str, Arrays],
    share: Share,
    retries: int,
    notify: Notify,
) -> dict[str, Failure]:
    """Runs the trials; returns the trajectories that failed and why."""
    relay = _Relay(trials, share.gpus > 0, notify)
    body = partial(train_stack, folder=store.folder, threads=max(1, int(share.cpus)), gpu=bool(share.gpus))
    with tempfile.TemporaryDirectory(prefix="lthray-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            tune.with_resources(
                tune.with_parameters(_trial, body=body, data={"ref": ray.put(dict(data))}),
                {"cpu": share.cpus, "gpu": share.gpus},
            ),
            param_space={
                "trial": tune.grid_search(list(trials)),
                "trajectories": tune.sample_from(
                    lambda config: [spec.model_dump() for spec in trials[config["trial"]]]
                ),
            },
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=lambda trial: f"trial-{trial.config['trial']}",
                trial_dirname_creator=lambda trial: f"trial-{trial.config['trial']}",
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=scratch,
                verbose=0,
                callbacks=[relay],
                failure_config=tune.FailureConfig(max_failures=retries),
            ),
        )
        grid = tuner.fit()
    failures = dict(relay.failures)
    for result in grid:
        if result.error is None:
            continue
        # a trial that failed before its first report has no config, but it has its folder
        name, reason = Path(result.path).name.removeprefix("trial-"), _reason(result.error)
        for spec in trials[name]:
            failure = Failure(spec, store.rounds_done(spec.trajectory_id), reason)
            if failure.round <= spec.rounds and spec.trajectory_id not in failures:
                with contextlib.suppress(OSError):  # on a full disk the line below still says it
                    store.write_failure(failure)
                notify(TrajectoryFailed(name, spec.trajectory_id, failure.round, reason))
                failures[spec.trajectory_id] = failure
    return failures


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
