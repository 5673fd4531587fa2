import pandas as pd
import pytest

from lthray.analysis import panels, summarise
from lthray.analysis.page.headings import describe_panel
from tests.analysis import synthetic


def headings(**axes):
    rounds = pd.concat(synthetic.grid(train_attack="fgsm", rounds=0, **axes), ignore_index=True)
    return [describe_panel(rounds, panel) for panel in panels(summarise(rounds))]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        ({}, ["fashion-mnist · LeNet-300-100 · ε = 0.3"]),
        ({"model": "mlp", "widths": "100-50"}, ["fashion-mnist · MLP 100-50 · ε = 0.3"]),
        ({"model": "lenet-5", "norm": "l2", "epsilon": 1.5}, ["fashion-mnist · LeNet-5 · ε = 1.5 in L2"]),
        (
            {"epsilon": [0.1, 0.2]},
            ["fashion-mnist · epsilon 0.1 · LeNet-300-100", "fashion-mnist · epsilon 0.2 · LeNet-300-100"],
        ),
        (
            {"dataset": ["mnist", "digits-8x8"]},
            ["digits-8x8 · LeNet-300-100 · ε = 0.3", "mnist · LeNet-300-100 · ε = 0.3"],
        ),
    ],
)
def test_a_heading_names_network_and_epsilon(axes, expected):
    assert headings(**axes) == expected


def test_fields_that_a_table_lacks_are_not_named():
    rounds = synthetic.trajectory(train_attack="fgsm").drop(columns=["model", "widths", "epsilon", "norm"])
    (panel,) = panels(summarise(rounds))
    assert describe_panel(rounds, panel) == "fashion-mnist"
