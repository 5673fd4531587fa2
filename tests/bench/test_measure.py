"""The measuring tool: turns, units, sums, and the loops it compares with."""

import io
import json
import time

import pytest
import torch
from rich.console import Console

from lthray.bench import loops, measure, tables
from lthray.bench.loops import Loop
from lthray.bench.measure import BEST_JITTED, Bench, Row, Spread
from lthray.bench.run import Comparison, run
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
    """A step and an evaluation at 3.6 % beside a plain loop, measured twice."""
    pytest.importorskip("torchattacks")
    measured = Bench(2, {"torchattacks": loops.load_loops(loops.PEERS)["torchattacks"]}, time.process_time)
    return list(measured.rows([15], ["natural step", "pgd evaluation"]))


def test_a_row_has_both_loops_their_ratio_and_the_limit(small):
    for row, work in zip(small, ("natural step", "pgd evaluation"), strict=True):
        assert (row.work, row.round) == (work, 15)
        assert row.weights_remaining == pytest.approx(9_533 / 266_200, abs=1e-4)
        assert list(row.seconds) == ["lthray", "torchattacks"]
        ours, plain = (spread.median for spread in row.seconds.values())
        assert row.ratio["torchattacks"].median == pytest.approx(plain / ours, rel=0.5)
        assert row.ratio["torchattacks"].median > 2
        assert 0 < row.limit < ours


def test_operations_are_counted_from_the_remaining_weights():
    """Natural steps go forward, back to the weights, and back through the upper layers; PGD follows ten gradients."""
    masks = measure.pruned(TrajectorySpec(), 0)[1]
    first, upper = 784 * 300, 300 * 100 + 100 * 10
    natural, pgd = (TrajectorySpec(train_attack=attack) for attack in ("none", "pgd"))
    assert measure.operations("natural step", natural, masks) == 60 * 2 * (2 * first + 3 * upper)
    assert measure.operations("pgd step", pgd, masks) == 60 * 2 * (24 * first + 26 * upper)
    assert measure.operations("pgd evaluation", pgd, masks) == 2 * 22 * (first + upper)
    few = measure.pruned(TrajectorySpec(), 15)[1]
    share = measure.operations("pgd evaluation", pgd, few) / measure.operations("pgd evaluation", pgd, masks)
    assert share == sum(int(mask.sum()) for mask in few) / (first + upper)


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


def test_the_best_jitted_loop_is_chosen_round_by_round():
    spec = TrajectorySpec(rounds=1, iterations=1_000)
    times = ({"lthray": 0.5, "plain": 0.1, "a": 1.0, "b": 2.0}, {"lthray": 0.5, "plain": 0.1, "a": 4.0, "b": 3.0})
    rows = [
        Row("pgd step", number, 1.0, {name: Spread(value, 0, 0) for name, value in each.items()}, {}, 0.0)
        for number, each in enumerate(times)
    ]
    sums = measure.trajectory_seconds(rows, spec, ["a", "b"])["pgd step"]
    assert sums == pytest.approx({"lthray": 1_000, "plain": 200, "a": 5_000, "b": 5_000, BEST_JITTED: 4_000})
    assert BEST_JITTED not in measure.trajectory_seconds(rows, spec, ["a"])["pgd step"]


def test_the_best_peer_of_each_row_is_named():
    ratio = {"a": Spread(3.0, 2.0, 4.0), "b": Spread(0.75, 0.5, 1.0)}
    row = Row("pgd step", 0, 1.0, dict.fromkeys(("lthray", "a", "b"), Spread(1.0, 1.0, 1.0)), ratio, 0.5)
    shown = io.StringIO()
    Console(width=200, file=shown).print(tables.work_table([row]))
    heading, line = shown.getvalue().splitlines()
    assert "best peer" in heading
    assert "0.75 [0.50, 1.00]" in line
    assert line.split()[-1] == "b"


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


class Still:
    """A peer that does nothing."""

    def train(self, images, labels, steps):
        pass

    def evaluate(self, images, labels):
        return {}

    def weights(self):
        return []


def still(*_):
    return Still()


LOOPS = {
    "plain": Loop(still, jitted=False, missing=None),
    "second": Loop(still, jitted=False, missing=None),
    "jitted": Loop(still, jitted=True, missing=None),
    "absent": Loop(still, jitted=True, missing="the package absent is not installed"),
}


def test_loops_are_chosen_by_name():
    assert list(loops.choose_loops(LOOPS, ["jitted", "plain"])) == ["plain", "jitted"]
    with pytest.raises(InputError, match="--loop absent: the package absent is not installed"):
        loops.choose_loops(LOOPS, ["absent"])
    with pytest.raises(InputError, match="--loop none: no such loop; there are plain, second, jitted, absent"):
        loops.choose_loops(LOOPS, ["none"])


@pytest.fixture
def three_of_four(tmp_path):
    """A file with the loops above."""
    file = tmp_path / "loops.py"
    file.write_text("from tests.bench.test_measure import LOOPS\n")
    return file


def test_loops_that_can_not_run_here_are_left_out_and_named(three_of_four):
    lines = []
    results, _ = run(1, 2, Comparison(peers=three_of_four, rounds=[20]), lines.append)
    assert {tuple(row["ratio"]) for row in results["rows"]} == {("plain", "second", "jitted")}
    assert "absent is left out: the package absent is not installed" in lines
    capability = torch.backends.cpu.get_cpu_capability()
    assert results["machine"]["instructions"]["torch"] == capability
    assert f"torch {capability}" in lines[0]


def test_peers_that_are_not_there_or_can_not_be_imported_are_the_users_to_mend(tmp_path):
    broken, empty = tmp_path / "broken.py", tmp_path / "empty.py"
    broken.write_text("import no_such_library\n")
    empty.write_text("")
    with pytest.raises(InputError, match="no_such_library"):
        loops.load_loops(broken)
    with pytest.raises(InputError, match="LOOPS"):
        loops.load_loops(empty)
    failed(lthray("bench", "--peers", tmp_path / "none.py"), "none.py", "--peers")
    failed(lthray("bench", "--json", tmp_path / "none" / "x.json"), "none")
    failed(lthray("bench", "--trajectory", "--round", "3"), "--trajectory", "--round")


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
