"""`lthray status`: says how far a sweep is."""

import json
from typing import Annotated

import typer

from lthray.cli.options import Folder, make_console, mistakes


def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Say how far a sweep is: what is done, what is running and how fast, what failed.

    Works while the sweep runs, from any machine that can read its results.
    """
    with mistakes():
        from lthray.cli.printing import status_page
        from lthray.driver.samples import trajectories as known
        from lthray.driver.status import status
        from lthray.spec.sweepfile import load
        from lthray.store.folder import Store

        store = Store(folder)
        store.require()
        spec, trajectories = load(store.folder / "sweep.yaml")
        state = status(spec, known(spec, trajectories, store), store)
        if as_json:
            typer.echo(json.dumps(state.as_json(), indent=1))
        else:
            make_console().print(status_page(state))
