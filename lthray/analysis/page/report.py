"""Results as a page: verdicts, figures, tables and warnings, in one file that opens without a network."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import pandas as pd

from lthray.analysis.figures import layout
from lthray.analysis.figures.style import Width
from lthray.analysis.files import replace_file
from lthray.analysis.load import Results
from lthray.analysis.looks import Look, take_look
from lthray.analysis.numbers.curves import CURVES_READ, learning_curves, rounds_shown
from lthray.analysis.numbers.fields import EVAL_ATTACKS, select, varied
from lthray.analysis.numbers.measurements import chance
from lthray.analysis.numbers.summary import Panel, networks, panels, summarise
from lthray.analysis.numbers.verdicts import LEVEL, MARGIN, Judgement, judge
from lthray.analysis.page import alerts, claims, evaluations, facts, lead, masks, overview, search, tables, words
from lthray.analysis.page.claims_json import claims_json
from lthray.analysis.page.drawing import (
    EMBEDDED,
    Album,
    Drawing,
    Task,
    map_tasks,
    name_files,
    write_networks,
    write_panel,
)
from lthray.analysis.page.headings import describe_panel
from lthray.analysis.page.plan import judged_seeds, planned_seeds

_OPEN_GROUPS = 4


@dataclass(frozen=True)
class Section:
    """A data set under one setting: its figures, their numbers, and every field behind them."""

    anchor: str
    title: str
    drawings: list[Drawing]
    tables: list[tables.Table]
    setting: dict[str, str]


def write_report(
    results: Results,
    out: Path,
    *,
    margin: float | None = None,
    at: float | None = None,
    by: Sequence[str] = (),
    width: Width = "page",
    processes: int = 1,
    begin: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a report: `index.html`, `figures/*.svg`, `.pdf` and `.png`, `tables/*` and `claims.json`.

    Of a search, the page shows its samples, and verdicts and figures of its best settings only.

    The page holds all it shows, unless its figures exceed 10 MB: then it shows those beside it. The other files are for
    use elsewhere. Each file is written atomically, the page last. Files of an earlier report are replaced.

    Args:
        results: What to report (`load`). Unless `by` places something, several folders are shown as rows of the same
            figures, and where all trajectories have one strategy, colour shows the first field that varies instead.
        out: The folder to write to, made where it is missing.
        margin: Accuracy loss, as a share, that verdicts ignore; by default what the sweep file says, or `MARGIN`.
        at: Weights remaining, in (0, 1), at which alone the claims are tested; by default what the sweep file says, or
            no such declaration.
        by: What the figures show beside the poster's fields (`layout.parse`): `pgd.steps`, `row=pgd.steps`.
        width: How wide the figures are printed: "column" (3.3 inches), "text" (6.9) or "page" (11 or more).
        processes: The number of processes that draw the figures of large reports. Further processes import the main
            module again, so that a script needs `if __name__ == "__main__":`.
        begin: Called at the beginning of each step of the work, with what it does: `drawing figures`.

    Returns:
        The page's path.

    Raises:
        LayoutError: `by` names a field that does not vary, or a place twice.
        ValueError: There is no such width.
    """
    out = Path(out)
    album = Album(out / "figures", width)
    begin("reading rounds")
    searches, rounds = search.sections(results, album)
    place = _placed(rounds, by)
    summary = summarise(rounds)
    begin("reading learning curves")
    curves = _curves(results, summary, place, rounds)
    measured = results.evaluations()
    begin("testing claims")
    judgement, look = _judge(results, rounds, measured, margin, at)
    begin("drawing figures")
    compared = _networks(rounds, summary, album)
    parts = list(panels(summary, place.fields))
    drawn = _sections(rounds, parts, curves, place, album, processes)
    anchors = {panel.title: section.anchor for panel, section in zip(parts, drawn, strict=True)}
    sections = [*compared, *drawn]
    attacked = evaluations.section(measured, rounds, album, out / "tables")
    begin("comparing masks")
    mask_section = masks.section(results, rounds, place, anchors, album, processes)
    shown = [attacked.drawings] + [part.drawings for part in searches] + [part.drawings for part in sections]
    shown += [part.drawings for part in mask_section.parts]
    begin("writing the page")
    _write_tables(out / "tables", summary, curves, judgement.evidence)
    replace_file(out / "claims.json", claims_json(judgement).encode())
    groups = claims.group_verdicts(judgement)
    page = _template().render(
        name=overview.sweep_name(results),
        lead=lead.write_lead(judgement),
        facts=facts.list_facts(results, measured),
        review=alerts.review(results, measured, summary),
        searches=searches,
        groups=groups,
        matrix=lead.build_matrix(judgement, [group.anchor for group in groups]),
        all_open=len(groups) <= _OPEN_GROUPS,
        margin=words.format_points(judgement.margin),
        at=None if judgement.at is None else words.percent(judgement.at),
        look=look,
        questions=judgement.questions,
        level=f"{LEVEL:.0%}".replace("%", " %"),
        sections=sections,
        evaluations=attacked,
        masks=mask_section,
        width=width,
        linked=sum(len(drawing.picture) for drawings in shown for drawing in drawings) > EMBEDDED,
    )
    return replace_file(out / "index.html", page.encode())


