"""How far a sweep is, read from its results folder: by any process, on any machine that reaches the folder."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lthray.driver import lock, samples
from lthray.driver.opening import outdated_line
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store import merged_tables
from lthray.store.folder import Store


@dataclass(frozen=True)
class Tally:
    """Trajectories counted."""

    trajectories: int
    complete: int
    """Trajectories with all their rounds."""
    running: int
    """Being trained now by a sweep that is alive."""
    stopped: int
    """Stopped by the scheduler of a search."""
    failed: int
    """Not complete; the last attempt ended in an error."""
    rounds_done: int
    rounds: int
    """Rounds to do in all: one more than `rounds` of the sweep file, for each trajectory."""

    @property
    def waiting(self) -> int:
        """Neither complete nor running nor stopped nor failed."""
        return self.trajectories - self.complete - self.running - self.stopped - self.failed


@dataclass(frozen=True)
class Status:
    """A sweep's state."""

    name: str
    folder: str
    varied: list[str]
    """Fields that the grid varies, except `seed`; and `transfer.setting` where sources differ in it."""
    groups: dict[tuple[str, ...], Tally]
    """Tallies by the values of `varied`."""
    total: Tally
    failures: dict[str, dict[str, Any]]
    """Failed trajectories by id: `round`, `error` and `fields`."""
    undrawn: int
    """Trajectories of samples that a searcher has not drawn yet; in no tally."""
    outdated: str | None
    """A warning that results of an older lthray have to be migrated; they are in no tally."""
    stale: list[str]
    """The merged tables that are not of the trajectories' files as they are now."""
    driver: dict[str, Any] | None
    """The folder's lock, with the progress of the sweep that holds it; `alive` is false if that sweep died."""

    @property
    def is_active(self) -> bool:
        """Whether a sweep or an evaluation is at work on the folder."""
        return bool(self.driver and self.driver["alive"])

    @property
    def is_incomplete(self) -> bool:
        """Whether trajectories are left to train: neither complete nor stopped nor failed."""
        return bool(self.total.waiting or self.total.running or self.undrawn)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as `lthray status --json` prints them."""

        def values(tally: Tally) -> dict[str, int]:
            return asdict(tally) | {"waiting": tally.waiting}

        return {
            "name": self.name,
            "folder": self.folder,
            **values(self.total),
            "groups": [
                {"fields": dict(zip(self.varied, key, strict=True)), **values(tally)}
                for key, tally in self.groups.items()
            ],
            "failures": {
                name: {"round": failure["round"], "error": failure["error"]} for name, failure in self.failures.items()
            },
            "undrawn": self.undrawn,
            "outdated": self.outdated,
            "stale": self.stale,
            "driver": self.driver,
        }


def states(
    sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], store: Store, driver: Mapping[str, Any] | None
) -> dict[str, tuple[str, int]]:
    """The state of each trajectory, by id, and how many rounds of it are done.

    A state is `complete`, `running` (by a sweep that is alive), `stopped` (by the scheduler of a search), `failed` (the
    last attempt ended in an error) or `waiting`.

    Args:
        sweep: The sweep that the folder's `sweep.yaml` describes.
        trajectories: Its trajectories; of a search, those of the samples drawn so far.
        store: The results folder.
        driver: The folder's lock; see `lock.read`.
    """
    running = driver["running"] if driver and driver["alive"] else []
    training = {name for trial in running for name in trial["trajectories"]}
    done, failures, stopped = store.done(trajectories), store.failures(), samples.stopped(sweep, store)

    def state(spec: TrajectorySpec) -> str:
        name = spec.trajectory_id
        if done[name] > spec.rounds:
            return "complete"
        groups = {"running": training, "stopped": stopped, "failed": failures}
        return next((state for state, names in groups.items() if name in names), "waiting")

    return {spec.trajectory_id: (state(spec), done[spec.trajectory_id]) for spec in trajectories}


def status(sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], store: Store) -> Status:
    """The state of a sweep.

    Args:
        sweep: The sweep that the folder's `sweep.yaml` describes.
        trajectories: Its trajectories; of a search, those of the samples drawn so far.
        store: The results folder.
    """
    driver = lock.read(store.folder)
    known_states, failures = states(sweep, trajectories, store, driver), store.failures()
    known = {spec.trajectory_id for spec in trajectories}
    varied = [name for name in sweep.grid if name != "seed"]
    varied += ["transfer.setting"] if len({spec.transfer.setting for spec in trajectories} - {""}) > 1 else []
    groups: dict[tuple[str, ...], list[TrajectorySpec]] = {}
    for spec in trajectories:
        fields = spec.values()
        groups.setdefault(tuple(str(fields.get(name, "")) for name in varied), []).append(spec)

    def tally(specs: Sequence[TrajectorySpec]) -> Tally:
        parts = [known_states[spec.trajectory_id] for spec in specs]
        count = Counter(state for state, _ in parts)
        return Tally(
            trajectories=len(specs),
            **{state: count[state] for state in ("complete", "running", "stopped", "failed")},
            rounds_done=sum(done for _, done in parts),
            rounds=sum(spec.rounds + 1 for spec in specs),
        )

    return Status(
        name=sweep.name,
        folder=str(store.folder),
        varied=varied,
        groups={key: tally(specs) for key, specs in groups.items()},
        total=tally(trajectories),
        failures={name: failure for name, failure in failures.items() if name in known},
        undrawn=sweep.size() - len(trajectories),
        outdated=outdated_line(store, sweep, trajectories),
        stale=merged_tables.find_stale(store),
        driver=driver,
    )
