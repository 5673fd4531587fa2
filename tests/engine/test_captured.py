"""A stack's step as a CUDA graph: on a CPU, with a recorder that repeats a step as a graph does, from fixed tensors."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lthray.engine import captured
from lthray.engine.captured import WARM_UP, CapturedTraining
from lthray.engine.stack import StackTraining
from lthray.engine.state import begin_round
from lthray.engine.training import batches
from lthray.errors import InputError
from tests.engine.test_tiled import networks
from tests.helpers import CPU


class Recorder(TorchDispatchMode):
    """Notes each operation with its tensors; to repeat them, it writes the results into the tensors of the recording.

    Like a CUDA graph, it never runs Python again, and refuses to read a value off the device or to draw numbers.
    """

    def __init__(self):
        super().__init__()
        self.operations = []

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        assert operation is not torch.ops.aten._local_scalar_dense.default, "a value is read off the device"
        assert torch.Tag.nondeterministic_seeded not in operation.tags, f"{operation} draws random numbers"
        results = operation(*arguments, **(options or {}))
        if operation not in (torch.ops.aten.new_empty.default, torch.ops.aten.empty_like.default):
            self.operations.append((operation, arguments, options or {}, results))
        return results

    def repeat(self):
        for operation, arguments, options, results in self.operations:
            repeated = operation(*arguments, **options)
            for old, new in zip(tree_leaves(results), tree_leaves(repeated), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def capturing(start, masks, specs):
    """A captured training whose graph is a recording."""

    def capture(work):
        state = training.stack.optimizer.state.values()
        tensors = [*training.stack.weights, *(tensor for entry in state for tensor in entry.values())]
        before = [tensor.clone() for tensor in tensors]
        with Recorder() as recorder:
            work()
        for tensor, value in zip(tensors, before, strict=True):
            assert not torch.equal(tensor, value), "the recording is not of a whole step"
            tensor.copy_(value)  # to capture a graph changes nothing
        return recorder.repeat

    training = CapturedTraining(start, masks, specs, capture)
    return training


SETTINGS = {
    "natural": {},
    "fgsm": {"train_attack": "fgsm", "attack_label": "ground-truth"},
    "pgd": {"train_attack": "pgd", "pgd": {"steps": 3}},
    "pgd from the images": {"train_attack": "pgd", "pgd": {"steps": 2, "random_start": False}},
    "pgd in L2 with restarts": {"train_attack": "pgd", "norm": "l2", "epsilon": 2, "pgd": {"steps": 2, "restarts": 2}},
    "lenet-5": {"model": "lenet-5", "train_attack": "fgsm"},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_graphs_steps_are_those_without_it_bit_for_bit(name, make, digits):
    """Over the end of an epoch, whose last batch is smaller."""
    specs = [make(seed=seed, batch_size=200, drop_last=False, **SETTINGS[name]) for seed in (3, 4)]
    weights, masks = networks(specs, 1.0 if name == "lenet-5" else 0.5, torch.float32)
    left = {}
    for way in (StackTraining, capturing):
        start = begin_round(weights, specs, 1)
        training = way(start, masks, specs)
        for _, batch in zip(range(WARM_UP + 6), batches(specs, 1, CPU), strict=False):
            training.step(*digits.train.batch(batch), start.generators)
        current, averages = training.current()
        left[way] = [*current, *averages.mean, *averages.square, *(source.get_state() for source in start.generators)]
    assert training.steps == WARM_UP + 5, "the smaller batch is not the graph's"
    for tensor, expected in zip(left[capturing], left[StackTraining], strict=True):
        assert torch.equal(tensor, expected)


def test_the_recorder_refuses_what_a_graph_can_not_hold():
    with pytest.raises(AssertionError, match="read off the device"), Recorder():
        torch.ones(3).sum().item()
    with pytest.raises(AssertionError, match="random numbers"), Recorder():
        torch.empty(3).uniform_()


def test_graphs_are_asked_for_by_the_environment_and_only_on_cuda(monkeypatch):
    cuda = torch.device("cuda")
    monkeypatch.delenv(captured.VARIABLE, raising=False)
    assert not captured.is_wanted(cuda)
    monkeypatch.setenv(captured.VARIABLE, "1")
    assert captured.is_wanted(cuda)
    assert not captured.is_wanted(CPU)
    monkeypatch.setenv(captured.VARIABLE, "yes")
    with pytest.raises(InputError, match=r"LTHRAY_CUDA_GRAPHS.*'yes'.*0 and 1"):
        captured.is_wanted(CPU)