def _judge(
    results: Results, rounds: pd.DataFrame, evaluations: pd.DataFrame, margin: float | None, at: float | None
) -> tuple[Judgement, Look]:
    """The verdicts, and which look at the folders they are; the folders record it."""
    declared = [(sweep or {}).get("verdicts") or {} for sweep in results.sweeps.values()]
    margin = next((part["margin"] for part in declared if "margin" in part), MARGIN) if margin is None else margin
    at = next((part["at"] for part in declared if "at" in part), None) if at is None else at
    planned = planned_seeds(results)
    judgement = judge(rounds, evaluations, margin=margin, at=at, planned=planned)
    look = take_look(results.folders.values(), judged_seeds(rounds, judgement), {"margin": margin, "at": at})
    if look.number > 1:
        judgement = judge(rounds, evaluations, margin=margin, at=at, planned=planned, look=look.number)
    return judgement, look


def _placed(rounds: pd.DataFrame, by: Sequence[str]) -> layout.Layout:
    fields = varied(rounds)
    if not by and "folder" in fields:
        return layout.Layout(row="folder")
    if not by and fields and len(rounds["strategy"].unique()) == 1:
        return layout.Layout(colour=fields[0])
    return layout.parse(by, layout.choices(rounds))


def _curves(results: Results, summary: pd.DataFrame, place: layout.Layout, rounds: pd.DataFrame) -> pd.DataFrame:
    """The means of the learning curves that the figures show: only their rounds are read."""
    chosen = sorted({
        number for panel in panels(summary, place.fields) for number in rounds_shown(panel.summary)
    })  # fmt: skip
    filters = [("round", "in", chosen), ("attack", "in", list(EVAL_ATTACKS))]
    return learning_curves(results.curves(CURVES_READ, filters), rounds)


def _networks(rounds: pd.DataFrame, summary: pd.DataFrame, album: Album) -> list[Section]:
    """A section for every data set and setting under which several networks were trained."""
    compared = networks(summary)
    parts = [] if compared is None else list(panels(compared, ("network",)))
    parts = [panel for panel in parts if len(panel.summary["network"].unique()) > 1]
    headings = [describe_panel(rounds, panel) for panel in parts]
    drawings = [
        write_networks(heading, panel, album, anchor, _chance(rounds, panel))
        for heading, panel, anchor in zip(headings, parts, name_files(parts), strict=True)
    ]
    return [
        Section(f"networks-{anchor}", f"{panel.title}: networks", [drawing], [], {})
        for drawing, panel, anchor in zip(drawings, parts, name_files(parts), strict=True)
    ]


def _chance(rounds: pd.DataFrame, panel: Panel) -> float:
    return chance(select(rounds, {"dataset": panel.dataset}))


def _sections(
    rounds: pd.DataFrame,
    parts: list[Panel],
    curves: pd.DataFrame,
    place: layout.Layout,
    album: Album,
    processes: int,
) -> list[Section]:
    trained = {panel.title: panel.summary for panel in panels(curves, place.fields)}
    anchors = name_files(parts)
    tasks = [
        Task(
            describe_panel(rounds, panel), panel, trained.get(panel.title), place, album, anchor, _chance(rounds, panel)
        )
        for panel, anchor in zip(parts, anchors, strict=True)
    ]
    return [
        Section(
            anchor=anchor,
            title=task.heading,
            drawings=drawings,
            tables=tables.page_tables(task.panel.summary, place.fields),
            setting=setting,
        )
        for task, anchor, drawings, setting in zip(
            tasks,
            anchors,
            map_tasks(write_panel, tasks, processes, 3),
            overview.list_settings(rounds, parts),
            strict=True,
        )
    ]


def _write_tables(folder: Path, summary: pd.DataFrame, curves: pd.DataFrame, evidence_rows: pd.DataFrame) -> None:
    accuracies = tables.accuracies(summary)
    printed = tables.printed(accuracies)
    for name, frame in (
        ("figure_2", summary), ("learning_curves", curves), ("evidence", evidence_rows), ("accuracies", accuracies)
    ):  # fmt: skip
        replace_file(folder / f"{name}.csv", tables.csv(frame))
    replace_file(folder / "accuracies.md", tables.markdown(printed).encode())
    replace_file(folder / "accuracies.tex", tables.latex(printed).encode())
    replace_file(folder / "accuracies_column.tex", tables.latex_column(accuracies).encode())


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")
