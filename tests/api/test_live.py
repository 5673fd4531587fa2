"""What a person sees of a sweep."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from lthray.api import live
from lthray.driver import progress
from lthray.driver.events import Note, Planned, TrajectoryFailed, TrialEnded, TrialProgress, TrialRetried
from lthray.driver.progress import SweepProgress
from lthray.engine.results import Failure
from lthray.worker.report import Progress


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min 00 s"),
        (185, "3 min 05 s"),
        (7_620, "2 h 07 min"),
        (273_600, "3 d 04 h"),
    ],
)
def test_times_read_as_people_say_them(seconds, text):
    assert live.clock(seconds) == text


@pytest.mark.parametrize(
    ("share", "text"), [(1.0, "100 %"), (0.9999, "100 %"), (0.5128, "51.3 %"), (0.03, "3 %"), (0.01187, "1.19 %")]
)
def test_shares_have_three_digits(share, text):
    assert live.percent(share) == text


@pytest.fixture
def events(make):
    stack = tuple(make(seed=seed, train_attack="fgsm", rounds=2, iterations=40) for seed in (0, 1))
    other = (make(train_attack="none"),)
    plan = Planned(trajectories=5, complete=2, trials={"1": stack, "2": other}, rounds=9, work=360)

    def progress(round_, done_in_round, round_done, done_in_trial):
        now = Progress(
            "iterations", round_, done_in_round, done_in_trial, round_done, 1234.5, 0.64, 0.981, {"fgsm": 0.5}, 2, "cpu"
        )
        return TrialProgress("1", now)

    failure = Failure(stack[1], 1, "the loss stopped being finite")

    return [
        Note("no GPU in reach of Ray: trials run on CPU"),
        plan,
        TrialProgress("1", replace(progress(0, 0, False, 0).progress, rate=0, natural=None, adversarial={})),
        progress(0, 20, False, 40),
        progress(0, 40, True, 80),
        TrajectoryFailed("1", failure),
        TrialRetried("2", "its node died", None),
        TrialRetried("2", "its worker process died", 2),
        progress(1, 20, False, 120),
    ]


def test_without_a_terminal_there_is_a_plain_line_when_a_trial_begins_and_for_every_finished_round(events):
    out = io.StringIO()
    with live.watch(Console(file=out, width=60)) as notify:
        for event in events:
            notify(event)
    lines = out.getvalue().splitlines()
    assert lines[0] == "no GPU in reach of Ray: trials run on CPU"
    assert lines[1] == "2 of 5 trajectories complete; to train: 3 trajectories in 2 trials, 9 rounds, 360 iterations"
    assert lines[2] == (
        "[  0 %] trial 1 (digits-8x8 · fgsm · reset), round 0 of 2, 64 % of weights, training begins at iteration 0"
    )
    assert lines[3].startswith(
        "[ 22 %] trial 1 (digits-8x8 · fgsm · reset), round 0 of 2, 64 % of weights, iteration 40, 1,234 it/s,"
        " test accuracy natural 98.1 %, fgsm 50.0 %"
    )
    name = events[5].failure.spec.trajectory_id
    assert lines[4] == f"trajectory {name} failed in round 1: the loss stopped being finite"
    assert lines[5] == "trial 2: its node died: resuming from its last checkpoint or finished round"
    assert lines[6] == (
        "trial 2: its worker process died: resuming from its last checkpoint or finished round, with a stack of 2"
    )
    assert len(lines) == 7
    assert "\x1b" not in out.getvalue()


def test_long_rounds_are_not_silent(events, monkeypatch):
    monkeypatch.setattr(live, "PLAIN_SECONDS", 0)
    out = io.StringIO()
    with live.watch(Console(file=out)) as notify:
        for event in events[1:4]:
            notify(event)
    assert "iteration 20" in out.getvalue()


def test_a_terminal_shows_every_running_trial_and_the_sweep(events):
    sweep = SweepProgress()
    for event in events:
        sweep.take(event)
    console = Console(file=io.StringIO(), width=120, force_terminal=True, color_system=None)
    console.print(live.panel(sweep))
    text = console.file.getvalue()
    for part in ("digits-8x8 · fgsm · reset", "1/2", "64 %", "1,234", "98.1 %", "fgsm 50.0 %"):
        assert part in text
    assert "0 of 2 trials" in text
    assert "33%" in text
    assert "1 more trial waiting" in text
    assert "1 trajectory failed" in text
    sweep.take(TrialEnded("1"))
    console.print(live.panel(sweep))
    assert "1 of 2 trials" in console.file.getvalue()


def test_a_trial_that_has_measured_nothing_yet_has_its_row(events):
    sweep = SweepProgress()
    for event in events[1:3]:
        sweep.take(event)
    console = Console(file=io.StringIO(), width=120)
    console.print(live.panel(sweep))
    row = next(line for line in console.file.getvalue().splitlines() if "fgsm · reset" in line)
    assert row.split()[-4:] == ["64", "%", "0", "0"]


def test_the_live_display_starts_with_the_plan_and_keeps_its_lines(events):
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True)
    with live.watch(console) as notify:
        notify(events[0])
        before = out.getvalue()
        for event in events[1:]:
            notify(event)
    assert before == "no GPU in reach of Ray: trials run on CPU\n"
    assert "0 of 2 trials" in out.getvalue()
    assert f"{events[5].failure.spec.trajectory_id} failed in round 1: the loss stopped being finite" in out.getvalue()


def test_the_time_left_is_what_is_left_at_the_pace_so_far(events, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    sweep = SweepProgress()
    sweep.take(events[1])
    assert sweep.seconds_left() is None
    sweep.take(events[3])  # 40 iterations done: the pace begins here
    assert sweep.seconds_left() is None
    now[0] = 110.0
    sweep.take(events[4])  # 80 done: 4 a second
    assert sweep.seconds_left() == pytest.approx((360 - 80) / 4)
    assert sweep.share() == pytest.approx(80 / 360)
