"""What the commands print: the plan of a sweep, how far it is, how it ended."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lthray.api.live import SHORT, clock, counted, trials_table
from lthray.driver.status import Status, Tally
from lthray.spec.ends import Gradients, count_gradients
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.ways import describe_training
from lthray.worker.report import Unit

if TYPE_CHECKING:  # these import torch and Ray, which a plan and a status need not wait for
    from lthray.driver.evaluate import Remeasured
    from lthray.driver.run import Outcome
    from lthray.store.folder import Store


def plan_page(
    sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], done: Mapping[str, int], folder: str
) -> RenderableType:
    """What `lthray sweep --dry-run` prints: the trajectories, how far each is, and what is still to train."""
    varied = _varied(sweep)
    varied += ["transfer.source", "transfer.setting"] if any(spec.transfer.source for spec in trajectories) else []
    table = _table("trajectory", *varied, "rounds done")
    trainings = iterations = complete = 0
    gradients = Gradients(0, 0, 0)
    ways = Counter(map(describe_training, trajectories))
    for spec in trajectories:
        rounds = done[spec.trajectory_id]
        table.add_row(spec.trajectory_id, *_values(spec, varied), f"{rounds} of {spec.rounds + 1}")
        trainings += spec.rounds + 1 - rounds
        iterations += spec.iterations_from(rounds)
        complete += rounds == spec.rounds + 1
        gradients = Gradients(*map(sum, zip(gradients, count_gradients(spec, rounds), strict=True)))
    return Group(
        table,
        *(f"on a CPU, {counted(count, 'trajectory')} trained {way}" for way, count in ways.items()),
        *_search_lines(sweep, len(trajectories)),
        *([_cost_line(gradients)] if gradients.ends else []),
        f"{counted(len(trajectories), 'trajectory')}, {complete} of them complete in {folder};"
        f" to do: {counted(trainings, 'training')} of {counted(iterations, 'iteration')} in all",
    )


def _varied(sweep: SweepSpec) -> list[str]:
    """The fields that a sweep varies, searched ones first."""
    return [*(sweep.search.space if sweep.search else ()), *sweep.grid]


def _values(spec: TrajectorySpec, fields: Sequence[str]) -> list[str]:
    values = spec.values()
    return [str(values[name]) for name in fields]


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.replace(".", ".\n", 1), no_wrap=True)  # dotted names are long, and terminals narrow
    return table


def _cost_line(gradients: Gradients) -> str:
    """What the end attacks cost beside the rest."""
    training, evaluation, ends = (f"{number / 1e6:,.1f} million" for number in gradients)
    share = gradients.ends / sum(gradients)
    return (
        f"gradients to compute, each of one image: {training} in training, {evaluation} under eval_attacks, at most"
        f" {ends} ({share:.0%}) under end_attacks; end_attacks: [] saves those"
    )


def _search_lines(sweep: SweepSpec, drawn: int) -> Iterator[str]:
    if not (search := sweep.search):
        return
    cells = len(list(sweep.cells()))
    seeds = sweep.size() // search.samples // cells
    yield (
        f"a search of {counted(search.samples, 'sample')} in {counted(cells, 'cell')} of the grid, with"
        f" {counted(seeds, 'seed')} each: {counted(sweep.size(), 'trajectory')}"
        + (f", of which {search.searcher} has drawn {drawn:,}" if search.searcher != "random" else "")
        + "".join(f" at most, because {name} stops poor samples" for name in search.scheduler)
    )


def outcome_page(outcome: "Outcome", folder: str) -> RenderableType:
    """How a sweep ended: what failed, what was trained, what is left, what to do next."""
    active = outcome.trained or outcome.missing or outcome.failures
    trained = f"trained {counted(outcome.trained, 'round')}" if active else "nothing to train"
    complete = f"{outcome.complete} of {counted(outcome.trajectories, 'trajectory')} complete"
    stopped = f", {outcome.stopped} stopped by the scheduler" if outcome.stopped else ""
    return _ending(outcome, f"{trained}; {complete}{stopped}", folder)


def measuring_page(
    sweep: SweepSpec, trajectories: Sequence[TrajectorySpec], request: EvaluationRequest, store: "Store"
) -> RenderableType:
    """What `lthray evaluate --dry-run` prints: the trajectories, and which of their tickets are still to measure."""
    from lthray.store.evaluations import rounds_to_measure, unmeasured

    varied = _varied(sweep)
    table = _table("trajectory", *varied, "tickets measured")
    tickets = left = images = 0
    for spec in trajectories:
        count, missing = len(rounds_to_measure(store, spec, request)), len(unmeasured(store, spec, request))
        table.add_row(spec.trajectory_id, *_values(spec, varied), f"{count - missing} of {count}")
        tickets, left, images = tickets + count, left + missing, images + missing * request.image_count(spec)
    return Group(
        table,
        f"{counted(tickets, 'ticket')}, {tickets - left:,} of them measured under {request.attack} ({request.split}) in"
        f" {store.folder}; to do: {counted(left, 'ticket')}, {counted(images, 'image')} in all",
    )


def remeasured_page(outcome: "Remeasured", request: EvaluationRequest, folder: str) -> RenderableType:
    """How an evaluation ended: what failed, what was measured, what is left, what to do next."""
    active = outcome.measured or outcome.missing or outcome.failures
    measured = f"measured {counted(outcome.measured, 'ticket')}" if active else "nothing to measure"
    done = f"{outcome.done:,} of {outcome.tickets:,} measured under {request.attack}"
    return _ending(outcome, f"{measured}; {done}", folder)


def _ending(outcome: "Outcome | Remeasured", done: str, folder: str) -> RenderableType:
    """What failed, what was done and is left, and what to do next."""
    rows: list[RenderableType] = []
    if outcome.failures:
        table = Table("trajectory", "round", "error", title="failed", title_justify="left", box=None)
        alike: dict[tuple[int, str], list[str]] = {}  # one mistake may fail many trajectories
        for trajectory_id, failure in outcome.failures.items():
            alike.setdefault((failure.round, failure.reason), []).append(trajectory_id)
        for (number, reason), names in alike.items():
            table.add_row("\n".join(names), str(number), reason)
        rows.append(table)
    rows.append(f"{done}{f', {outcome.missing:,} left' if outcome.missing else ''} in {folder}")
    if outcome.missing:
        rows.append("interrupted: run the same command again for the rest")
    elif outcome.failures:
        rows.append("run the same command again to try just those that failed")
    else:
        rows.append(f"next: lthray report {folder}")
    return Group(*rows)


def status_page(status: Status) -> RenderableType:
    """What `lthray status` prints: the tallies, what runs now, what failed."""
    table = _table(*status.varied)
    stopped = status.total.stopped > 0
    for name in ("trajectories", "complete", "running", *(["stopped"] if stopped else []), "failed", "rounds done"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, tally in status.groups.items():
        table.add_row(*key, *_counts(tally, stopped))
    if status.varied:
        table.add_section()
        table.add_row("all", *[""] * (len(status.varied) - 1), *_counts(status.total, stopped), style="bold")
    return Group(table, *_driver_lines(status), *(_failure_line(*item) for item in status.failures.items()))


def status_line(status: Status) -> str:
    """What `lthray status --watch` prints without a terminal whenever it has changed: the tally and the trials."""
    total, driver = status.total, status.driver
    numbers = {"running": total.running, "stopped": total.stopped, "failed": total.failed}
    others = "".join(f", {number:,} {state}" for state, number in numbers.items() if number)
    trials = driver["trials"] if driver and status.is_active else None
    return (
        f"{total.complete:,} of {counted(total.trajectories, 'trajectory')} complete{others};"
        f" {total.rounds_done:,} of {counted(total.rounds, 'round')} done"
        + (f"; {trials['ended']:,} of {counted(trials['of'], 'trial')} ended" if trials else "")
    )


def _counts(tally: Tally, stopped: bool) -> tuple[str, ...]:
    rounds = f"{tally.rounds_done:,} of {tally.rounds:,}"
    numbers = [tally.trajectories, tally.complete, tally.running, *([tally.stopped] if stopped else []), tally.failed]
    return *map(str, numbers), rounds


def _driver_lines(status: Status) -> Iterator[RenderableType]:
    driver = status.driver
    if status.outdated:
        yield Text(status.outdated, style="red")
    if status.stale:
        yield Text(f"out of date: {', '.join(status.stale)}; run lthray compact {status.folder}", style="red")
    if status.undrawn:
        yield Text(f"{counted(status.undrawn, 'more trajectory')} to come, of samples not drawn yet", style="dim")
    if driver is None:
        if status.total.complete + status.total.stopped < status.total.trajectories or status.undrawn:
            yield Text("no sweep is running here: run the same lthray sweep again for the rest", style="dim")
        return
    trials, who = driver["trials"], f"process {driver['process']} on {driver['host']}"
    if not driver["alive"]:
        yield Text(f"the sweep ({who}) is dead, last heard of {driver['updated']}: run it again", style="red")
        return
    rate, left = sum(trial["rate"] for trial in driver["running"]), driver["seconds_left"]
    unit: Unit = driver["work"]["unit"] if driver["work"] else "iterations"
    pace = f"{rate:,.0f} {SHORT[unit]}/s"
    ended = f"{trials['ended']} of {counted(trials['of'], 'trial')} ended, {pace}" if trials else "preparing"
    since = datetime.fromisoformat(driver["began"]).astimezone()
    yield Text(
        f"\nrunning since {since:%Y-%m-%d %H:%M} ({who}): {ended}"
        + (f", {clock(left)} left" if left is not None else "")
    )
    if driver["running"]:
        yield trials_table(driver["running"], unit)


def _failure_line(trajectory_id: str, failure: Mapping[str, Any]) -> Text:
    return Text(f"failed: {trajectory_id} in round {failure['round']}: {failure['error']}", style="red")
