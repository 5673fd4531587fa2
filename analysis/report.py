"""A results folder as a page: figures, tables and warnings, in one file that opens without a network."""

import base64
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jinja2
import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from analysis import figures, overview, stats, tables
from analysis.load import Results

_MAX_NAME = 100


@dataclass(frozen=True)
class Drawing:
    """A figure on the page: the name of its files, its picture as a data URI, and its text alternative."""

    name: str
    source: str
    alternative: str


@dataclass(frozen=True)
class Section:
    """A data set under one setting: its figure, the figure's numbers, and every field behind it."""

    anchor: str
    title: str
    seeds: str
    drawing: Drawing
    tables: list[tables.Table]
    setting: dict[str, str]


def write_report(results: Results, out: Path) -> Path:
    """Write a report: `index.html`, `figures/*.svg`, `figures/*.png` and `tables/figure_2.csv`.

    The page holds all it shows; the other files are there to be used elsewhere. Each file is written beside its place
    and renamed, the page last, so that a reader never sees half of one. Files of an earlier report are replaced.

    Args:
        results: What to report (`load`).
        out: The folder to write to, made where it is missing.

    Returns:
        The page's path.
    """
    out = Path(out)
    summary = stats.summarise(results.rounds)
    sections = list(_sections(results, summary, out / "figures"))
    _replace(out / "tables" / "figure_2.csv", summary.to_csv(index=False, lineterminator="\n").encode())
    page = _template().render(
        name=overview.name(results),
        facts=overview.facts(results),
        warnings=overview.warnings(results, summary),
        sections=sections,
    )
    return _replace(out / "index.html", page.encode())


def _sections(results: Results, summary: pd.DataFrame, folder: Path) -> Iterator[Section]:
    taken: set[str] = set()
    for panel in stats.panels(summary):
        anchor = _file_name(panel, taken)
        figure = figures.figure_2(panel.summary)
        yield Section(
            anchor=anchor,
            title=panel.title,
            seeds=figures.seeds_label(panel.summary),
            drawing=_save(figure, folder, f"figure-2-{anchor}", _describe_figure_2(panel)),
            tables=tables.figure_2_tables(panel.summary),
            setting=overview.setting(results.rounds, panel),
        )


def _save(figure: Figure, folder: Path, name: str, alternative: str) -> Drawing:
    """Write a figure as SVG and PNG; the same numbers give the same bytes."""
    with mpl.rc_context({"svg.hashsalt": "lthray", "svg.fonttype": "path"}):
        svg = _rendered(figure, "svg", {"Date": None, "Creator": None, "Title": alternative})
        png = _rendered(figure, "png", {"Software": None})
    _replace(folder / f"{name}.svg", svg)
    _replace(folder / f"{name}.png", png)
    return Drawing(name, f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}", alternative)


def _rendered(figure: Figure, form: str, metadata: dict[str, str | None]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, dpi=200, metadata=metadata)
    return buffer.getvalue()


def _describe_figure_2(panel: stats.Panel) -> str:
    """What the picture shows, for those who do not see it; its numbers are in the tables below it."""
    pairs = ", ".join(f"{train} → {attack}" for train, attack in stats.attack_pairs(panel.summary))
    return (
        f"{panel.title}: early-stopping iteration, adversarial and natural test accuracy at early stopping against the"
        f" weights remaining; a row for each train attack → eval attack ({pairs}), a line for each strategy"
        f" ({', '.join(stats.strategies(panel.summary))}). The tables below give the numbers."
    )


def _file_name(panel: stats.Panel, taken: set[str]) -> str:
    """A name for the panel's files and anchor, of letters, digits and hyphens, given to no other."""
    words = [panel.dataset, *(f"{name}-{stats.show(value)}" for name, value in panel.setting.items())]
    stem = re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")[:_MAX_NAME] or "figure"
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name)
    return name


def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).with_name("templates"))
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("report.html.j2")


def _replace(path: Path, content: bytes) -> Path:
    """Write a file beside its place, then rename it into it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
