"""`lthray migrate`: results of an older lthray get the ids that their fields have now."""

from functools import partial

from rich.console import Console

from lthray.cli.options import Folder, mistakes


def migrate(folder: Folder) -> None:
    """Give the results of an older lthray the ids that their fields have now; nothing is trained again.

    A sweep or an evaluation does so itself. Run it on a folder that another sweep takes masks from.
    """
    console = Console(soft_wrap=True)
    with mistakes():
        from lthray.driver.opening import migrate
        from lthray.spec.sweepfile import load
        from lthray.store.folder import SWEEP, Store

        store = Store(folder)
        store.require()
        if not migrate(store, *load(store.folder / SWEEP), partial(console.print, highlight=False)):
            console.print(f"nothing to migrate in {folder}", highlight=False)
