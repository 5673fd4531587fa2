"""The closed form against autograd, and against torch's own functions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lthray.engine import network
from lthray.engine.randomness import Draw, generator
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import modules

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


NETWORKS = [
    {"model": "lenet-5"},
    {"model": "lenet-5", "dataset": "mnist"},
    {"model": "mlp", "widths": [20, 12, 15, 11]},
    {"model": "mlp", "widths": [9]},
]


@pytest.mark.parametrize("fields", NETWORKS, ids=str)
def test_every_network_and_its_gradients_are_those_of_modules_with_autograd_alone_and_in_a_stack(fields):
    spec = TrajectorySpec.model_validate({"dataset": "digits-8x8"} | fields)
    torch.manual_seed(0)
    drawn = [network.glorot_uniform(list(spec.layer_sizes.values()), generator(i, Draw.INIT)) for i in range(3)]
    alone = [tuple(weight.double() for weight in one) for one in drawn]
    stacked = tuple(torch.stack(layer) for layer in zip(*alone, strict=True))
    images, labels = torch.rand(3, 5, spec.inputs, dtype=torch.float64), torch.randint(0, 10, (3, 5))
    close = {"atol": 1e-12, "rtol": 1e-10}

    activations = network.forward(stacked, images)
    slope = network.cross_entropy_gradient(activations[-1], network.one_hot(labels, activations[-1]))
    by_images = network.image_gradient(stacked, activations, slope)
    by_weights = network.weight_gradients(stacked, activations, slope)
    for i, weights in enumerate(alone):
        module, leaves = modules(spec, weights), images[i].clone().requires_grad_()
        logits = module(leaves)
        F.cross_entropy(logits, labels[i], reduction="sum").backward()
        own = network.forward(weights, images[i])
        torch.testing.assert_close(own[-1], logits, **close)
        torch.testing.assert_close(activations[-1][i], logits, **close)
        torch.testing.assert_close(by_images[i], leaves.grad, **close)
        torch.testing.assert_close(network.image_gradient(weights, own, slope[i]), leaves.grad, **close)
        found = network.weight_gradients(weights, own, slope[i])
        for one, other, parameter in zip(found, by_weights, module.parameters(), strict=True):
            torch.testing.assert_close(one, parameter.grad, **close)
            torch.testing.assert_close(other[i], parameter.grad, **close)
            assert parameter.grad.abs().max() > 1e-3
    shared = network.forward(stacked, images[0])
    torch.testing.assert_close(shared[-1], network.forward(stacked, images[:1].expand(3, -1, -1))[-1], **close)
    of_each = [network.image_gradient(w, network.forward(w, images[0]), slope[i]) for i, w in enumerate(alone)]
    torch.testing.assert_close(network.image_gradient(stacked, shared, slope), torch.stack(of_each), **close)


@pytest.mark.parametrize("size", [(6, 1, 5, 5), (16, 6, 5, 5), (120, 400), (10, 84)])
def test_glorot_uniform_is_that_of_torch(size):
    (found,) = network.glorot_uniform((size,), generator(1, Draw.INIT))
    expected = nn.init.xavier_uniform_(torch.empty(size), generator=generator(1, Draw.INIT))
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)


def test_a_convolution_keeps_nan_and_the_gradient_of_equal_pixels_is_that_of_autograd():
    """A diverged network must be seen; and on a black border whole squares are equal when they are pooled."""
    spec = TrajectorySpec(dataset="digits-8x8", model="lenet-5")
    weights = network.glorot_uniform(list(spec.layer_sizes.values()), generator(0, Draw.INIT))
    weights = tuple(weight.double() for weight in weights)
    image = torch.zeros(1, 64, dtype=torch.float64)
    image[0, 18:22] = 1.0
    leaves = image.clone().requires_grad_()
    logits = modules(spec, weights)(leaves)
    F.cross_entropy(logits, torch.tensor([3])).backward()
    activations = network.forward(weights, image)
    slope = network.cross_entropy_gradient(activations[-1], network.one_hot(torch.tensor([3]), activations[-1]))
    torch.testing.assert_close(network.image_gradient(weights, activations, slope), leaves.grad)
    weights[0][0, 0, 2, 2] = torch.nan
    assert network.forward(weights, image)[-1].isnan().any()
