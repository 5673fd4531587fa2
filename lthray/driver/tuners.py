"""Searches on Ray Tune: a searcher and a scheduler for each cell of the grid, and what they learn of earlier runs.

Tune's own searchers and schedulers keep no results beyond the end of a process, so that each run first feeds them what
the results folder remembers.

To add a scheduler or a searcher, add its options to `spec.search` and a function that makes it to `SCHEDULERS` or
`SEARCHERS`.
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

from lthray.driver.samples import drawn, remember, stopped
from lthray.driver.stacks import SlotLimiter
from lthray.driver.trials import Stack, Tuning
from lthray.errors import InputError
from lthray.installing import install_command
from lthray.spec.search import Sample, SearchSpec
from lthray.spec.spaces import domains, draws
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.body import TrialBody
from lthray.worker.sample import train_sample

METRIC, ROUNDS_DONE = "metric", "rounds_done"
"""The fields of a `Score` as Tune's results have them."""
REPEATS = 100
"""How often a searcher may suggest settings drawn before; then settings are drawn at random instead."""


@dataclass
class Cell:
    """A cell of the grid, and what is known of its search."""

    fields: dict[str, Any]
    """The cell's values by field."""
    waiting: list[Sample]
    """Samples drawn and not finished."""
    finished: list[tuple[Sample, list[float]]]
    """Samples that are complete or stopped, each with the metric after each round."""
    undrawn: int
    """How many samples are still to be drawn."""
    searcher: Any = None
    """Tune's searcher that draws them, where results lead the search."""
    begun: list[Sample] = field(default_factory=list)
    """Samples whose trials began in this run."""

    @property
    def samples(self) -> list[Sample]:
        """All samples drawn so far."""
        return [*self.waiting, *(sample for sample, _ in self.finished), *self.begun]

    @property
    def key(self) -> str:
        """Tells cells apart."""
        return _key(self.fields)


def read_cells(sweep: SweepSpec, store: Store, missing: Sequence[TrajectorySpec]) -> list[Cell]:
    """The cells of a search as its results folder knows them; `missing` are the trajectories to train."""
    search, to_train = _search(sweep), {spec.trajectory_id for spec in missing}
    cells = {_key(fields): Cell(fields, [], [], search.samples) for fields in sweep.cells()}
    for sample in drawn(sweep, store):
        cell, stack = cells[_key(sample.cell)], sweep.stack_of(sample)
        cell.undrawn -= 1
        if any(spec.trajectory_id in to_train for spec in stack):
            cell.waiting.append(sample)
        else:
            cell.finished.append((sample, store.means(stack, search.metric)))
    return list(cells.values())


def planned(sweep: SweepSpec, cells: Sequence[Cell], left_out: Set[str]) -> dict[str, Stack]:
    """The stacks to come by the trial's name; for a sample yet to be drawn, its cell without the drawn values."""
    stacks = [_stack(sweep, left_out, asdict(sample)) for cell in cells for sample in cell.waiting]
    stacks += [sweep.stack_of(Sample(cell.fields, {})) for cell in cells for _ in range(cell.undrawn)]
    return {str(number): stack for number, stack in enumerate(stacks, start=1)}


def tuning(sweep: SweepSpec, store: Store, cells: Sequence[Cell], train: TrialBody, slots: Callable[[], int]) -> Tuning:
    """A trial for each sample, which trains the sample's missing trajectories.

    Args:
        sweep: The sweep, with a search.
        store: Its results folder.
        cells: What `read_cells` gave.
        train: Trains a stack.
        slots: Counts the trials that fit on the cluster at the same time.

    Raises:
        InputError: the searcher's package is not installed.
    """
    search = _search(sweep)
    if make_searcher := SEARCHERS.get(search.searcher):
        for cell in cells:
            cell.searcher = make_searcher(search, cell)
    stack_of = partial(_stack, sweep, stopped(sweep, store))
    options: dict[str, Any] = {
        "search_alg": SlotLimiter(_Samples(sweep, store, list(cells)), slots),
        "num_samples": sum(len(cell.waiting) + cell.undrawn for cell in cells),
    }
    if search.scheduler:
        ((name, settings),) = search.scheduler.items()
        schedulers = {}
        for cell in cells:
            rounds = sweep.stack_of(Sample(cell.fields, {}))[0].rounds + 1
            shared = {"time_attr": ROUNDS_DONE, "metric": METRIC, "mode": search.mode}
            grace = {"grace_period": min(settings["grace_period"], rounds)}
            schedulers[cell.key] = SCHEDULERS[name](shared | settings | grace, rounds)
            _replay(schedulers[cell.key], cell)
        options["scheduler"] = _Schedulers(schedulers, partial(_record_stop, store, stack_of, search.metric))
    body = partial(train_sample, train=train, store=store, metric=search.metric)
    return Tuning(stack_of, body, options=options)


