"""Training losses against their authors' formulas, written out with torch's own functions, in double precision."""

import pytest
import torch
from torch.nn import functional as F

from lthray.methods.attacks import Setting
from lthray.methods.objectives import OBJECTIVES, Outputs, fast_setting, warm_up


@pytest.fixture
def outputs():
    torch.manual_seed(0)
    natural, adversarial = (torch.randn(7, 5, dtype=torch.float64).requires_grad_() for _ in range(2))
    labels = torch.randint(5, (7,))
    return Outputs(natural, adversarial, F.one_hot(labels, 5).double(), labels, weight=0.3, beta=6.0)


def trades(at):
    """The loss in the code of its authors."""
    robust = F.kl_div(F.log_softmax(at.adversarial, 1), F.softmax(at.natural, 1), reduction="batchmean")
    return F.cross_entropy(at.natural, at.labels) + at.beta * robust


def mart(at):
    """The loss in the code of its authors."""
    probs = F.softmax(at.adversarial, 1)
    second = torch.argsort(probs, 1)[:, -2:]
    others = torch.where(second[:, -1] == at.labels, second[:, -2], second[:, -1])
    boosted = F.cross_entropy(at.adversarial, at.labels) + F.nll_loss(torch.log(1.0001 - probs + 1e-12), others)
    natural = F.softmax(at.natural, 1)
    true = natural.gather(1, at.labels.unsqueeze(1)).squeeze()
    each = F.kl_div(torch.log(probs + 1e-12), natural, reduction="none").sum(1)
    return boosted + at.beta * (each * (1.0000001 - true)).mean()


FORMULAS = {
    "mixed": lambda at: 0.7 * F.cross_entropy(at.natural, at.labels) + 0.3 * F.cross_entropy(at.adversarial, at.labels),
    "trades": trades,
    "mart": mart,
    "fast": lambda at: F.cross_entropy(at.adversarial, at.labels),
    "free": lambda at: F.cross_entropy(at.adversarial, at.labels),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_value_and_gradients_are_those_of_the_authors_formula(name, outputs):
    logits = (outputs.natural, outputs.adversarial)
    ours, theirs = OBJECTIVES[name].loss(outputs), FORMULAS[name](outputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    slopes = (torch.autograd.grad(loss, logits, allow_unused=True, materialize_grads=True) for loss in (ours, theirs))
    for one, other in zip(*slopes, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_of_a_stack_is_the_sum_over_its_networks(name, outputs):
    def stacked(tensor):
        return torch.stack([tensor, tensor.flip(0)])

    parts = (stacked(part) for part in (outputs.natural, outputs.adversarial, outputs.targets, outputs.labels))
    together = OBJECTIVES[name].loss(Outputs(*parts, outputs.weight, outputs.beta))
    torch.testing.assert_close(together, 2 * OBJECTIVES[name].loss(outputs))


def test_fast_training_takes_one_longer_step_and_a_warm_up_grows():
    setting = Setting("fgsm", 0.2, "linf", steps=1, step_size=0.2)
    fast = fast_setting(setting)
    assert (fast.attack, fast.steps, fast.random_start) == ("pgd", 1, True)
    assert fast.step_size == pytest.approx(0.25)
    assert [warm_up(fast, step, 4).epsilon for step in (0, 1, 4, 9)] == pytest.approx([0, 0.05, 0.2, 0.2])
    assert warm_up(fast, 2, 4).step_size == pytest.approx(0.125)
