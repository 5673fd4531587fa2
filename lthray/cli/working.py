"""A live line on a terminal's stderr while a command works: what it does now, how much of that is done, how long."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

Item = TypeVar("Item")


class Work:
    """What a command is doing, in steps.

    Args:
        progress: Where it is shown.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None

    def begin(self, step: str) -> None:
        """Begins a step that cannot be counted; `step` says what is done, as `reading results`."""
        self._show(step, None)

    def count(self, step: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """Begins a step, and passes its items on while it counts those that are done."""
        task = self._show(step, total)
        for item in items:
            yield item
            self._progress.advance(task)

    def _show(self, step: str, total: int | None) -> TaskID:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(step, total=total)
        return self._task


@contextmanager
def working() -> Iterator[Work]:
    """Shows a command's work until the block ends; nothing where stderr is no terminal, so that logs stay clean."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    counted = (_Counted(BarColumn(30)), _Counted(MofNCompleteColumn()))
    columns = (SpinnerColumn(), TextColumn("{task.description}"), *counted, TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Work(progress)


class _Counted(ProgressColumn):
    """A column that only steps with a count have: the spinner stands for the others.

    Args:
        column: The column.
    """

    def __init__(self, column: ProgressColumn) -> None:
        super().__init__()
        self._column = column

    def render(self, task: Task) -> RenderableType:
        """What the column shows of a step."""
        return self._column(task) if task.total else ""
