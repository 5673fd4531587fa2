"""What a user sees while a sweep runs: a live table on a terminal and in a notebook, plain lines elsewhere."""

import io
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table
from rich.text import Text

from lthray.driver.events import (
    Event,
    Note,
    Notify,
    Planned,
    Replanned,
    TrajectoryFailed,
    TrialProgress,
    TrialRetried,
    TrialStopped,
)
from lthray.driver.progress import SweepProgress, title
from lthray.worker.report import Progress as TrialState
from lthray.worker.report import Unit

PLAIN_SECONDS = 60
"""Seconds after which a trial has another plain line in the same round."""
CELL_SECONDS = 0.5
"""Least seconds between two drawings in a notebook."""
SHORT: dict[Unit, str] = {"iterations": "it", "images": "images"}
"""Units as rates have them."""


def clock(seconds: float) -> str:
    """`42 s`, `3 min 05 s`, `2 h 07 min` or `3 d 04 h`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def counted(number: int, noun: str) -> str:
    """`1 trial`, `1,890 rounds`, `0 trajectories`."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"


def percent(share: float) -> str:
    """A share as a percentage with three significant digits: `100 %`, `51.3 %`, `3.86 %`."""
    return f"{100 * share:.3g} %" if share < 0.9995 else "100 %"


@contextmanager
def watch(console: Console) -> Iterator[Notify]:
    """Shows a sweep's events on `console` until the block ends."""
    sweep = SweepProgress()
    live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=lambda: panel(sweep))
    cell = _Cell(lambda: panel(sweep)) if console.is_jupyter and not console.quiet else None
    shows_panel = console.is_terminal or cell is not None
    printed: dict[str, float] = {}
    """When each trial had its last line."""
    tracebacks: set[str] = set()
    """The tracebacks printed so far: the same mistake may fail many trajectories."""

    def is_due(event: TrialProgress) -> bool:
        now = time.monotonic()
        last = printed.get(event.trial)  # a trial's first report has a line, so that one sees that it trains
        early = last is not None and not event.progress.round_done and now - last < PLAIN_SECONDS
        if early or shows_panel:
            return False
        printed[event.trial] = now
        return True

    def take(event: Event) -> None:
        sweep.take(event)
        if (not isinstance(event, TrialProgress) or is_due(event)) and (line := _line(event, sweep)):
            console.print(line, soft_wrap=True, highlight=False, markup=False)
        if isinstance(event, TrajectoryFailed) and (text := event.failure.traceback) and text not in tracebacks:
            tracebacks.add(text)
            console.print(text, soft_wrap=True, highlight=False, markup=False)
        if isinstance(event, Planned) and event.trials and console.is_terminal:
            live.start()  # not before: a download shows its own progress
        if cell and sweep.plan:
            cell.refresh()

    try:
        yield take
    finally:
        live.stop()
        if cell:
            cell.clear()


class _Cell:
    """The output of a notebook's cell, drawn anew again and again; that of rich needs ipywidgets.

    Args:
        render: Gives what to show.
    """

    def __init__(self, render: Callable[[], RenderableType]) -> None:
        self._render = render
        self._handle: Any = None
        self._drawn = 0.0

    def refresh(self) -> None:
        """Draws the output anew, unless it was drawn just now."""
        if time.monotonic() - self._drawn < CELL_SECONDS:
            return
        self._drawn = time.monotonic()
        console = Console(record=True, file=io.StringIO(), width=120, force_jupyter=False)
        console.print(self._render())
        self._show(console.export_html(inline_styles=True, code_format="<pre>{code}</pre>"))

    def clear(self) -> None:
        """Empties the output."""
        if self._handle:
            self._show("")

    def _show(self, html: str) -> None:
        from IPython.display import HTML, display  # a kernel has it

        if self._handle:
            self._handle.update(HTML(html))
        else:
            self._handle = display(HTML(html), display_id=True)


