"""docs/own.ipynb, in a kernel as Jupyter starts it."""

from pathlib import Path

import nbclient
import nbformat
import pytest

from tests.helpers import ROOT

NOTEBOOK = ROOT / "docs" / "own.ipynb"


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_says(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    client = nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}})
    client.execute()
    by_source = {cell.source: cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"}
    texts = {source: " ".join(map(_text, outputs)) for source, outputs in by_source.items()}
    swept = next(text for source, text in texts.items() if "lthray.sweep(" in source)
    assert "to train: 8 trajectories" in swept
    assert "8 complete" in swept
    assert any("image/png" in output.get("data", {}) for outputs in by_source.values() for output in outputs)
    assert not [output for outputs in by_source.values() for output in outputs if output.get("name") == "stderr"]
    assert (tmp_path / "results" / "own" / "report" / "index.html").is_file()


def test_the_notebook_has_the_outputs_of_its_cells():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 1
    assert not [output for output in outputs if output.output_type == "error"]
    assert str(Path.home()) not in NOTEBOOK.read_text()


def _text(output):
    return output.get("text") or output.get("data", {}).get("text/plain", "")
