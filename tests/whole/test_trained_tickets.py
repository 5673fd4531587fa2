"""Tickets load anywhere: safetensors and plain PyTorch, no lthray, give the accuracies of the tables."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import ROOT, TINY, lthray

ELSEWHERE = """
import sys, torch
from safetensors.torch import load_file
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold
from torch.nn import functional as F

images, labels = load_digits(return_X_y=True)
test = list(StratifiedKFold(5, shuffle=True, random_state=0).split(images, labels))[1][1]
x, y = torch.tensor(images[test] / 16, dtype=torch.float32), torch.tensor(labels[test])
t = load_file(sys.argv[1])
logits = F.linear(F.relu(F.linear(F.relu(F.linear(x, t["hidden_1.weight"])), t["hidden_2.weight"])), t["output.weight"])
print((logits.argmax(1) == y).double().mean().item())
assert not {"lthray", "ray", "analysis"} & set(sys.modules)
"""


@pytest.mark.slow
def test_a_ticket_gives_the_accuracy_of_its_row_without_lthray(tmp_path):
    import yaml

    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(TINY | {"grid": {"strategy": ["reset", "continued"]}}))
    assert lthray("sweep", "tiny.yaml", cwd=tmp_path).returncode == 0
    rounds = pd.read_parquet(tmp_path / "results" / "tiny" / "rounds")
    for row in rounds[rounds["round"].isin([0, 2])].to_dict("records"):
        name = f"{row['trajectory_id']}/round-{row['round']:02d}.safetensors"
        ticket = tmp_path / "results" / "tiny" / "tickets" / name
        process = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, ticket], capture_output=True, text=True, cwd=tmp_path, check=True
        )
        assert float(process.stdout) == pytest.approx(row["final_none_accuracy_test"], abs=1e-9)


@pytest.mark.slow
@pytest.mark.skipif("LTHRAY_DATA_DIR" not in os.environ, reason="LTHRAY_DATA_DIR is not set")
def test_logged_accuracies_of_a_fashion_mnist_ticket_are_those_of_torchattacks(tmp_path):
    """Within 0.5 points on the 10,000 test images, for a network trained against each attack."""
    pytest.importorskip("torchattacks")
    fields = ["--set", "rounds=1", "--set", "iterations=500", "--set", "eval_every=500"]
    grid = ["--set", "grid={train_attack: [fgsm, pgd]}", "--set", "eval_attacks=[fgsm, pgd]"]
    data = os.environ["LTHRAY_DATA_DIR"]
    sweep = ROOT / "sweeps" / "fashion-small.yaml"
    process = lthray("sweep", sweep, *fields, *grid, "--data-dir", data, "--out", tmp_path / "r")
    assert process.returncode == 0, process.stderr
    script = Path("benchmarks") / "check_tickets.py"
    checked = subprocess.run(
        [sys.executable, script, tmp_path / "r", "--data-dir", data],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert checked.stdout.count("fashion-mnist") == 2
