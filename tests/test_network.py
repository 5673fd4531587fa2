"""The closed form against autograd, and against torch's own functions."""

import pytest
import torch
from torch.nn import functional as F

from lthray import network
from lthray.randomness import Draw, generator

SIZES = ((30, 16), (12, 30), (10, 12))


def stack(s: int = 3, b: int = 7):
    torch.manual_seed(0)
    weights = tuple(torch.randn(s, *size, dtype=torch.float64) / 3 for size in SIZES)
    return weights, torch.rand(s, b, 16, dtype=torch.float64), torch.randint(0, 10, (s, b))


def test_forward_is_three_linear_layers_with_relu_between():
    weights, images, _ = stack()
    logits = network.forward(weights, images)[-1]
    for i in range(3):
        h = F.relu(F.linear(images[i], weights[0][i]))
        h = F.relu(F.linear(h, weights[1][i]))
        torch.testing.assert_close(logits[i], F.linear(h, weights[2][i]))


def test_images_may_be_shared_by_the_stack():
    weights, images, _ = stack()
    shared = network.forward(weights, images[0])[-1]
    torch.testing.assert_close(shared, network.forward(weights, images[0].expand(3, -1, -1))[-1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_gradients_are_those_of_autograd(smoothing):
    weights, images, labels = stack()
    inputs, leaves = images.clone().requires_grad_(), [w.clone().requires_grad_() for w in weights]
    logits = network.forward(tuple(leaves), inputs)[-1]
    loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), label_smoothing=smoothing, reduction="sum")
    loss.backward()

    activations = network.forward(weights, images)
    targets = network.one_hot(labels, activations[-1], smoothing)
    slope = network.cross_entropy_gradient(activations[-1], targets)
    torch.testing.assert_close(network.image_gradient(weights, activations, slope), inputs.grad, atol=1e-12, rtol=1e-10)
    for found, leaf in zip(network.weight_gradients(weights, activations, slope), leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad, atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(network.cross_entropy(activations[-1], targets).sum(), loss.detach(), rtol=1e-10, atol=0)


def test_smoothed_labels_are_091_and_001():
    targets = network.one_hot(torch.tensor([[2]]), torch.zeros(1, 1, 10), 0.1)
    assert targets[0, 0].tolist() == pytest.approx([0.01] * 2 + [0.91] + [0.01] * 7)
    assert network.one_hot(torch.tensor([[2]]), torch.zeros(1, 1, 10))[0, 0].tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0]


def test_glorot_uniform_fills_its_range():
    weights = network.glorot_uniform(((300, 784), (100, 300)), generator(0, Draw.INIT))
    for weight in weights:
        out, width = weight.shape
        limit = (6 / (out + width)) ** 0.5
        assert weight.abs().max() <= limit
        assert weight.abs().max() > 0.999 * limit
        assert weight.std() == pytest.approx(limit / 3**0.5, rel=0.01)
