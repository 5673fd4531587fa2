import math

import pytest

from lthray.analysis.numbers.chains import level_of_look, walk_chains


def walk(chains, level):
    return walk_chains(chains, [1.0] * len(chains), level)


def rejected(chains, level):
    return [walked.rejected for walked in walk(chains, level)]


def test_a_sequence_ends_at_its_first_hypothesis_that_is_not_rejected():
    assert rejected([[0.01, 0.02, 0.06, 0.001]], 0.05) == [2]
    assert rejected([[0.05]], 0.05) == [1]


def test_sequences_share_the_level():
    assert rejected([[0.02, 0.01], [0.03, 0.01]], 0.05) == [2, 2]
    assert rejected([[0.026, 0.01], [0.03, 0.01]], 0.05) == [0, 0]


def test_a_sequence_rejected_to_its_end_leaves_its_share_to_the_others():
    # By hand: 0.05 / 2 each; the first is rejected whole, so the second is tested at 0.05.
    walks = walk([[0.02], [0.01, 0.04]], 0.05)
    assert [walked.rejected for walked in walks] == [1, 2]
    assert [walked.level for walked in walks] == [0.025, 0.05]
    # Of three, a share of 0.02 goes to two others in halves, and what these leave goes to the last.
    walks = walk([[0.02], [0.03, 0.03], [0.06]], 0.06)
    assert [(walked.rejected, round(walked.level, 6)) for walked in walks] == [(1, 0.02), (2, 0.03), (1, 0.06)]


def test_weights_say_how_the_level_and_what_is_left_of_it_are_shared():
    walks = walk_chains([[0.9], [0.9], [0.9]], [3, 1, 1], 0.05)
    assert [walked.level for walked in walks] == pytest.approx([0.03, 0.01, 0.01])
    walks = walk_chains([[0.9], [0.9], [0.001]], [3, 1, 1], 0.05)
    assert [walked.level for walked in walks] == pytest.approx([0.0375, 0.0125, 0.01])


def test_what_cannot_be_tested_ends_a_sequence_and_keeps_its_share():
    walks = walk([[0.01, math.nan, 0.01], [0.03]], 0.05)
    assert [(walked.rejected, walked.level) for walked in walks] == [(1, 0.025), (0, 0.025)]
    assert rejected([[math.nan], [0.03]], 0.05) == [0, 0]
    assert walk([], 0.05) == []


def test_all_looks_together_spend_no_more_than_the_level():
    spent = [level_of_look(0.05, look) for look in range(1, 40)]
    assert spent[0] == pytest.approx(0.04)
    assert spent[1] == pytest.approx(0.008)
    assert sum(spent) == pytest.approx(0.05)
    assert spent == sorted(spent, reverse=True)