def _asha(settings: dict[str, Any], rounds: int) -> TrialScheduler:
    return ASHAScheduler(max_t=rounds, **settings)


def _median(settings: dict[str, Any], rounds: int) -> TrialScheduler:
    # With an infinite time slice the rule stops a trial or lets it go on, but never pauses it for others.
    return MedianStoppingRule(min_time_slice=math.inf, **settings)


def _optuna(search: SearchSpec, cell: Cell) -> Searcher:
    """Tune's Optuna searcher, fed with the samples of earlier runs, so that it goes on where it stopped."""
    try:
        import optuna
        from ray.tune.search.optuna import OptunaSearch
    except ImportError:
        raise InputError(f"search.searcher: optuna is not installed: {install_command('optuna')}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    searcher = OptunaSearch(
        OptunaSearch.convert_search_space(domains(search.space)),
        metric=METRIC,
        mode=search.mode,
        points_to_evaluate=[sample.drawn for sample in cell.waiting],
        # With the same seed a new sampler would suggest its first settings again.
        seed=(search.seed + 1_000_003 * len(cell.samples)) % 2**32,
    )
    for sample, values in cell.finished:
        if values:
            searcher.add_evaluated_point(sample.drawn, values[-1])
    return searcher


SCHEDULERS: dict[str, Callable[[dict[str, Any], int], TrialScheduler]] = {"asha": _asha, "median": _median}
"""Makes Tune's scheduler of a cell from its settings and the rounds of a trajectory; its clock is finished rounds."""
SEARCHERS: dict[str, Callable[[SearchSpec, Cell], Searcher]] = {"optuna": _optuna}
"""Makes Tune's searcher of a cell; `random` needs none, because it uses no results."""


def _search(sweep: SweepSpec) -> SearchSpec:
    assert sweep.search
    return sweep.search


def _key(cell: Mapping[str, Any]) -> str:
    return json.dumps(cell, sort_keys=True)


def _stack(sweep: SweepSpec, left_out: Set[str], config: Mapping[str, Any]) -> Stack:
    stack = sweep.stack_of(Sample(config["cell"], config["drawn"]))
    return tuple(spec for spec in stack if spec.trajectory_id not in left_out)


def _record_stop(
    store: Store, stack_of: Callable[[Mapping[str, Any]], Stack], metric: str, config: Mapping[str, Any], value: float
) -> None:
    """Writes that a trial was stopped; a trajectory that has no round left is complete."""
    for spec in stack_of(config):
        if store.rounds_done(spec.trajectory_id) <= spec.rounds:
            store.write_stopped(spec, metric, value)


