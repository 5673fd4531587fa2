"""What each strategy starts from."""

import torch

from lthray.methods.strategies import STRATEGIES, Past


def test_each_strategy_starts_from_its_own():
    past = Past(
        initial=(torch.tensor([-5.0, 5.0, -5.0, 5.0, -5.0]),),
        rewound=(torch.zeros(5),),
        trained=(torch.ones(5),),
        before=(torch.tensor([True, False, True, True, True]),),
        masks=(torch.tensor([True, False, True, False, False]),),
        draw=lambda: (torch.tensor([2.0, 2.0, -2.0, -2.0, 2.0]),),
        permutation=lambda count: torch.arange(count).roll(1),
    )
    starts = {name: start(past) for name, start in STRATEGIES.items()}
    assert {name: weights[0].tolist() for name, (weights, _) in starts.items()} == {
        "reset": [0.0] * 5,
        "random": [2.0, 2.0, -2.0, -2.0, 2.0],
        "continued": [1.0] * 5,
        "kept-signs": [-2.0, 2.0, -2.0, 2.0, -2.0],
        "shuffled": [0.0] * 5,
        "transfer": [0.0] * 5,
    }
    masks = {name: masks[0].tolist() for name, (_, masks) in starts.items()}
    # the four that remained before had kept 1, 1, 0, 0; rolled by one, 0, 1, 1, 0
    assert masks.pop("shuffled") == [False, False, True, True, False]
    assert set(map(tuple, masks.values())) == {(True, False, True, False, False)}
