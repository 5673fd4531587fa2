"""`lthray sweeps`: lists the sweeps that come with lthray."""

from rich.table import Table

from lthray.cli.options import make_console, mistakes


def sweeps() -> None:
    """List the sweeps that come with lthray: what each asks, and what it costs.

    Run one by its name: lthray sweep quickstart.
    """
    with mistakes():
        from lthray.api.live import counted
        from lthray.spec.shipped import describe_shipped

        table = Table("sweep", "what it asks", "cost", box=None, header_style="dim", padding=(0, 2, 0, 0))
        table.columns[0].no_wrap = True
        for shipped in describe_shipped():
            trained = f"{counted(shipped.trajectories, 'trajectory')}, {counted(shipped.trainings, 'training')}"
            cost = f"{trained}, {shipped.iterations:,} iterations in all; {', '.join(shipped.datasets)}"
            table.add_row(shipped.name, shipped.question, cost)
        console = make_console(width=200)
        console.print(table)
        console.print("run one by its name: lthray sweep quickstart; see its plan first with --dry-run", soft_wrap=True)
