"""A script that lies elsewhere than the working folder, and what lies beside it."""

import subprocess
import sys
import textwrap

from tests.api.test_sweeping import NETS
from tests.helpers import ROOT, environment

SCRIPT = """
    import lthray

    trajectory = {"dataset": "digits-8x8", "model": "beside:Net", "rounds": 0, "iterations": 2, "eval_every": 2}
    sweep = {"name": "own", "trajectory": trajectory, "resources": {"cpus": 1, "gpus": 0, "retries": 0}}
    print(len(lthray.sweep(sweep, set={"end_attacks": []}).rounds))
"""


def test_workers_import_modules_that_lie_beside_the_script(tmp_path):
    scripts, work = tmp_path / "scripts", tmp_path / "work"
    for folder in (scripts, work):
        folder.mkdir()
    (scripts / "beside.py").write_text(NETS)
    (scripts / "script.py").write_text(textwrap.dedent(SCRIPT))
    done = subprocess.run(
        [sys.executable, scripts / "script.py"],
        cwd=work, env=environment(PYTHONPATH=str(ROOT)), capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "1"
    assert [path.name for path in work.iterdir()] == ["results"]
