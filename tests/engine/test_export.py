"""Tickets as plain modules: normalisation of images and of features."""

import json

import pytest
import torch

from lthray.engine.data import on_device
from lthray.engine.export import to_module
from lthray.engine.module import build_module, describe_tensors
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.attacks import NATURAL
from lthray.methods.datasets import DatasetFacts
from lthray.spec.arguments import freeze
from tests.engine.test_module import MLP, own
from tests.helpers import CPU, own_arrays, own_fields


@pytest.mark.parametrize("shape", [(3, 4, 4), (5,)], ids=["images", "features"])
@pytest.mark.parametrize("names", [("mean",), ("std",), ("mean", "std")], ids="-".join)
def test_a_module_behind_its_normalisation_has_the_loss_of_the_row(shape, names, make):
    facts = DatasetFacts(shape, 3, 60, None, 20, {})
    fields, arguments = own_fields(facts), {"widths": [6]}
    fields["own"]["tensors"] = json.dumps(describe_tensors(build_module(MLP, arguments, facts, "", 0), MLP))
    normalize = {name: [0.1 * (place + 2) for place in range(shape[0])] for name in names}
    small = {"validation_size": 20, "batch_size": 10, "rounds": 0, "iterations": 20, "train_attack": "none"}
    spec = make(**fields, **small, model=MLP, model_args=arguments, normalize=normalize)
    data = on_device(own_arrays(facts), 20, CPU)
    (stack,) = run([spec], data)
    row = stack[0].row(NATURAL, "test", 20)
    with torch.no_grad():
        logits = to_module(spec, stack[0].ticket)(data.test.images.view(-1, *shape))
    assert logits.shape == (20, 3)
    assert torch.nn.functional.cross_entropy(logits, data.test.labels) == pytest.approx(row.loss, abs=1e-5)


def test_another_network_than_the_ticket_s_is_one_line(make, digits):
    fields = {"rounds": 0, "iterations": 10, "eval_every": 10}
    (stack,) = run([make(**own(MLP, widths=[6]), **fields)], digits)
    other = make(**own(MLP, widths=[6]), **fields).model_copy(update={"model_args": freeze({"widths": [7]})})
    with pytest.raises(InputError, match="makes another network than the ticket's"):
        to_module(other, stack[0].ticket)
