"""`lthray status`: says how far a sweep is."""

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from lthray.cli.options import FAILED, INTERRUPTED, Folder, make_console, mistakes
from lthray.errors import InputError

if TYPE_CHECKING:
    from lthray.driver.status import Status


def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the sweep ends.")] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="With --watch: seconds between two looks.")
    ] = 2.0,
) -> None:
    """Say how far a sweep is: what is done, what is running and how fast, what failed.

    Works while the sweep runs, from any machine that can read its results.

    With --watch, a terminal shows it in place; elsewhere there is a line whenever it has changed. Exit status then: 0
    all complete, 1 some failed, 130 some are left to train, or you stopped watching.
    """
    with mistakes():
        from lthray.cli.printing import status_page
        from lthray.driver.samples import trajectories as known
        from lthray.driver.status import status
        from lthray.spec.sweepfile import load
        from lthray.store.folder import Store

        if as_json and watch:
            raise InputError("--watch: leave out --json, which says how far it is once")
        store = Store(folder)
        store.require()

        def look() -> "Status":
            spec, trajectories = load(store.folder / "sweep.yaml")
            return status(spec, known(spec, trajectories, store), store)

        if watch:
            raise typer.Exit(_watch(look, every))
        state = look()
        if as_json:
            typer.echo(json.dumps(state.as_json(), indent=1))
        else:
            make_console().print(status_page(state))


def _watch(look: "Callable[[], Status]", every: float) -> int:
    """Shows how far a sweep is until no process trains it any more, and returns the exit status of the command."""
    from rich.live import Live

    from lthray.cli.printing import status_line, status_page

    def states() -> "Iterator[Status]":
        while (state := look()).is_active:
            yield state
            time.sleep(every)
        yield state

    console, line = make_console(), ""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # by which `Live` shows the cursor again
    try:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            for state in states():
                if console.is_terminal:
                    live.update(status_page(state), refresh=True)
                elif line != (line := status_line(state)):
                    console.print(line, soft_wrap=True)
    except KeyboardInterrupt:
        return INTERRUPTED
    console.print(status_page(state))
    return INTERRUPTED if state.is_incomplete else FAILED if state.total.failed else 0
