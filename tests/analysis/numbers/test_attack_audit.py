import math

import pandas as pd
import pytest

from lthray.analysis.numbers import attack_audit
from tests.analysis import synthetic


def frame(fgsm, pgd):
    rounds = synthetic.trajectory(train_attack="none", rounds=0)
    for moment in ("early_stopping", "final"):
        for split in ("validation", "test"):
            rounds[f"{moment}_fgsm_accuracy_{split}"] = 0.5
            rounds[f"{moment}_pgd_accuracy_{split}"] = 0.4
    return rounds.assign(final_fgsm_accuracy_test=fgsm, final_pgd_accuracy_test=pgd)


@pytest.mark.parametrize(("fgsm", "pgd", "found"), [(0.5, 0.5, 0), (0.5, 0.504, 0), (0.5, 0.51, 1), (0.5, 0.3, 0)])
def test_half_a_point_is_let_pass(fgsm, pgd, found):
    assert len(attack_audit.weaker_pgd(frame(fgsm, pgd))) == found


def test_what_is_found_is_placed():
    row = attack_audit.weaker_pgd(frame(0.5, 0.75)).iloc[0]
    assert (row["moment"], row["split"], row["fgsm"], row["pgd"], row["excess"]) == ("final", "test", 0.5, 0.75, 0.25)


def test_one_attack_alone_is_not_compared():
    rounds = synthetic.trajectory(train_attack="pgd", rounds=1)
    bare = rounds.drop(columns=[name for name in rounds.columns if "_fgsm_" in name])
    assert attack_audit.weaker_pgd(rounds).empty
    assert attack_audit.weaker_pgd(bare).empty
    assert "no network met both attacks" in attack_audit.describe_audit(bare)


def test_inputs_without_a_gradient():
    rounds = synthetic.trajectory(train_attack="fgsm", rounds=2)
    assert attack_audit.no_gradient(rounds).empty
    rounds["final_zero_gradient_share_validation"] = [0.01, 0.011, math.nan]
    found = attack_audit.no_gradient(rounds)
    assert found[["round", "moment", "split", "share"]].to_numpy().tolist() == [[1, "final", "validation", 0.011]]
    rounds["final_zero_gradient_share_validation"] = pd.Series([None, None, None], dtype=object)
    assert attack_audit.no_gradient(rounds).empty
