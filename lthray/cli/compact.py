"""`lthray compact`: packs the tickets of each trajectory into a few files."""

from lthray.cli.options import Folder, make_console, mistakes


def compact(folder: Folder) -> None:
    """Pack the tickets of each trajectory into a few files.

    A sweep does this itself when a trajectory is complete; use this command on the folder of a sweep that did not.
    """
    console = make_console()
    with mistakes():
        from rich.progress import track

        from lthray.cli.live import counted
        from lthray.store.folder import Store
        from lthray.sweep.lock import hold
        from lthray.sweep.progress import SweepProgress

        store = Store(folder)
        store.require()
        with hold(store.folder, SweepProgress().snapshot, lambda: None, console.print):
            names = store.with_tickets()
            packed = [store.compact(name) for name in track(names, "compacting", console=console, transient=True)]
    console.print(f"compacted {sum(packed)} of {counted(len(packed), 'trajectory')}")
