"""`lthray report`: draws the results as a page."""

import json
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from lthray.cli.completion import complete_by
from lthray.cli.options import make_console, mistakes
from lthray.errors import InputError


def report(
    folders: Annotated[
        list[str], typer.Argument(metavar="DIR", help="Results folders, as paths or URLs; several are compared.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder to write the report into.",
            show_default="DIR/report; report-A-B beside A for several; ./report-NAME for a URL",
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD",
            autocompletion=complete_by,
            help="Show a varied field by colour, or with row=FIELD or column=FIELD by row or column. May be repeated.",
        ),
    ] = None,
    margin: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=100,
            metavar="POINTS",
            help="Accuracy loss, in percentage points, that is ignored.",
            show_default="what the sweep file says, or 1",
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Weights remaining, such as 20% or 0.2, declared beforehand: each claim is tested there alone.",
            show_default="what the sweep file says, or the whole range",
        ),
    ] = None,
    width: Annotated[
        Literal["column", "text", "page"],
        typer.Option(help="How wide figures are printed: a paper's column, its text, or a page across."),
    ] = "page",
) -> None:
    """Draw the results as a page: the poster's figures and tables, and a verdict on each of its claims."""
    with mistakes():
        from lthray.analysis import LayoutError, NotResultsError, load, write_report
        from lthray.cli.working import working
        from lthray.files import is_local, location

        where = [location(folder) for folder in folders]
        name = "-".join(["report", *(folder.resolve().name for folder in where)])
        beside = Path(folders[0]) if is_local(where[0]) else None
        if beside and len(where) == 1:
            target = out or beside / "report"
        else:
            target = out or (beside.resolve().parent if beside else Path()) / name
        try:
            with working() as work:
                work.begin("reading results")
                page = write_report(
                    load(*where),
                    target,
                    margin=None if margin is None else margin / 100,
                    at=None if at is None else _parse_share(at),
                    by=by or [],
                    width=width,
                    processes=os.cpu_count() or 1,
                    begin=work.begin,
                )
        except (NotResultsError, LayoutError) as error:
            raise InputError(str(error)) from None
        except OSError as error:
            raise InputError(f"{target}: can't be written: {error.strerror or error}") from None
    lead = json.loads((page.parent / "claims.json").read_text(encoding="utf-8"))["lead"]
    make_console().print(*lead, f"report: {page}", f"open it: {page.resolve().as_uri()}", sep="\n", soft_wrap=True)


def _parse_share(text: str) -> float:
    """A share in (0, 1) from a number, or from one in %."""
    number, percent, rest = text.partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = 0
    if not 0 < share < 1 or rest.strip():
        raise InputError(f"--at {text}: allowed are weights remaining between 0 and 100 %, such as 20% or 0.2")
    return share
