import pytest

from lthray.analysis import Layout, LayoutError
from lthray.analysis.figures import layout


def test_layouts_are_read_from_the_command_line():
    allowed = ["pgd.steps", "strategy", "dataset"]
    assert layout.parse([], allowed) == Layout()
    assert layout.parse(["pgd.steps"], allowed) == Layout(colour="pgd.steps")
    assert layout.parse(["row=dataset", "column=pgd.steps"], allowed) == Layout(row="dataset", column="pgd.steps")
    for texts, said in (
        (["seed"], "does not vary"),
        (["side=dataset"], "no place 'side'"),
        (["pgd.steps", "colour=dataset"], "shows pgd.steps already"),
        (["row=strategy"], "strategy is on colour"),
    ):
        with pytest.raises(LayoutError, match=said):
            layout.parse(texts, allowed)
