import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lthray.analysis.figures import style
from lthray.analysis.figures.series import Series, add_series
from lthray.analysis.page import report


def test_ticks_are_rounds_own_and_apart():
    percents = [100 * 0.8**number for number in range(21)]
    ticks = style.weight_ticks(percents)
    assert [style.percent_label(tick) for tick in ticks] == ["100", "51.2", "26.2", "13.4", "6.9", "3.5", "1.8"]
    assert style.weight_ticks([100.0]) == [100]
    assert style.weight_ticks([100.0, 80.0]) == [100, 80]
    assert [style.percent_label(value) for value in (0.515, 2.0)] == ["0.52", "2"]


def test_many_values_stay_apart():
    looks = style.styles("epsilon", [value / 10 for value in range(9)])
    assert len(set(looks.values())) == 9
    assert style.styles("strategy", ["reset", "late"])["reset"] == style.styles("strategy", ["reset"])["reset"]


def luminance(colour):
    """Relative luminance, by the definition of WCAG 2."""
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_every_colour_is_seen_on_white_and_on_the_dark_page():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    css = (Path(report.__file__).parent / "templates" / "report.css").read_text(encoding="utf-8")
    light, dark = re.findall(r"--page: (#\w+)", css)[:2]
    assert (luminance(light), luminance(dark) < 0.05) == (1, True)
    colours = {*style.PALETTE, style.GREY, *(colour for count in range(1, 21) for colour in style.sequence(count))}
    for colour in colours:
        assert contrast(colour, light) >= 3, colour
        assert contrast(colour, dark) >= 3, colour


def test_looks_differ_without_colour_too():
    for field, values in (("strategy", ["reset", "random", "continued", "shuffled"]), ("epsilon", [0.1, 0.2, 0.3])):
        looks = style.styles(field, values)
        assert list(looks) == values
        assert len({(look.marker, look.dashes) for look in looks.values()}) == len(values)


def panel(*values):
    axes = Figure().subplots()
    add_series(axes, np.arange(len(values)), np.array(values), Series("", "", np.full(len(values), np.nan), np.ones(2)))
    style.limit_accuracies(axes, 0.1)
    style.draw_chance(axes, 0.1)
    return axes


@pytest.mark.parametrize(("values", "near"), [((20.0, 60.0), True), ((80.0, 90.0), False), ((3.0, 8.0), True)])
def test_chance_is_drawn_where_an_axis_comes_near_it(values, near):
    axes = panel(*values)
    low, high = axes.get_ylim()
    assert (low <= 10 <= high) == near
    assert [text.get_text() for text in axes.texts] == ["chance"] * near
    assert low <= min(values) < max(values) <= high


def test_chance_is_named_where_there_is_room():
    assert [panel(*values).texts[0].get_ha() for values in ((10.0, 30.0, 60.0), (60.0, 30.0, 10.0))] == [
        "right",
        "left",
    ]


def test_a_width_that_does_not_exist():
    with pytest.raises(ValueError, match="'wide' is none of column, text, page"):
        style.settings("wide")