def panel(sweep: SweepProgress) -> RenderableType:
    """The live display: a row for each running trial, and the progress of the sweep below them."""
    if sweep.plan is None:
        return Text("")
    table = trials_table(sweep.snapshot()["running"], sweep.plan.unit)
    waiting = len(sweep.plan.trials) - len(sweep.latest)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    left = sweep.seconds_left()
    bar.add_task(
        f"{len(sweep.ended)} of {counted(len(sweep.plan.trials), 'trial')}",
        total=1000,
        completed=min(1000, round(1000 * sweep.share())),
        left=f"{clock(left)} left" if left is not None else "",
    )
    rows: list[RenderableType] = [table] if table.row_count else [Text("waiting for workers to start", style="dim")]
    if waiting and table.row_count:
        rows.append(Text(f"{counted(waiting, 'more trial')} waiting", style="dim"))
    if sweep.failed:
        rows.append(Text(f"{counted(len(sweep.failed), 'trajectory')} failed", style="red"))
    return Group(*rows, bar)


def trials_table(running: Iterable[Mapping[str, Any]], unit: Unit) -> Table:
    """A row for each running trial, from `SweepProgress.snapshot`."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column(
        "trains" if unit == "iterations" else "measures", min_width=14
    )  # the one column that may wrap where the terminal is narrow
    for name in ("stack", "round", "weights", SHORT[unit], f"{SHORT[unit]}/s", "natural", "attacked"):
        table.add_column(name, justify="right", no_wrap=True)
    for trial in running:
        table.add_row(
            trial["trial"],
            trial["title"],
            str(trial["running"]),
            f"{trial['round']}/{trial['rounds']}",
            percent(trial["weights_remaining"]),
            f"{trial['done_in_round']:,}",
            f"{trial['rate']:,.0f}",
            _accuracy(trial["natural"]),
            _adversarial(trial["adversarial"], "\n"),
        )
    return table


def _adversarial(accuracies: Mapping[str, float], between: str = ", ") -> str:
    return between.join(f"{attack} {_accuracy(value)}" for attack, value in accuracies.items())


def _accuracy(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _work(progress: TrialState) -> str:
    """What a trial has done of its round, and the accuracies measured last."""
    trains, count = progress.unit == "iterations", f"{progress.done_in_round:,}"
    done, split = (f"iteration {count}", "test ") if trains else (f"{count} images", "")
    if progress.natural is None:
        return f"training begins at {done}"
    return (
        f"{done}, {progress.rate:,.0f} {SHORT[progress.unit]}/s, {split}accuracy natural {_accuracy(progress.natural)},"
        f" {_adversarial(progress.adversarial)}"
    )


def _line(event: Event, sweep: SweepProgress) -> str | None:
    """What to print about an event, or None."""
    match event:
        case Note():
            return event.text
        case Planned():
            whole = counted(event.trajectories, "trajectory")
            complete = f"{event.complete} of {whole} complete; " if event.complete else ""
            to_train = event.trajectories - event.complete - event.stopped
            if not event.trials:
                return None
            if event.attack:
                return (
                    f"{complete}to measure under {event.attack}: {counted(event.rounds, 'ticket')} of"
                    f" {counted(to_train, 'trajectory')}, {counted(event.work, 'image')}"
                )
            return (
                f"{complete}to train: {counted(to_train, 'trajectory')} in {counted(len(event.trials), 'trial')},"
                f" {counted(event.rounds, 'round')}, {counted(event.work, 'iteration')}"
            )
        case Replanned():
            return (
                f"nodes have joined, {counted(event.slots, 'trial')} can run at the same time now: what waits is"
                f" planned anew in {counted(event.waiting, 'trial')}"
            )
        case TrajectoryFailed():
            failure = event.failure
            return f"trajectory {failure.spec.trajectory_id} failed in round {failure.round}: {failure.reason}"
        case TrialStopped() if sweep.plan:
            return (
                f"trial {event.trial} ({title(sweep.plan.trials[event.trial])}) stopped by the scheduler after round"
                f" {event.round}, at {event.metric:.4g}"
            )
        case TrialRetried():
            smaller = f", with a stack of {event.stack}" if event.stack else ""
            return f"trial {event.trial}: {event.cause}: resuming from its last checkpoint or finished round{smaller}"
        case TrialProgress() if sweep.plan:
            stack, progress = sweep.plan.trials[event.trial], event.progress
            left = sweep.seconds_left()
            return (
                f"[{100 * sweep.share():3.0f} %] trial {event.trial} ({title(stack)}), round {progress.round} of"
                f" {stack[0].rounds}, {percent(progress.weights_remaining)} of weights, {_work(progress)}"
                + (f"; {clock(left)} left" if left is not None else "")
            )
    return None
