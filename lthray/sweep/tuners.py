"""A search on Ray Tune: its searchers and schedulers, one a cell of the grid, and what they are told of the past.

Tune's own hold no results over the end of a process: what a results folder remembers of a search is fed to them first.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search import Searcher

from lthray.errors import InputError
from lthray.spec.search import Sample, SearchSpec
from lthray.spec.spaces import domains, draws
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep.planning import Share
from lthray.sweep.samples import METRIC, ROUNDS_DONE, known, remember, stopped, train_sample
from lthray.sweep.trials import Stack, Tuning, training

REPEATS = 100
"""Suggestions of settings that there were before, after which one is drawn at random instead."""


@dataclass
class Cell:
    """What is searched in a cell of the grid, and what is known of it already."""

    cell: dict[str, Any]
    waiting: list[Sample]
    """Samples drawn and not finished."""
    finished: list[tuple[Sample, list[float]]]
    """Samples that are complete or stopped, each with the metric after each round."""
    left: int
    """Samples still to be drawn."""
    searcher: Any = None
    """Tune's, where it is to draw them."""
    given: list[Sample] = field(default_factory=list)
    """Samples that are trained now, or were in this run."""

    @property
    def samples(self) -> list[Sample]:
        """All that were drawn so far."""
        return [*self.waiting, *(sample for sample, _ in self.finished), *self.given]


def cells(sweep: SweepSpec, store: Store, missing: Sequence[TrajectorySpec]) -> list[Cell]:
    """The cells of a search as its folder knows them; `missing` are the trajectories to train."""
    search, wanted = _search(sweep), {spec.trajectory_id for spec in missing}
    found = {_key(cell): Cell(cell, [], [], search.samples) for cell in sweep.cells()}
    for sample in known(sweep, store):
        one, stack = found[_key(sample.cell)], sweep.stack_of(sample)
        one.left -= 1
        if any(spec.trajectory_id in wanted for spec in stack):
            one.waiting.append(sample)
        else:
            one.finished.append((sample, store.means(stack, search.metric)))
    return list(found.values())


def planned(sweep: SweepSpec, of: Sequence[Cell], left_out: Set[str]) -> dict[str, Stack]:
    """The trials to come by name; of a sample yet to be drawn, its cell without the values drawn."""
    stacks = [_stack(sweep, left_out, asdict(sample)) for one in of for sample in one.waiting]
    stacks += [sweep.stack_of(Sample(one.cell, {})) for one in of for _ in range(one.left)]
    return {str(number): stack for number, stack in enumerate(stacks, start=1)}


def tuning(sweep: SweepSpec, store: Store, of: Sequence[Cell], share: Share) -> Tuning:
    """A trial a sample, which trains those of its seeds that are missing.

    Raises:
        InputError: the searcher's package is not installed.
    """
    search = _search(sweep)
    if search.searcher == "optuna":
        for one in of:
            one.searcher = _optuna(search, one)
    stack = partial(_stack, sweep, stopped(sweep, store))
    options: dict[str, Any] = {
        "search_alg": _Samples(sweep, store, list(of)),
        "num_samples": sum(len(one.waiting) + one.left for one in of),
        "max_concurrent_trials": share.slots,
    }
    if search.scheduler:
        schedulers = {
            _key(one.cell): _scheduler(search, sweep.stack_of(Sample(one.cell, {}))[0].rounds + 1) for one in of
        }
        for one in of:
            _tell(schedulers[_key(one.cell)], one)
        options["scheduler"] = _Schedulers(schedulers, partial(_record, store, stack, search.metric))
    return Tuning(
        stack,
        partial(_train, store, search.metric, training(store, share, sweep.resources.checkpoint_minutes)),
        options=options,
    )


def _search(sweep: SweepSpec) -> SearchSpec:
    assert sweep.search
    return sweep.search


def _key(cell: Mapping[str, Any]) -> str:
    return json.dumps(cell, sort_keys=True)


def _stack(sweep: SweepSpec, left_out: Set[str], config: Mapping[str, Any]) -> Stack:
    stack = sweep.stack_of(Sample(config["cell"], config["drawn"]))
    return tuple(spec for spec in stack if spec.trajectory_id not in left_out)


def _train(store: Store, metric: str, train: Callable[..., None], fields: Any, **options: Any) -> None:
    train_sample(fields, store, metric, train, **options)


def _record(
    store: Store, stack: Callable[[Mapping[str, Any]], Stack], metric: str, config: Mapping[str, Any], value: float
) -> None:
    """Writes that a trial was stopped; one that has no round left is complete."""
    for spec in stack(config):
        if store.rounds_done(spec.trajectory_id) <= spec.rounds:
            store.write_stopped(spec, metric, value)


