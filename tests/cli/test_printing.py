"""The pages that commands print."""

import io

import pytest

from lthray.api.live import counted
from lthray.cli import options, printing
from lthray.driver.evaluate import Remeasured
from lthray.driver.run import Outcome
from lthray.engine.results import Failure
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.sweepfile import parse
from lthray.store.folder import Store
from tests.helpers import TINY


@pytest.fixture
def lines(monkeypatch):
    def render(page):
        console = options.make_console()
        monkeypatch.setattr(console, "file", io.StringIO())
        console.print(page, soft_wrap=True)
        return [line.rstrip() for line in console.file.getvalue().splitlines()]

    return render


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "trajectory", "1 trajectory"),
        (0, "trajectory", "0 trajectories"),
        (1890, "round", "1,890 rounds"),
        (1, "more trial", "1 more trial"),
    ],
)
def test_a_noun_goes_with_its_number(number, noun, text):
    assert counted(number, noun) == text


def outcome(make, **numbers):
    failures = {"abc": Failure(make(), 1, "no [dim] light")} if numbers.pop("failed", 0) else {}
    usual = {"trajectories": 6, "complete": 6, "stopped": 0, "trained": 0, "missing": 0}
    return Outcome(**(usual | numbers), failures=failures)


def test_how_a_sweep_ended(make, lines):
    assert lines(printing.outcome_page(outcome(make), "r")) == [
        "nothing to train; 6 of 6 trajectories complete in r", "next: lthray report r",
    ]  # fmt: skip
    assert lines(printing.outcome_page(outcome(make, trained=1, complete=5, stopped=1), "[dim]r")) == [
        "trained 1 round; 5 of 6 trajectories complete, 1 stopped by the scheduler in [dim]r",
        "next: lthray report [dim]r",
    ]


def test_a_sweep_interrupted_before_its_first_round_ended_says_so_and_what_is_left(make, lines):
    assert lines(printing.outcome_page(outcome(make, complete=0, missing=6), "r")) == [
        "trained 0 rounds; 0 of 6 trajectories complete, 6 left in r",
        "interrupted: run the same command again for the rest",
    ]
    cut = Remeasured(tickets=3, done=0, measured=0, failures={}, missing=3)
    assert lines(printing.remeasured_page(cut, EvaluationRequest("pgd", "test", None, frozenset()), "r")) == [
        "measured 0 tickets; 0 of 3 measured under pgd, 3 left in r",
        "interrupted: run the same command again for the rest",
    ]


def test_failures_are_named_with_their_reasons_as_they_are(make, lines):
    page = lines(printing.outcome_page(outcome(make, complete=0, trajectories=1, failed=1), "r"))
    assert page[2].split() == ["abc", "1", "no", "[dim]", "light"]
    assert page[3:] == [
        "trained 0 rounds; 0 of 1 trajectory complete in r",
        "run the same command again to try just those that failed",
    ]


def test_the_plan_of_one_trajectory_is_in_the_singular(lines, tmp_path):
    sweep = parse(TINY, ["strategy=reset", "seed=0", "rounds=0", "iterations=1"])
    (spec,) = specs = sweep.trajectories()
    page = lines(printing.plan_page(sweep, specs, {spec.trajectory_id: 0}, "r"))
    assert page[-1] == "1 trajectory, 0 of them complete in r; to do: 1 training of 1 iteration in all"
    assert not any("end_attacks" in line for line in page), "nothing is measured at the ends of rounds"
    wanted = EvaluationRequest("pgd", "test", 20, frozenset())
    page = lines(printing.measuring_page(sweep, specs, wanted, Store(tmp_path)))
    assert page[-1].startswith("0 tickets, 0 of them measured under pgd (test) in ")


def test_the_plan_says_what_the_end_attacks_cost_of_what_is_left(lines):
    """Training takes three gradients of each of 60 images under FGSM; a round evaluates 720 images four times."""
    sweep = parse(TINY, ["end_attacks=auto", "strategy=reset", "seed=0", "iterations=30000", "eval_every=10000"])
    (spec,) = specs = sweep.trajectories()
    page = lines(printing.plan_page(sweep, specs, {spec.trajectory_id: 1}, "r"))
    # 2 * 30,000 * 60 * 3 in training, 2 * 4 * 720 of evaluations, 2 * 2 * 360 * 50 * 3 at the ends
    assert page[-2] == (
        "gradients to compute, each of one image: 10.8 million in training, 0.0 million under eval_attacks, at most"
        " 0.2 million (2%) under end_attacks; end_attacks: [] saves those"
    )
    done = lines(printing.plan_page(sweep, specs, {spec.trajectory_id: 3}, "r"))
    assert not any("end_attacks" in line for line in done), "nothing is left to measure"
