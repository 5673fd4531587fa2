"""`lthray report`: the results as a page."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from lthray.cli.options import mistakes
from lthray.errors import InputError


def report(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Results folders, by path or URL; several are compared.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where to write the report. [dim]\\[default: DIR/report; report-A-B beside A for several;"
            " ./report-NAME for a URL][/]",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            help="Show a field that varies as colour, or row=FIELD, column=FIELD. May be given more than once.",
        ),
    ] = None,
    margin: Annotated[
        float,
        typer.Option(min=0, max=100, metavar="POINTS", help="The loss of accuracy, in points, that counts as none."),
    ] = 1.0,
) -> None:
    """Draw the results: `index.html` with a verdict on each of the poster's claims, its figures and its tables."""
    with mistakes():
        from lthray.analysis import LayoutError, NotResultsError, load, write_report
        from lthray.files import is_local, location

        where = [location(folder) for folder in folders]
        name = "-".join(["report", *(folder.resolve().name for folder in where)])
        beside = Path(folders[0]) if is_local(where[0]) else None
        if beside and len(where) == 1:
            target = out or beside / "report"
        else:
            target = out or (beside.resolve().parent if beside else Path()) / name
        try:
            page = write_report(load(*where), target, margin=margin / 100, by=by or [], processes=os.cpu_count() or 1)
        except (NotResultsError, LayoutError) as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{target}: can't be written: {error.strerror or error}") from None
    Console().print(f"report: {page}", highlight=False, soft_wrap=True)
