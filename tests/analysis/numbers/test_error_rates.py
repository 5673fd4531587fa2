"""How often pages of verdicts state something false, and how often they find what is there, by simulation.

The rates that docs/analysis.md quotes are those that `python -m pytest -m slow -rP` prints of this file.
"""

import numpy as np
import pandas as pd
import pytest

from lthray.analysis.numbers.chains import level_of_look
from lthray.analysis.numbers.evidence import QUESTIONS, STOPPING, compare_all
from lthray.analysis.numbers.paired_tests import holm
from lthray.analysis.numbers.robustness import Basis
from lthray.analysis.numbers.verdicts import AGAINST, FOR, LEVEL, MARGIN, decide

KEYS = ["page", "group"]
STRATEGIES = ("reset", "random", "continued")
SPREAD, STOP_SPREAD = 0.006, 1500
LEAST_CAUGHT = 0.95

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def simulate(pages, groups, rounds, seeds, *, accuracy=0.0, iterations=0.0, collapse=0.0, number=0):
    """Made-up pages: `describe_networks` and the attacked accuracies; tickets differ by `accuracy` and `iterations`.

    Seeds have effects of their own, which pairing removes; accuracies lie on a grid of 1/10,000, iterations on one of
    500, as real ones do; round 0 is the same for all strategies of a seed. With a chance of `collapse`, all tickets of
    a seed lose 30 points; the others then have what keeps the mean.
    """
    noise = np.random.default_rng(number)
    axes = {"page": range(pages), "group": range(groups), "strategy": STRATEGIES, "seed": range(seeds)}
    table = pd.MultiIndex.from_product([*axes.values(), range(rounds + 1)], names=[*axes, "round"]).to_frame(
        index=False
    )
    shape = (pages, groups, len(STRATEGIES), seeds, rounds + 1)
    ticket = np.zeros(shape, bool)
    ticket[:, :, 0, :, 1:] = True
    own = np.broadcast_to(noise.normal(0, 0.01, (pages, groups, 1, seeds, 1)), shape)
    lost = np.broadcast_to(noise.random((pages, groups, 1, seeds, 1)) < collapse, shape) & ticket

    def draw(spread):
        values = noise.normal(0, spread, shape)
        values[..., 0] = values[:, :, :1, :, 0]
        return values

    def draw_accuracy():
        effect = accuracy * ticket + 0.3 * (collapse * ticket - lost)
        return (0.8 + own + draw(SPREAD) + effect).round(4).ravel()

    stop = 20_000 + 50_000 * own + draw(STOP_SPREAD) + iterations * ticket
    table["weights_remaining"] = 0.8 ** table["round"]
    networks = table.assign(
        natural_accuracy=draw_accuracy(),
        trained_accuracy=draw_accuracy(),
        early_stopping_iteration=((stop / 500).round() * 500).astype(int).ravel(),
        at_cap=False,
    )
    return networks, table.assign(accuracy=draw_accuracy())


def judge_pages(networks, attacked, *, look=1):
    """What each page states, as rows of evidence; and the seeds that are named."""
    table, outliers = compare_all(networks, attacked, KEYS, {}, margin=MARGIN, at=None)
    bases = {key: Basis() for key in table[KEYS].drop_duplicates().itertuples(index=False, name=None)}
    level = level_of_look(LEVEL, look) / 2
    pages = [decide(page.reset_index(drop=True), KEYS, bases, level)[0] for _, page in table.groupby("page")]
    return pd.concat(pages, ignore_index=True), outliers


def is_false(evidence, accuracy, iterations):
    """Which rows state something false of tickets that differ by `accuracy` and `iterations`."""
    false = np.zeros(len(evidence), bool)
    for place, question in enumerate(QUESTIONS):
        difference = iterations if question.measure == STOPPING else accuracy
        effect = (difference - question.boundary(MARGIN)) * (1 if question.more_is_better else -1)
        rows = evidence["question"] == place
        false |= rows & (evidence["shown"] == FOR) & (effect <= 1e-12)
        false |= rows & (evidence["shown"] == AGAINST) & (effect >= -1e-12)
    return false


def share_false(evidence, pages, accuracy=0.0, iterations=0.0):
    return evidence.loc[is_false(evidence, accuracy, iterations), "page"].nunique() / pages


