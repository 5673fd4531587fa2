"""Products against torch's own, by whichever library they go."""

import pytest
import torch

from lthray.engine.matmul import WORTH_IT, product
from lthray.engine.network import forward


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(60, 784, 300), (60, 300, 100), (60, 100, 10), (1, 784, 300), (20, 64, 300)])
def test_a_product_and_those_of_its_transposes_are_torchs(shape, dtype):
    batch, width, out = shape
    a, b, c = (
        torch.randn(batch, width, dtype=dtype),
        torch.randn(out, width, dtype=dtype),
        torch.randn(batch, out, dtype=dtype),
    )
    for one, other in ((a, b), (c, b.mT), (c.mT, a.mT)):
        torch.testing.assert_close(product(one, other), one @ other.mT, rtol=1e-4, atol=1e-4)


def test_a_stack_is_multiplied_at_once():
    a, b = torch.randn(3, 5, 7), torch.randn(3, 4, 7)
    torch.testing.assert_close(product(a, b), torch.einsum("smk,snk->smn", a, b))
    torch.testing.assert_close(product(a[0], b), torch.einsum("mk,snk->smn", a[0], b))


def test_what_is_not_finite_stays_so_behind_a_large_product_and_its_relu():
    images, weights = torch.rand(60, 784), tuple(torch.randn(*size) for size in ((300, 784), (100, 300), (10, 100)))
    assert images.shape[0] * weights[0].numel() > WORTH_IT
    images[3, 7], weights[0][9] = torch.nan, torch.inf
    hidden = forward(weights, images)[1]
    assert torch.equal(hidden.isnan(), torch.relu(images @ weights[0].T).isnan())
    assert hidden[3].isnan().all()
    assert hidden[5, 9].isinf()
