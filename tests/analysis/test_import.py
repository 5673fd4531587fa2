"""The analysis stands alone: what it imports, and a user's own folder of its name."""

import subprocess
import sys

from tests.analysis import synthetic
from tests.helpers import ROOT

LOADED = """
import sys
from lthray import analysis
assert analysis.write_report
print(*sorted({name for name in sys.modules if name.split(".")[0] in ("torch", "torchvision", "ray", "lthray")}))
"""


def python(*arguments, cwd) -> str:
    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=cwd, env={"PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(cwd)},
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip


def test_importing_it_loads_neither_torch_nor_ray_nor_the_rest_of_lthray(tmp_path):
    loaded = python("-c", LOADED, cwd=tmp_path).split()
    assert "lthray.analysis.page.report" in loaded
    others = {name for name in loaded if not name.startswith("lthray.analysis")}
    assert others <= {"lthray", "lthray.errors", "lthray.files", "lthray.installing"}


def test_a_report_is_written_beside_a_folder_of_the_users_named_analysis(tmp_path):
    (tmp_path / "analysis").mkdir()
    (tmp_path / "analysis" / "__init__.py").write_text("raise SystemExit('not mine')\n")
    synthetic.write(tmp_path / "results", [synthetic.trajectory(rounds=0)])
    said = python("-m", "lthray", "report", "results", cwd=tmp_path)
    assert "\nreport: results/report/index.html\n" in said
    assert (tmp_path / "results" / "report" / "index.html").is_file()
