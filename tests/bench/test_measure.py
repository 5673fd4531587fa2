"""The measuring tool: turns, units, sums, and the loops it compares with."""

import io
import json
import time

import pytest
import torch
from rich.console import Console

from lthray.bench import measure, tables
from lthray.bench.measure import Bench, Row, Spread
from lthray.errors import InputError
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import ROOT, failed, lthray


def test_jobs_take_turns_and_the_first_turn_is_not_counted():
    now, done = [0.0], []

    def job(name, seconds):
        def run():
            done.append(name)
            now[0] += seconds * (100 if len(done) <= 2 else 1)

        return run

    jobs = {"slow": (job("slow", 6.0), 3), "fast": (job("fast", 1.0), 1)}
    assert measure.alternate(jobs, 2, lambda: now[0]) == {"slow": [2.0, 2.0], "fast": [1.0, 1.0]}
    assert done == ["slow", "fast"] * 3


def test_a_spread_is_the_median_and_the_quartiles():
    assert Spread.compute([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)


@pytest.mark.parametrize("number", [0, 8, 20])
def test_masks_have_the_counts_of_the_protocol(number):
    spec = TrajectorySpec()
    weights, masks = measure.pruned(spec, number)
    assert [int(mask.sum()) for mask in masks] == list(spec.weights_left()[number].values())
    for weight, mask in zip(weights, masks, strict=True):
        assert torch.equal(weight != 0, mask)


@pytest.fixture(scope="module")
def small():
    """A step and an evaluation at 3.6 % beside the plain loop, measured twice."""
    measured = Bench(2, measure.load_peers(measure.PEERS), every_peer=False, clock=time.process_time)
    return list(measured.rows([15], ["natural step", "pgd evaluation"]))


def test_a_row_has_both_loops_their_ratio_and_the_limit(small):
    for row, work in zip(small, ("natural step", "pgd evaluation"), strict=True):
        assert (row.work, row.round) == (work, 15)
        assert row.weights_remaining == pytest.approx(9_533 / 266_200, abs=1e-4)
        assert list(row.seconds) == ["lthray", "plain, torchattacks"]
        ours, plain = (spread.median for spread in row.seconds.values())
        assert row.ratio["plain, torchattacks"].median == pytest.approx(plain / ours, rel=0.5)
        assert row.ratio["plain, torchattacks"].median > 2
        assert 0 < row.limit < ours


def test_a_trajectory_is_the_sum_of_its_rounds():
    spec = TrajectorySpec(train_attack="pgd", rounds=1, iterations=1_000)
    rows = [
        Row(work, number, 1.0, {"lthray": Spread(seconds, 0, 0)}, {}, 0.0)
        for work, each in (("pgd step", (0.5, 0.25)), ("pgd evaluation", (0.002, 0.001)))
        for number, seconds in enumerate(each)
    ]
    # 1,000 steps a round; three evaluations (0, 500, 1000) of 20,000 images
    assert measure.trajectory_seconds(rows, spec) == {
        "pgd step": {"lthray": pytest.approx(750)},
        "pgd evaluation": {"lthray": pytest.approx(180)},
    }


def test_the_trajectories_of_each_attack_are_shown_with_their_ratio():
    one = {"lthray": 3600.0, "plain": 7200.0}
    seconds = dict.fromkeys(measure.EVERY_WORK, one)
    shown = io.StringIO()
    Console(width=200, file=shown).print(tables.trajectory_table(seconds))
    rows = [line.split() for line in shown.getvalue().splitlines()]
    assert ["pgd", "lthray", "1.00", "1.00", "2.00", "1.0"] in rows
    assert ["fgsm", "plain", "2.00", "2.00", "4.00", "2.0"] in rows
    assert "180 hours" in tables.trajectory_line(seconds, TrajectorySpec())


def test_the_tables_show_every_row(small):
    shown = io.StringIO()
    Console(width=250, file=shown).print(tables.work_table(small))
    text = shown.getvalue()
    assert "natural step, ms" in text
    assert "pgd evaluation, images/s" in text
    assert "3.6%" in text


def test_a_plain_loop_learns():
    """It must do the work that it is measured for."""
    peers = measure.load_peers(measure.PEERS)
    spec = TrajectorySpec(train_attack="fgsm", epsilon=0.05)
    weights, masks = measure.pruned(spec, 8)
    (peer,) = peers.peers([w[0] for w in weights], [m[0] for m in masks], spec, "fgsm", False).values()
    images, labels = torch.rand(300, 784), torch.arange(300) % 10
    loss = torch.nn.functional.cross_entropy
    before = loss(peer.model(images), labels).item()
    peer.train(images, labels, 40)
    assert loss(peer.model(images), labels).item() < before - 0.1
    for parameter, mask in zip(peer.model.parameters(), masks, strict=True):
        assert not parameter[~mask[0]].any()


def test_peers_that_are_not_there_or_can_not_be_imported_are_the_users_to_mend(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("import no_such_library\n")
    with pytest.raises(InputError, match="no_such_library"):
        measure.load_peers(broken)
    failed(lthray("bench", "--peers", tmp_path / "none.py"), "none.py", "--peers")
    failed(lthray("bench", "--json", tmp_path / "none" / "x.json"), "none")


@pytest.mark.slow
def test_the_command_measures_every_work_and_writes_json(tmp_path):
    file = tmp_path / "bench.json"
    process = lthray("bench", "--repeats", "2", "--json", file, cwd=ROOT)
    assert process.returncode == 0, process.stderr
    found = json.loads(file.read_text())
    assert [(row["work"], row["round"]) for row in found["rows"]] == [
        (work, number) for work in measure.WORKS for number in measure.ROUNDS
    ]
    assert found["machine"]["threads"] == 1
    assert "pgd evaluation, images/s" in process.stdout
