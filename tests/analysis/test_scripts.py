import subprocess
import sys
from pathlib import Path

import pytest

from tests.analysis import synthetic

EXAMPLES = sorted((Path(__file__).parents[2] / "analysis" / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_draws_its_figure(tmp_path, example):
    frames = synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1], rounds=2)
    folder = synthetic.write(tmp_path / "results", frames)
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-W", "error", example, folder, tmp_path / "out.svg"],
        check=True, timeout=120, env={"PYTHONPATH": str(root), "PATH": "", "MPLCONFIGDIR": str(tmp_path)},
    )  # fmt: skip
    assert (tmp_path / "out.svg").stat().st_size > 5_000


def test_there_is_an_example():
    assert EXAMPLES
