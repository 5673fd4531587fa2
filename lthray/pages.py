"""What commands print: the plan of a sweep, how it ended, how far it is."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lthray.display import clock, trials_table
from lthray.spec import TrajectorySpec
from lthray.status import Status, Tally

if TYPE_CHECKING:  # it imports torch and Ray, which a plan and a status do without
    from lthray.sweep import Outcome


def plan_page(
    trajectories: Sequence[TrajectorySpec], varied: Sequence[str], done: Mapping[str, int], folder: str
) -> RenderableType:
    """What `--dry-run` shows: the trajectories, how far each is, and what is to do."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("trajectory", *varied, "rounds done"):
        table.add_column(name, no_wrap=True)
    trainings = iterations = complete = 0
    for spec in trajectories:
        rounds, fields = done[spec.trajectory_id], spec.flat()
        table.add_row(spec.trajectory_id, *(str(fields[name]) for name in varied), f"{rounds} of {spec.rounds + 1}")
        trainings += spec.rounds + 1 - rounds
        iterations += (spec.rounds + 1 - rounds) * spec.iterations
        complete += rounds == spec.rounds + 1
    return Group(
        table,
        f"{len(trajectories)} trajectories, {complete} of them complete in {folder};"
        f" to do: {trainings:,} trainings of {iterations:,} iterations in all",
    )


def outcome_page(outcome: "Outcome", trajectories: int, folder: str) -> RenderableType:
    """How a sweep ended: what failed, what is complete, what to do next."""
    rows: list[RenderableType] = []
    if outcome.failures:
        table = Table(
            "trajectory", "round", "error", title="failed", title_justify="left", box=None, header_style="dim"
        )
        for trajectory_id, failure in outcome.failures.items():
            table.add_row(trajectory_id, str(failure.round), Text(failure.reason))
        rows.append(table)
    trained = f"trained {outcome.trained:,} rounds" if outcome.trained else "nothing to train"
    rows.append(Text(f"{trained}; {outcome.complete} of {trajectories} trajectories complete in {folder}"))
    if outcome.missing:
        rows.append(Text("interrupted: run the same command again for the rest"))
    elif outcome.failures:
        rows.append(Text("run the same command again to try just those that failed"))
    else:
        rows.append(Text(f"next: lthray report {folder}"))
    return Group(*rows)


def status_page(status: Status) -> RenderableType:
    """What `lthray status` shows: the tallies, what runs now, what failed."""
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for name in status.varied:
        table.add_column(name, no_wrap=True)
    for name in ("trajectories", "complete", "running", "failed", "rounds done"):
        table.add_column(name, justify="right", no_wrap=True)
    for key, tally in status.groups.items():
        table.add_row(*key, *_counts(tally))
    if status.varied:
        table.add_section()
        table.add_row("all", *[""] * (len(status.varied) - 1), *_counts(status.total), style="bold")
    return Group(table, *_driver_lines(status), *(_failure_line(*item) for item in status.failures.items()))


def _counts(tally: Tally) -> tuple[str, ...]:
    of = f"{tally.rounds_done:,} of {tally.rounds:,}"
    return *(str(one) for one in (tally.trajectories, tally.complete, tally.running, tally.failed)), of


def _driver_lines(status: Status) -> Iterator[RenderableType]:
    driver = status.driver
    if driver is None:
        if status.total.complete < status.total.trajectories:
            yield Text("no sweep is running here: run the same lthray sweep again for the rest", style="dim")
        return
    who = f"process {driver['process']} on {driver['host']}"
    if not driver["alive"]:
        yield Text(f"the sweep of {who} is dead, last heard of {driver['updated']}: run it again", style="red")
        return
    rate = sum(one["iterations_per_second"] for one in driver["running"])
    left = driver["seconds_left"]
    trials = driver["trials"]
    since = datetime.fromisoformat(driver["began"]).astimezone()
    yield Text(
        f"\nrunning since {since:%Y-%m-%d %H:%M} ({who})"
        + (f": {trials['ended']} of {trials['of']} trials ended, {rate:,.0f} it/s" if trials else ": preparing")
        + (f", {clock(left)} left" if left is not None else "")
    )
    if driver["running"]:
        yield trials_table(driver["running"])


def _failure_line(trajectory_id: str, failure: Mapping[str, Any]) -> Text:
    return Text(f"failed: {trajectory_id} in round {failure['round']}: {failure['error']}", style="red")
