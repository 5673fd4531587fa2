"""What each strategy starts from."""

import torch

from lthray.strategies import STRATEGIES, Past


def test_each_strategy_starts_from_its_own():
    past = Past(rewound=(torch.zeros(1),), trained=(torch.ones(1),), draw=lambda: (torch.full((1,), 2.0),))
    assert {name: start(past)[0].item() for name, start in STRATEGIES.items()} == {
        "reset": 0.0,
        "random": 2.0,
        "continued": 1.0,
    }
