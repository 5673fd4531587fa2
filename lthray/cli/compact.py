"""`lthray compact`: the tickets of each trajectory in a few files."""

from rich.console import Console

from lthray.cli.options import Folder, mistakes


def compact(folder: Folder) -> None:
    """Put the tickets of each trajectory into a few files.

    A sweep does so itself when a trajectory ends; this is for folders of sweeps that did not.
    """
    console = Console()
    with mistakes():
        from rich.progress import track

        from lthray.store.folder import Store
        from lthray.sweep.lock import hold
        from lthray.sweep.progress import SweepProgress

        store = Store(folder)
        store.require()
        with hold(store.folder, SweepProgress().snapshot, lambda: None, console.print):
            found = store.with_tickets()
            done = [store.compact(one) for one in track(found, "compacting", console=console, transient=True)]
    console.print(f"compacted {sum(done)} of {len(done)} trajectories", highlight=False)
