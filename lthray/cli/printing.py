"""What commands print: the plan of a sweep, how it ended, how far it is."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lthray.cli.live import SHORT, clock, trials_table
from lthray.engine.results import Failure
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweepfile import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.sweep.status import Status, Tally
from lthray.worker.report import Unit

if TYPE_CHECKING:  # it imports torch and Ray, which a plan and a status do without
    from lthray.store.folder import Store
    from lthray.sweep.evaluate import Remeasured
    from lthray.sweep.run import Outcome


def plan_page(
    sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], done: Mapping[str, int], folder: str
) -> RenderableType:
    """What `--dry-run` shows: the trajectories, how far each is, and what is to do."""
    varied = [*(sweep.search.space if sweep.search else ()), *sweep.grid]
    varied += ["transfer.source", "transfer.setting"] if any(spec.transfer.source for spec in trajectories) else []
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("trajectory", *map(_heading, varied), "rounds done"):
        table.add_column(name, no_wrap=True)
    trainings = iterations = complete = 0
    for spec in trajectories:
        rounds, fields = done[spec.trajectory_id], spec.flat()
        table.add_row(spec.trajectory_id, *(str(fields[name]) for name in varied), f"{rounds} of {spec.rounds + 1}")
        trainings += spec.rounds + 1 - rounds
        iterations += spec.iterations_from(rounds)
        complete += rounds == spec.rounds + 1
    return Group(
        table,
        *_search_lines(sweep, len(trajectories)),
        f"{len(trajectories)} trajectories, {complete} of them complete in {folder};"
        f" to do: {trainings:,} trainings of {iterations:,} iterations in all",
    )


def _search_lines(sweep: SweepSpec, drawn: int) -> Iterator[str]:
    if not (search := sweep.search):
        return
    cells = len(list(sweep.cells()))
    seeds = sweep.size() // search.samples // cells
    yield (
        f"a search of {_some(search.samples, 'sample')} in {_some(cells, 'cell')} of the grid, with"
        f" {_some(seeds, 'seed')} each: {sweep.size():,} trajectories"
        + (f", of which {search.searcher} has drawn {drawn:,}" if search.searcher != "random" else "")
        + "".join(f", at most, for {name} stops poor ones" for name in search.scheduler)
    )


def _some(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def outcome_page(outcome: "Outcome", folder: str) -> RenderableType:
    """How a sweep ended: what failed, what is complete, what to do next."""
    rows: list[RenderableType] = [_failures_table(outcome.failures)] if outcome.failures else []
    trained = f"trained {outcome.trained:,} rounds" if outcome.trained else "nothing to train"
    whole = f"{outcome.complete} of {outcome.trajectories} trajectories complete"
    stopped = f", {outcome.stopped} stopped by the scheduler" if outcome.stopped else ""
    rows.append(Text(f"{trained}; {whole}{stopped} in {folder}"))
    return Group(*rows, _next(bool(outcome.missing), bool(outcome.failures), folder))


def measuring_page(
    sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], request: EvaluationRequest, store: "Store"
) -> RenderableType:
    """What `lthray evaluate --dry-run` shows: whose tickets are wanted, which are measured, and what is to do."""
    varied = [*(sweep.search.space if sweep.search else ()), *sweep.grid]
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("trajectory", *map(_heading, varied), "tickets measured"):
        table.add_column(name, no_wrap=True)
    tickets = left = images = 0
    for spec in trajectories:
        of, missing = len(store.rounds_to_measure(spec, request)), len(store.unmeasured(spec, request))
        table.add_row(spec.trajectory_id, *(str(spec.flat()[name]) for name in varied), f"{of - missing} of {of}")
        tickets, left, images = tickets + of, left + missing, images + missing * request.image_count(spec)
    done = f"{tickets:,} tickets, {tickets - left:,} of them measured under {request.attack} ({request.split}) in"
    return Group(table, Text(f"{done} {store.folder}; to do: {left:,} tickets, {images:,} images in all"))


def remeasured_page(outcome: "Remeasured", request: EvaluationRequest, folder: str) -> RenderableType:
    """How an evaluation ended: what failed, what is measured, what to do next."""
    rows: list[RenderableType] = [_failures_table(outcome.failures)] if outcome.failures else []
    said = f"measured {_some(outcome.measured, 'ticket')}" if outcome.measured else "nothing to measure"
    rows.append(Text(f"{said}; {outcome.done:,} of {outcome.tickets:,} measured under {request.attack} in {folder}"))
    return Group(*rows, _next(bool(outcome.missing), bool(outcome.failures), folder))


def _failures_table(failures: Mapping[str, Failure]) -> Table:
    table = Table("trajectory", "round", "error", title="failed", title_justify="left", box=None, header_style="dim")
    for trajectory_id, failure in failures.items():
        table.add_row(trajectory_id, str(failure.round), Text(failure.reason))
    return table


def _next(interrupted: bool, failed: bool, folder: str) -> Text:
    if interrupted:
        return Text("interrupted: run the same command again for the rest")
    return Text(
        "run the same command again to try just those that failed" if failed else f"next: lthray report {folder}"
    )


def status_page(status: Status) -> RenderableType:
    """What `lthray status` shows: the tallies, what runs now, what failed."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in map(_heading, status.varied):
        table.add_column(name, no_wrap=True)
    stopped = status.total.stopped > 0
    for name in ("trajectories", "complete", "running", *(["stopped"] if stopped else []), "failed", "rounds done"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, tally in status.groups.items():
        table.add_row(*key, *_counts(tally, stopped))
    if status.varied:
        table.add_section()
        table.add_row("all", *[""] * (len(status.varied) - 1), *_counts(status.total, stopped), style="bold")
    return Group(table, *_driver_lines(status), *(_failure_line(*item) for item in status.failures.items()))


def _heading(field: str) -> str:
    """A field's dotted name, on two lines: terminals are narrow."""
    return field.replace(".", ".\n", 1)


def _counts(tally: Tally, stopped: bool) -> tuple[str, ...]:
    of = f"{tally.rounds_done:,} of {tally.rounds:,}"
    numbers = [tally.trajectories, tally.complete, tally.running, *([tally.stopped] if stopped else []), tally.failed]
    return *map(str, numbers), of


def _driver_lines(status: Status) -> Iterator[RenderableType]:
    driver = status.driver
    if status.undrawn:
        yield Text(f"{status.undrawn} more trajectories are of samples yet to be drawn", style="dim")
    if driver is None:
        if status.total.complete + status.total.stopped < status.total.trajectories or status.undrawn:
            yield Text("no sweep is running here: run the same lthray sweep again for the rest", style="dim")
        return
    who = f"process {driver['process']} on {driver['host']}"
    if not driver["alive"]:
        yield Text(f"the sweep of {who} is dead, last heard of {driver['updated']}: run it again", style="red")
        return
    rate, left = sum(trial["rate"] for trial in driver["running"]), driver["seconds_left"]
    unit: Unit = driver["work"]["unit"] if driver["work"] else "iterations"
    pace = f"{rate:,.0f} {SHORT[unit]}/s"
    trials = driver["trials"]
    since = datetime.fromisoformat(driver["began"]).astimezone()
    yield Text(
        f"\nrunning since {since:%Y-%m-%d %H:%M} ({who})"
        + (f": {trials['ended']} of {trials['of']} trials ended, {pace}" if trials else ": preparing")
        + (f", {clock(left)} left" if left is not None else "")
    )
    if driver["running"]:
        yield trials_table(driver["running"], unit)


def _failure_line(trajectory_id: str, failure: Mapping[str, Any]) -> Text:
    return Text(f"failed: {trajectory_id} in round {failure['round']}: {failure['error']}", style="red")
