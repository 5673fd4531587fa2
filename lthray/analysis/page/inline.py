"""A figure as part of the page: its SVG takes the page's colours and carries the numbers that its script shows."""

import json
import re
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lthray.analysis.figures import style
from lthray.analysis.figures.series import SeriesLine, series_lines

_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_DROPPED = {"metadata", "style"}
"""What the page must not take over: the style sheet of an SVG would hold for all of it."""
_COLOURS = {style.INK: "var(--ink)", style.FAINT: "var(--rule)", style.WHITE: "var(--page)"}
_KNOWN = re.compile("|".join(_COLOURS))
_REFERENCE = re.compile(r"url\(#")


def name_series(figure: Figure) -> None:
    """Name the lines, their companions and the legend's entries, so that their groups are found in the SVG (`id`)."""
    for place, (_, line) in enumerate(_series(figure)):
        line.set_gid(f"series-{place}")
        for number, companion in enumerate(line.companions):
            companion.set_gid(f"series-{place}-{number}")
    for legend in figure.legends:
        for place, (handle, text) in enumerate(zip(legend.legend_handles, legend.get_texts(), strict=True)):
            text.set_gid(f"entry-{place}")
            if handle is not None:
                handle.set_gid(f"key-{place}")


def read_series(figure: Figure) -> dict[str, Any]:
    """The numbers behind the lines of a figure that is laid out, for the page's script.

    Returns:
        `entries`, the legend's; `across`, the horizontal quantity; `columns`, the distinct horizontal values of lines;
        `panels`, a list per panel of its `box` in shares of the figure (left, top, right, bottom), its limits `x` and
        `y` with true where the axis is logarithmic, and its `quantity`; `series`, a list per line of its `panel` and
        `column` by place, its `entry`, `name`, and by point `mean`, `sd` (null without) and `n`.
    """
    lines = list(_series(figure))
    panels = list(dict.fromkeys(axes for axes, _ in lines))
    columns: dict[tuple[float | None, ...], int] = {}
    series = []
    for axes, line in lines:
        x = tuple(_round(np.asarray(line.get_xdata(), float), 6))
        series.append({
            "panel": panels.index(axes), "column": columns.setdefault(x, len(columns)), "entry": line.series.entry,
            "name": line.series.name, "mean": _round(np.asarray(line.get_ydata(), float), 4),
            "sd": _round(line.series.deviations, 3), "n": _shorten(line.series.counts.tolist()),
        })  # fmt: skip
    across = next((axes.get_xlabel() for axes in reversed(figure.axes) if axes.get_xlabel()), "")
    entries = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    described = [_describe_panel(axes) for axes in panels]
    return {"entries": entries, "across": across, "columns": list(columns), "panels": described, "series": series}


def inline_svg(svg: bytes, name: str, alternative: str, series: dict[str, Any]) -> str:
    """An SVG of matplotlib's as an element of the page.

    Args:
        svg: The file.
        name: The figure's name: its ids begin with it, so that no two figures of the page share one.
        alternative: What the figure shows, for readers who do not see it.
        series: What `read_series` returns.
    """
    root = ElementTree.fromstring(svg)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag.removeprefix(_SVG) in _DROPPED:
                parent.remove(child)
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if (target := element.attrib.pop(_LINK, None)) is not None:
            element.set("href", f"#{name}-{target[1:]}")
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == "style":
                element.set(key, _KNOWN.sub(lambda match: _COLOURS[match[0]], value))
            elif "url(" in value:
                element.set(key, _REFERENCE.sub(f"url(#{name}-", value))
    root.attrib = {
        "id": name, "viewBox": root.get("viewBox", ""), "width": root.get("width", ""), "role": "img",
        "aria-label": alternative, "data-series": json.dumps(series, separators=(",", ":"), ensure_ascii=False),
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def _series(figure: Figure) -> list[tuple[Axes, SeriesLine]]:
    return [(axes, line) for axes in figure.axes for line in series_lines(axes)]


def _describe_panel(axes: Axes) -> dict[str, Any]:
    box, (left, right), (bottom, top) = axes.get_position(), axes.get_xlim(), axes.get_ylim()
    return {
        "box": [round(share, 4) for share in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)],
        "x": [left, right, axes.get_xscale() == "log"], "y": [bottom, top, axes.get_yscale() == "log"],
        "quantity": axes.get_label(),
    }  # fmt: skip


def _round(values: Any, digits: int) -> list[float | None]:
    """Numbers to some significant digits; None for NaN, which JSON lacks."""
    return [None if np.isnan(value) else float(f"{value:.{digits}g}") for value in values]


def _shorten(counts: Sequence[int]) -> int | Sequence[int]:
    """Equal counts as a single number."""
    return counts[0] if len(set(counts)) == 1 else counts