@pytest.mark.parametrize(
    ("pages", "groups", "rounds"),
    [(600, 1, 1), (600, 1, 2), (400, 1, 8), (300, 1, 20), (300, 8, 1), (300, 8, 2), (100, 8, 8), (60, 8, 20)],
)
@pytest.mark.parametrize("accuracy", [-MARGIN, 0.0])
def test_at_most_5_percent_of_pages_state_what_is_not_so(pages, groups, rounds, accuracy):
    """The truth is the boundary of questions: accuracies lower by just the margin, or the same; iterations the same."""
    shares = {}
    for seeds in (2, 3, 5, 10):
        evidence, _ = judge_pages(*simulate(pages, groups, rounds, seeds, accuracy=accuracy, number=seeds))
        shares[seeds] = share_false(evidence, pages, accuracy)
    text = ", ".join(f"{100 * share:.1f} % with {seeds} seeds" for seeds, share in shares.items())
    print(f"false, {groups} group(s), {rounds} round(s), tickets {100 * accuracy:+.0f} points, {pages} pages: {text}")
    assert max(shares.values()) <= LEVEL


def test_a_look_after_every_added_seed_stays_below_5_percent():
    pages, most = 600, 8
    networks, attacked = simulate(pages, 1, 2, most, accuracy=-MARGIN, number=1)
    free, paid = set(), set()
    for look, seeds in enumerate(range(2, most + 1), 1):
        part = [frame[frame["seed"] < seeds] for frame in (networks, attacked)]
        for number, pages_with in ((1, free), (look, paid)):
            evidence, _ = judge_pages(*part, look=number)
            pages_with |= set(evidence.loc[is_false(evidence, -MARGIN, 0.0), "page"])
    print(
        f"false at any of {most - 1} looks: {100 * len(free) / pages:.1f} % if looks cost nothing,"
        f" {100 * len(paid) / pages:.1f} % as they are paid for"
    )
    assert len(paid) / pages <= LEVEL


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("collapse", [0.1, 0.05])
def test_a_rare_collapse_among_the_seeds_is_named(seeds, collapse):
    """Where a seed collapsed it is named, even where no t test could tell; where none did, no seed is named."""
    pages = 400
    networks, attacked = simulate(pages, 1, 8, seeds, collapse=collapse, number=seeds)
    _, outliers = judge_pages(networks, attacked)
    last = attacked[(attacked["strategy"] == "reset") & (attacked["round"] == 8)]
    low = (last["accuracy"] < 0.65).groupby(last["page"]).mean()
    # Where all seeds collapsed, none lies far from the others.
    collapsed = set(low.index[(low > 0) & (low < 1)])
    named = set(outliers["page"])
    caught, spurious = len(collapsed & named) / len(collapsed), len(named - collapsed) / (pages - len(collapsed))
    print(
        f"collapse of 1 seed in {1 / collapse:.0f}, {seeds} seeds: named on {100 * caught:.1f} % of {len(collapsed)}"
        f" pages where one collapsed, a seed named on {100 * spurious:.1f} % of the others"
    )
    assert caught >= LEAST_CAUGHT
    assert spurious <= 0.1


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.3), (10, 0.95)])
def test_effects_that_are_there_are_found(seeds, least):
    """Tickets 1 point more accurate and 6,000 iterations earlier; the power of Holm's correction stands beside."""
    pages, rounds = 100, 8
    evidence, _ = judge_pages(*simulate(pages, 1, rounds, seeds, accuracy=0.01, iterations=-6000, number=seeds))
    main = evidence[evidence["question"] == 0]
    reached = (main["shown"] == FOR).groupby(main["page"]).sum()
    p = main.pivot_table(index="page", columns="round", values="p_for").to_numpy()
    share = level_of_look(LEVEL, 1) / 2 * QUESTIONS[0].weight / sum(question.weight for question in QUESTIONS)
    corrected, alone = (np.array([holm(row) for row in p]) <= level for level in (share, LEVEL / 2))
    without_gap = np.minimum.accumulate(corrected, axis=1)
    print(
        f"power, {seeds} seeds, tickets +1 point: similar to dense in the whole range on"
        f" {100 * (reached == rounds).mean():.0f} % of pages, in {100 * reached.mean() / rounds:.0f} % of rounds;"
        f" by Holm's correction at the same share of the level in {100 * corrected.mean():.0f} % of rounds, of which"
        f" {100 * without_gap.mean():.0f} % without a gap from dense; by Holm's correction with the whole level, as if"
        f" nothing else were asked, in {100 * alone.mean():.0f} %"
    )
    assert reached.mean() / rounds >= least
