"""AutoAttack on a network, by the package torchattacks.

The standard suite (Croce and Hein 2020): APGD-CE, targeted APGD on the difference of logits ratio, targeted FAB, 100
iterations each, and Square with 5,000 queries. The `AutoAttack` of torchattacks lets its attacks take 10 iterations, so
they are put together here with the published numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from lthray.engine.differentiable import ClosedForm, Differentiable
from lthray.engine.module import ModuleNetwork
from lthray.engine.network import forward, image_gradient, one_hot
from lthray.methods.attacks import NATURAL, Attack
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec

ITERATIONS, QUERIES, SEED = 100, 5_000, 0
NORMS = {"linf": "Linf", "l2": "L2"}
"""The norms as torchattacks names them."""


class _Logits(torch.autograd.Function):
    """A network with its gradient in closed form, for attacks that call autograd themselves."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, *weights: Tensor) -> Tensor:
        """Logits (B, C) of images (B, D)."""
        activations = forward(weights, images)
        ctx.layers = len(weights)
        ctx.save_for_backward(*weights, *activations)
        return activations[-1]

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient with respect to the images, from the logits' gradient; none for the weights."""
        weights, activations = ctx.saved_tensors[: ctx.layers], ctx.saved_tensors[ctx.layers :]
        return image_gradient(weights, activations, slopes[0].contiguous()), *[None] * ctx.layers


class _Model(nn.Module):
    """A network as torchattacks wants it: images (B, channels, H, W) in, logits (B, C) out."""

    def __init__(self, logits: Callable[[Tensor], Tensor], device: torch.device) -> None:
        super().__init__()
        self.logits = logits
        # torchattacks asks a model's parameters for its device.
        self.place = nn.Parameter(torch.empty(0, device=device), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images of any shape (B, ...)."""
        return self.logits(images.flatten(1))


def suite(model: nn.Module, norm: str, epsilon: float, classes: int) -> Any:
    """The standard suite against a model of images (B, channels, H, W), as a torchattacks attack on images and labels.

    It takes square images, and at least four classes: the difference of logits ratio needs the four largest logits.
    """
    import torchattacks

    common = {"norm": NORMS[norm], "eps": epsilon, "seed": SEED}
    return torchattacks.MultiAttack(
        [
            torchattacks.APGD(model, **common, steps=ITERATIONS, loss="ce"),
            torchattacks.APGDT(model, **common, steps=ITERATIONS, n_classes=classes),
            torchattacks.FAB(model, **common, steps=ITERATIONS, multi_targeted=True, n_classes=classes),
            torchattacks.Square(model, **common, n_queries=QUERIES),
        ]
    )


def autoattack_logits(
    weights: Layers,
    spec: TrajectorySpec,
    images: Tensor,
    labels: Tensor,
    generators: Mapping[Attack, Sequence[torch.Generator]],
) -> tuple[dict[Attack, Tensor], dict[Attack, Tensor]]:
    """As `evaluation.dense_logits`, for AutoAttack alone, which draws from SEED instead of `generators`."""
    (attack,) = generators
    setting = spec.setting(attack)
    network, differentiable = _networks(weights, spec)
    natural, gradient_of = network.logits_and_gradient(images)
    unmoved = (gradient_of(one_hot(labels, natural)) == 0).all(-1).sum(-1)
    if setting.epsilon == 0:
        return {NATURAL: natural, attack: natural}, {attack: unmoved}
    model = _Model(differentiable, images.device)
    with torch.random.fork_rng(), torch.enable_grad():
        attacks = suite(model, setting.norm, setting.epsilon, spec.data.classes)
        adversarial = attacks(images.view(-1, *spec.data.shape), labels)
    return {NATURAL: natural, attack: network.logits(adversarial.detach().flatten(1))}, {attack: unmoved}


def _networks(weights: Layers, spec: TrajectorySpec) -> tuple[Differentiable, Callable[[Tensor], Tensor]]:
    """A network, and its logits (B, C) as a function of images (B, D) that autograd can follow."""
    if spec.is_module:
        module = ModuleNetwork(spec, weights)
        return module, module.forward
    return ClosedForm(weights), lambda images: cast(Tensor, _Logits.apply(images, *weights))
