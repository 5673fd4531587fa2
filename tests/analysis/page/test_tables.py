"""Tables for papers, compiled as LaTeX compiles them."""

import shutil
import subprocess

import pandas as pd
import pytest

from lthray.analysis import summarise
from lthray.analysis.page import tables
from tests.analysis import synthetic

DOCUMENT = r"""\documentclass[twocolumn]{article}
\usepackage{booktabs,longtable}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(scope="module")
def accuracies():
    axes = {"train_attack": ["none", "pgd"], "strategy": ["reset", "random", "kept-signs"], "seed": [0, 1]}
    return tables.accuracies(summarise(pd.concat(synthetic.grid(rounds=18, pgd__steps=[7, 40], **axes))))


def test_a_column_has_the_figures_rounds_at_early_stopping(accuracies):
    text = tables.latex_column(accuracies)
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == 2 * 3
    assert text.count("\\midrule") == 6 * 6
    assert "% train none → attack pgd, fashion-mnist, pgd.steps 40" in text
    first = next(line for line in text.splitlines() if line.startswith("100.0"))
    row = accuracies.iloc[0]
    for kind in ("natural", "adversarial"):
        mean, deviation = (100 * row[f"early_stopping_{kind}_accuracy_test_{part}"] for part in ("mean", "sd"))
        assert rf"{mean:.1f} $\pm$ {deviation:.1f}" in first


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="LaTeX is not installed")
@pytest.mark.parametrize("form", ["column", "page"])
def test_it_compiles_and_a_column_holds_it(accuracies, form, tmp_path):
    if form == "column":
        document = DOCUMENT % tables.latex_column(accuracies)
    else:
        document = (DOCUMENT % tables.latex(tables.printed(accuracies))).replace("[twocolumn]", "")
    (tmp_path / "paper.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "paper.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / "paper.pdf").read_bytes().startswith(b"%PDF")
    if form == "column":
        assert "Overfull" not in done.stdout
