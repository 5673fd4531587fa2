"""Figures as files and as part of the page: text that stays text, numbers that the script shows, ids of their own."""

import json
from xml.etree import ElementTree

import pandas as pd
import pytest

from lthray.analysis import figures, summarise
from lthray.analysis.page.drawing import Album, write_figure
from tests.analysis import synthetic
from tests.helpers import Page

STRATEGIES = ["reset", "random"]


@pytest.fixture(scope="module")
def summary():
    frames = synthetic.grid(train_attack="fgsm", strategy=STRATEGIES, seed=[0, 1], rounds=3)
    return summarise(pd.concat(frames, ignore_index=True))


@pytest.fixture
def drawing(tmp_path, summary):
    return write_figure("sparsity", figures.draw_sparsity(summary), Album(tmp_path), "mnist", "mnist", "figure_2.csv")


def test_letters_stay_letters_and_titles_stay_out(drawing, tmp_path):
    assert drawing.name == "figure-2-mnist"
    root = ElementTree.fromstring((tmp_path / "figure-2-mnist.svg").read_bytes())
    texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"reset", "random", "Early-stopping iteration", "Weights remaining, %"} <= set(texts)
    assert not [text for text in texts if "seed" in text or "mnist" in text]
    stacks = {
        element.get("style").partition("font-family: ")[2] for element in root.iter() if element.text in STRATEGIES
    }
    (stack,) = stacks
    assert stack.startswith("'DejaVu Sans', 'Verdana', 'Arial', 'Helvetica', sans-serif")
    content = (tmp_path / "figure-2-mnist.pdf").read_bytes()
    assert b"/FontFile2" in content  # TrueType
    assert b"/Type3" not in content
    assert b"CreationDate" not in content


def test_the_page_has_the_numbers_behind_each_line(drawing, summary):
    (picture,) = Page(drawing.picture).pictures()
    series = json.loads(picture["data-series"])
    assert (series["entries"], series["across"]) == (STRATEGIES, "Weights remaining, %")
    assert [panel["quantity"] for panel in series["panels"]][::2] == [
        "Early-stopping iteration", "Natural test accuracy, %",
    ]  # fmt: skip
    assert len(series["series"]) == 3 * len(STRATEGIES)
    line = series["series"][3]
    rows = summary[summary["strategy"] == "random"]
    assert (line["panel"], line["entry"], line["n"]) == (1, "random", 2)
    assert series["columns"][line["column"]] == pytest.approx((rows["weights_remaining"] * 100).tolist(), rel=1e-5)
    for part, digits in (("mean", 1e-3), ("sd", 1e-2)):
        expected = rows[f"early_stopping_adversarial_accuracy_test_{part}"] * 100
        assert line[part] == pytest.approx(expected.tolist(), rel=digits)


def test_missing_numbers_are_null(tmp_path):
    rows = summarise(synthetic.trajectory(train_attack="fgsm", rounds=3))
    rows.loc[1, "early_stopping_adversarial_accuracy_test_mean"] = float("nan")
    figure = figures.draw_sparsity(rows)
    drawing = write_figure("sparsity", figure, Album(tmp_path), "mnist", "mnist", "figure_2.csv")
    series = json.loads(Page(drawing.picture).pictures()[0]["data-series"])
    assert [value is None for value in series["series"][1]["mean"]] == [False, True, False, False]
    assert series["series"][1]["sd"] == [None] * 4


def test_ids_begin_with_the_figures_name_and_references_follow(drawing):
    root = ElementTree.fromstring(drawing.picture)
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert all(name.startswith("figure-2-mnist") for name in ids)
    assert {f"figure-2-mnist-{part}" for part in ("series-0", "series-0-0", "entry-1", "key-1")} <= ids
    for element in root.iter():
        if (target := element.get("href")) is not None:
            assert target[1:] in ids
        if (clip := element.get("clip-path")) is not None:
            assert clip.removeprefix("url(#").removesuffix(")") in ids


def test_the_picture_follows_the_pages_colours_and_brings_no_styles(drawing):
    assert "var(--ink)" in drawing.picture
    assert "var(--page)" in drawing.picture
    assert "#1f2328" not in drawing.picture
    assert "<style" not in drawing.picture
    assert "#0072b2" in drawing.picture


def test_hostile_text_is_text(tmp_path):
    hostile = '</svg><script>alert("1")</script>'
    frames = synthetic.grid(train_attack="fgsm", strategy=["reset", hostile], rounds=1)
    figure = figures.draw_sparsity(summarise(pd.concat(frames, ignore_index=True)))
    drawing = write_figure("sparsity", figure, Album(tmp_path), hostile, "mnist", "figure_2.csv")
    page = Page(drawing.picture)
    assert page.all("script") == []
    assert hostile in page.text
    assert json.loads(page.pictures()[0]["data-series"])["entries"] == ["reset", hostile]


def test_figures_beyond_the_posters_are_numbered_as_they_come(tmp_path):
    album = Album(tmp_path)
    kinds = ["accuracy-curves", "networks", "sparsity", "layer-density", "networks", "loss-curves"]
    assert [album.number(kind) for kind in kinds] == ["1", "S1", "2", "S2", "S1", "3"]