class _Samples(Searcher):  # type: ignore[misc]
    """Gives Tune one sample after another, from each cell in turn: first those that wait, then newly drawn ones."""

    def __init__(self, sweep: SweepSpec, store: Store, cells: list[Cell]) -> None:
        super().__init__()
        self.sweep, self.store, self.cells = sweep, store, cells
        self.begun = 0
        self.suggested: dict[str, tuple[Any, str]] = {}
        """The searcher that suggested a trial's sample, and the searcher's own id of it, by Tune's trial id."""

    def suggest(self, trial_id: str) -> Any:
        """Called by Tune whenever a slot is free."""
        for _ in self.cells:
            self.cells.append(cell := self.cells.pop(0))
            if not cell.waiting and not cell.undrawn:
                continue
            self.begun += 1
            sample = self._next(cell, trial_id)
            cell.begun.append(sample)
            return {"trial": str(self.begun), "cell": sample.cell, "drawn": sample.drawn}
        return Searcher.FINISHED

    def _next(self, cell: Cell, trial_id: str) -> Sample:
        if cell.waiting:
            if cell.searcher:  # It was told to suggest the waiting samples first, in this order.
                cell.searcher.suggest(trial_id)
                self.suggested[trial_id] = cell.searcher, trial_id
            return cell.waiting.pop(0)
        sample = Sample(cell.fields, self._draw(cell, trial_id))
        remember(self.sweep, self.store, sample, len(cell.samples))
        cell.undrawn -= 1
        return sample

    def _draw(self, cell: Cell, trial_id: str) -> dict[str, Any]:
        before = [sample.drawn for sample in cell.samples]
        for attempt in range(REPEATS):
            own_id = f"{trial_id}-{attempt}"
            values: dict[str, Any] = cell.searcher.suggest(own_id)
            if values not in before:
                self.suggested[trial_id] = cell.searcher, own_id
                return values
            cell.searcher.on_trial_complete(own_id, error=True)
        search = _search(self.sweep)
        return next(values for values in draws(search.space, search.seed) if values not in before)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Called by Tune for every report; the cell's searcher learns of scores alone."""
        if trial_id in self.suggested and METRIC in result:
            searcher, own_id = self.suggested[trial_id]
            searcher.on_trial_result(own_id, {METRIC: result[METRIC], "training_iteration": result[ROUNDS_DONE]})

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Called by Tune with a trial's last report: if it is no score, a trajectory failed, and the sample with it."""
        if trial_id in self.suggested:
            searcher, own_id = self.suggested.pop(trial_id)
            score = None if error or METRIC not in (result or {}) else {METRIC: (result or {})[METRIC]}
            searcher.on_trial_complete(own_id, score, score is None)

    def save(self, checkpoint_path: str) -> None:
        """Called by Tune now and then; there is nothing to save that the results folder does not remember."""


@dataclass(eq=False)
class _FinishedTrial:
    """A trial of an earlier run, with the one attribute that schedulers read."""

    trial_id: str


def _replay(scheduler: TrialScheduler, cell: Cell) -> None:
    """Tells a scheduler of the finished samples as if they had just been trained."""
    for number, (_, values) in enumerate(cell.finished):
        trial = _FinishedTrial(f"finished-{number}")
        scheduler.on_trial_add(None, trial)
        for rounds_done, value in enumerate(values, start=1):
            scheduler.on_trial_result(None, trial, {METRIC: value, ROUNDS_DONE: rounds_done})


class _Schedulers(FIFOScheduler):  # type: ignore[misc]
    """One of Tune's schedulers for each cell, so that samples compete within their cell alone; records every stop."""

    def __init__(
        self, schedulers: Mapping[str, TrialScheduler], record_stop: Callable[[Mapping[str, Any], float], None]
    ) -> None:
        super().__init__()
        self.schedulers, self.record_stop = schedulers, record_stop

    def _of(self, trial: Any) -> Any:
        return self.schedulers[_key(trial.config["cell"])]

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune before a trial begins."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called by Tune for every report; a trial is judged by its scores alone."""
        if METRIC not in result:
            return TrialScheduler.CONTINUE  # type: ignore[no-any-return]
        action: str = self._of(trial).on_trial_result(tune_controller, trial, result)
        if action == TrialScheduler.STOP:
            with suppress(OSError):  # Without the record, the next run stops the trial again.
                self.record_stop(trial.config, result[METRIC])
        return action

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Called by Tune with a trial's last report."""
        if METRIC in result:
            self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Called by Tune for a trial that ended before it began."""
        self._of(trial).on_trial_remove(tune_controller, trial)
