"""`lthray compact`: packs a results folder for readers."""

from functools import partial

from lthray.cli.options import Folder, make_console, mistakes


def compact(folder: Folder) -> None:
    """Pack a results folder: few ticket files, one table of all rounds, the same columns in every file.

    It merges the tickets between each trajectory's first and last into one file (a sweep does so itself when a
    trajectory is complete); gives files of older versions of lthray the columns of this one; and writes rounds.parquet
    and evaluations.parquet, which hold the rows of all trajectories. Sweeps and evaluations remove these two when they
    add rows: run it again then.
    """
    console = make_console()
    with mistakes():
        from lthray.api.live import counted
        from lthray.cli.working import working
        from lthray.driver.lock import hold
        from lthray.driver.opening import migrate
        from lthray.driver.progress import SweepProgress
        from lthray.errors import InputError
        from lthray.spec.sweepfile import load
        from lthray.store import merged_tables
        from lthray.store.folder import SWEEP, Store
        from lthray.store.tables import TABLES

        store = Store(folder)
        store.require()
        say = partial(console.print, soft_wrap=True)
        migrate(store, *load(store.folder / SWEEP), say)
        with hold(store.folder, SweepProgress().snapshot, lambda: None, say), working() as work:
            try:
                work.begin("comparing columns")
                updated = sum(merged_tables.update_columns(store, part) for part in TABLES)
                work.begin("merging tables")
                merged = merged_tables.merge(store)
                names = store.with_tickets()
                packed = [store.compact(name) for name in work.count("packing tickets", names, len(names))]
            except OSError as error:
                raise InputError(f"{store.folder}: can't be written: {error.strerror or error}") from None
    say(f"compacted the tickets of {sum(packed)} of {counted(len(packed), 'trajectory')}")
    if updated:
        say(f"gave {counted(updated, 'file')} of older versions the columns of this one")
    for table in merged:
        say(f"wrote {table.name}: {counted(table.rows, 'row')} of {counted(table.trajectories, 'trajectory')}")
