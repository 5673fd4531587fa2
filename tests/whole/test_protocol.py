"""`lthray protocol`, and both presets run side by side."""

import pandas as pd
import pytest

from lthray.spec.presets import preset
from tests.helpers import TINY, lthray


def test_a_preset_is_printed_with_every_field():
    process = lthray("protocol", "paper")
    assert process.returncode == 0
    for name in preset("paper"):
        assert name == "protocol" or any(line.startswith(f"{name} ") for line in process.stdout.splitlines())
    assert process.stdout == lthray("protocol").stdout


def test_two_presets_are_compared_by_what_differs():
    process = lthray("protocol", "paper", "released-code")
    rows = {line.split()[0]: line.split()[1:3] for line in process.stdout.splitlines()[1:] if line[0] != " "}
    assert rows == {
        "rewind_to": ["init", "end-of-round-0"],
        "iterations": ["50000", "50040"],
        "drop_last": ["true", "false"],
        "eval_clock": ["round", "epoch"],
        "prune.cutoff": ["exclusive", "inclusive"],
    }


def test_an_unknown_preset_gets_one_line():
    process = lthray("protocol", "poster")
    assert process.returncode == 2
    assert process.stderr == "lthray: poster: no such protocol; there are paper and released-code\n"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    import yaml

    folder = tmp_path_factory.mktemp("both")
    fields = TINY["trajectory"] | {"iterations": 40}
    grid = {"protocol": ["paper", "released-code"], "strategy": ["reset", "continued"]}
    (folder / "both.yaml").write_text(yaml.safe_dump(TINY | {"trajectory": fields, "grid": grid}))
    process = lthray("sweep", "both.yaml", "--out", "r", cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder / "r"


def test_both_presets_run_side_by_side(both):
    rounds, curves = pd.read_parquet(both / "rounds"), pd.read_parquet(both / "curves")
    left = {name: part["weights_remaining_count"].unique().tolist() for name, part in rounds.groupby("protocol")}
    assert left == {"paper": [50_200, 40_260, 32_298], "released-code": [50_200, 40_257, 32_292]}

    def axis(protocol):
        part = curves[(curves["protocol"] == protocol) & (curves["round"] == 1) & (curves["split"] == "test")]
        part = part[(part["attack"] == "none") & (part["strategy"] == "reset")]
        return dict(zip(part["iteration"], part["reported_iteration"], strict=True))

    assert axis("paper") == {0: 0, 10: 10, 20: 20, 30: 30, 40: 40}
    # epochs of 18 batches, evaluated at their batches 0 and 10
    assert axis("released-code") == {0: 0, 10: 10, 18: 20, 28: 30, 36: 40, 40: 50}


def test_the_report_shows_both(both):
    assert lthray("report", both).returncode == 0
    page = (both / "report" / "index.html").read_text()
    assert "protocol paper" in page
    assert "protocol released-code" in page
