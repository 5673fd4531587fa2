"""What a reader sees in a notebook: results and figures show themselves, in a kernel as Jupyter starts it."""

import base64
import importlib
import struct
from pathlib import Path

import nbclient
import nbformat
import pytest

from lthray import analysis
from tests.analysis import synthetic
from tests.helpers import Page

LOAD = "from lthray import analysis\nresults = analysis.load('results/quickstart')\nresults"
FIGURE = "analysis.figures.draw_sparsity(analysis.summarise(results.rounds))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("notebook")
    axes = {"strategy": ["reset", "random"], "seed": [0, 1], "train_attack": "fgsm"}
    synthetic.write(place / "results" / "quickstart", synthetic.grid(**axes))
    return place


@pytest.mark.parametrize("first", ["", "%matplotlib inline"], ids=["plain", "inline"])
def test_results_and_figures_show_themselves_in_a_cell(folder, first):
    outputs = run([first, LOAD, FIGURE], folder)
    assert outputs[0] == {}
    assert "<table>" in outputs[1]["text/html"]
    assert "4 complete" in outputs[1]["text/plain"]
    width, height = size(base64.b64decode(outputs[2]["image/png"]))
    assert width > 1000
    assert height > 300


def test_a_figures_picture_is_sharp_and_says_its_size_on_the_page(folder):
    results = analysis.load(folder / "results" / "quickstart")
    figure = analysis.figures.draw_sparsity(analysis.summarise(results.rounds))
    picture, place = figure._repr_png_()
    assert size(picture) == (2 * place["width"], 2 * place["height"])
    assert place["width"] == pytest.approx(figure.get_figwidth() * figure.dpi, abs=1)


def test_results_say_what_was_run_how_far_and_what_to_call(tmp_path):
    frames = [
        *synthetic.grid(seed=[0, 1], epsilon=[0.1, 0.3], train_attack="fgsm"),
        synthetic.trajectory(strategy="<b>random</b>", epsilon=0.1, train_attack="fgsm", upto=1),
    ]
    folder = synthetic.write(tmp_path / "fgsm & more", frames)
    synthetic.write_failure(folder, "RuntimeError: out of memory", 0, seed=7)
    page = Page(analysis.load(folder)._repr_html_())
    text = " ".join(page.text.split())
    assert text.startswith("Results of fgsm & more")
    for part in (
        str(folder),
        "4 complete, 1 partial, 1 failed",
        "14, up to round 2",
        "<b>random</b>",
        "epsilon0.1, 0.3",
    ):
        assert part in text
    assert "results.rounds" in text


def test_the_text_of_results_is_a_line(folder):
    results = analysis.load(folder / "results" / "quickstart")
    assert "\n" not in repr(results)
    assert repr(results).startswith("<Results of quickstart; ")
    assert "Strategies: reset, random" in repr(results)


def test_the_calls_that_results_offer_can_be_made(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = analysis.load(folder / "results" / "quickstart")
    calls = importlib.import_module("lthray.analysis.notebook")._NEXT
    made = {call: eval(call, {"analysis": analysis, "results": results}) for call, _ in calls}
    assert len(made) == len(calls)
    assert Path("report/index.html").is_file()


def run(cells: list[str], folder: Path) -> list[dict[str, str]]:
    """The data of each cell's output in a kernel that Jupyter starts in a folder."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return [{key: value for output in cell.outputs for key, value in output.data.items()} for cell in notebook.cells]


def size(png: bytes) -> tuple[int, int]:
    """A picture's width and height in pixels."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