def _optuna(search: SearchSpec, one: Cell) -> Any:
    """Tune's Optuna searcher, told of the samples that there are; it draws on where it would have gone on."""
    try:
        import optuna
        from ray.tune.search.optuna import OptunaSearch
    except ImportError:
        raise InputError("search.searcher: optuna is not installed: pip install 'lthray[optuna]'") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searcher = OptunaSearch(
        OptunaSearch.convert_search_space(domains(search.space)),
        metric=METRIC,
        mode=search.mode,
        points_to_evaluate=[sample.drawn for sample in one.waiting],
        # a sampler begun anew with the same seed would suggest its first settings again
        seed=(search.seed + 1_000_003 * len(one.samples)) % 2**32,
    )
    for sample, values in one.finished:
        if values:
            searcher.add_evaluated_point(sample.drawn, values[-1])
    return searcher


class _Samples(Searcher):  # type: ignore[misc]
    """Gives Tune a sample after another, of each cell in turn: those that wait, then those that a searcher draws."""

    def __init__(self, sweep: SweepSpec, store: Store, cells: list[Cell]) -> None:
        super().__init__()
        self.sweep, self.store, self.cells = sweep, store, cells
        self.begun = 0
        self.asked: dict[str, tuple[Any, str]] = {}
        """The searcher behind a trial, and its name for it."""

    def suggest(self, trial_id: str) -> Any:
        for _ in self.cells:
            self.cells.append(one := self.cells.pop(0))
            if not one.waiting and not one.left:
                continue
            self.begun += 1
            sample = self._next(one, trial_id)
            one.given.append(sample)
            return {"trial": str(self.begun), "cell": sample.cell, "drawn": sample.drawn}
        return Searcher.FINISHED

    def _next(self, one: Cell, trial_id: str) -> Sample:
        if one.waiting:
            if one.searcher:  # it was told to suggest these first
                one.searcher.suggest(trial_id)
                self.asked[trial_id] = one.searcher, trial_id
            return one.waiting.pop(0)
        sample = Sample(one.cell, self._drawn(one, trial_id))
        remember(self.sweep, self.store, sample, len(one.samples))
        one.left -= 1
        return sample

    def _drawn(self, one: Cell, trial_id: str) -> dict[str, Any]:
        before = [sample.drawn for sample in one.samples]
        for attempt in range(REPEATS):
            own_id = f"{trial_id}-{attempt}"
            values: dict[str, Any] = one.searcher.suggest(own_id)
            if values not in before:
                self.asked[trial_id] = one.searcher, own_id
                return values
            one.searcher.on_trial_complete(own_id, error=True)
        search = _search(self.sweep)
        return next(values for values in draws(search.space, search.seed) if values not in before)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Tune's searcher hears of finished rounds alone."""
        if trial_id in self.asked and METRIC in result:
            searcher, own_id = self.asked[trial_id]
            searcher.on_trial_result(own_id, {METRIC: result[METRIC], "training_iteration": result[ROUNDS_DONE]})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """A trial without the metric in its last report has lost a seed, and is a failure to Tune's searcher."""
        if trial_id in self.asked:
            searcher, own_id = self.asked.pop(trial_id)
            whole = bool(result) and not error and METRIC in (result or {})
            searcher.on_trial_complete(own_id, {METRIC: result[METRIC]} if result and whole else None, not whole)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the results folder remembers."""


def _scheduler(search: SearchSpec, rounds: int) -> Any:
    """Tune's scheduler of one cell; its clock is finished rounds, of which there are `rounds`."""
    ((name, options),) = search.scheduler.items()
    shared = {"time_attr": ROUNDS_DONE, "metric": METRIC, "mode": search.mode} | options
    shared["grace_period"] = min(shared["grace_period"], rounds)
    if name == "asha":
        return ASHAScheduler(max_t=rounds, **shared)
    # without end: a trial is stopped or goes on, but does not pause for others
    return MedianStoppingRule(min_time_slice=math.inf, **shared)


@dataclass(eq=False)
class _Past:
    """A trial of an earlier run, as far as schedulers look at one."""

    trial_id: str


def _tell(scheduler: Any, one: Cell) -> None:
    """Tells a scheduler of the samples that are finished, as if they had just been trained."""
    for number, (_, values) in enumerate(one.finished):
        past = _Past(f"finished-{number}")
        scheduler.on_trial_add(None, past)
        for done, value in enumerate(values, start=1):
            scheduler.on_trial_result(None, past, {METRIC: value, ROUNDS_DONE: done})


class _Schedulers(FIFOScheduler):  # type: ignore[misc]
    """Tune's schedulers, one a cell, which compare samples of their own cell alone; whom they stop is recorded."""

    def __init__(self, schedulers: Mapping[str, Any], record: Callable[[Mapping[str, Any], float], None]) -> None:
        super().__init__()
        self.schedulers, self.record = schedulers, record

    def _of(self, trial: Any) -> Any:
        return self.schedulers[_key(trial.config["cell"])]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if METRIC not in result:
            return TrialScheduler.CONTINUE  # type: ignore[no-any-return]
        action: str = self._of(trial).on_trial_result(tune_controller, trial, result)
        if action == TrialScheduler.STOP:
            with suppress(OSError):  # then the next run stops it again
                self.record(trial.config, result[METRIC])
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if METRIC in result:
            self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)
