"""`lthray submit`: sends a sweep to a Ray cluster as a job."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lthray.cli.options import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    AcceptChangedCode,
    Force,
    Settings,
    SweepFile,
    mistakes,
    print_sets,
)

if TYPE_CHECKING:  # Ray takes seconds to import
    from lthray.driver.submit import Job


def submit(
    sweep_file: SweepFile,
    address: Annotated[
        str,
        typer.Option(
            metavar="URL",
            envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
            help="URL of the cluster's dashboard, http://HEAD:8265.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Results folder: a path on the cluster or a URL.",
            show_default="~/results/NAME on the head",
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="Folder of the data sets on the head.", show_default="a cache folder"),
    ] = None,
    set_: Settings = None,
    env: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Environment variable for the job; NAME alone takes its value from here. May be repeated.",
        ),
    ] = None,
    install: Annotated[
        bool, typer.Option("--install", help="Let the job install lthray's dependencies, for nodes that have only Ray.")
    ] = False,
    follow: Annotated[
        bool, typer.Option("--follow/--no-follow", help="Print the job's log until the job ends.")
    ] = True,
    accept_changed_code: AcceptChangedCode = False,
    force: Force = False,
) -> None:
    """Send a sweep to a Ray cluster as a job, together with this lthray's code, and follow its log.

    Ctrl-C asks whether to stop the job; if not stopped, it continues.

    Exit status: the sweep's, see `lthray sweep`; 130 if the job was stopped or is no longer followed.
    """
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    with mistakes():
        from lthray.api.preparing import data_folder
        from lthray.driver.own import look_up
        from lthray.spec.shipped import find_sweep
        from lthray.spec.sweepfile import load

        sweep_file = find_sweep(sweep_file)
        spec, _ = load(sweep_file, set_ or [], partial(look_up, data_dir=data_folder(None)))
        print_sets(set_ or [])
        from lthray.driver import submit as jobs

        if spec.transfer:
            jobs.quote_path("transfer.from", spec.transfer.origin, url=True)
        folder = out or f"~/results/{spec.name}"
        flags = {"--accept-changed-code": accept_changed_code, "--force": force}
        command = jobs.build_command(folder, data_dir, set_ or [], [flag for flag, is_set in flags.items() if is_set])
        variables, pip = jobs.read_variables(env or []), jobs.list_requirements(folder) if install else []
        client = jobs.connect(address)
        job = jobs.submit(client, sweep_file, command, variables, pip, spec.own)
        console.print(
            f"job {job.id}; results go to {folder}{'' if '://' in folder else ', which all nodes must share'}\n"
            f"follow it with  ray job logs --follow --address {address} {job.id}\n"
            f"stop it with    ray job stop --address {address} {job.id}"
        )
        if follow:
            raise typer.Exit(_follow(job))


def _follow(job: "Job") -> int:
    """Follows a job to its end and returns the exit status of the command."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)

    def log(text: str) -> None:
        typer.echo(text, nl=False)

    def note(text: str) -> None:
        errors.print(f"lthray: {text}")

    try:
        try:
            ending = job.follow(log, note)
        except KeyboardInterrupt:
            if not (sys.stdin.isatty() and typer.confirm("\nStop the job? If not, it goes on", err=True)):
                raise
            job.stop()
            ending = job.follow(log, note)
    except (KeyboardInterrupt, typer.Abort):
        note("the job goes on; how to follow and stop it stands above")
        return INTERRUPTED
    except ConnectionError as error:
        note(f"no connection to the cluster ({error}); the job goes on if the cluster does")
        return INTERRUPTED
    if ending.status == "STOPPED":
        note("the job was stopped; submit it again for the rest")
        return INTERRUPTED
    if ending.exit_status in (0, FAILED, BAD_INPUT, INTERRUPTED):
        return ending.exit_status
    note(f"the job {ending.status.lower()}: {ending.message}")
    return FAILED
