"""`torch.compile`: one compiled function is a whole training step, from gathering the batch to Adam, attack included.

Gradients come from torch.func.grad, the attack's steps are unrolled, weights are updated in place. Tried and left out:
max-autotune (Inductor's own products want constant weights), the C++ wrapper, torch's random numbers instead of
Inductor's. On a shared core they were within 4 % of the default, too close to tell which is best.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from lthray.bench.loops import Network
from lthray.engine.adam import BETAS, EPSILON
from lthray.methods.attacks import Setting
from lthray.spec.trajectory import TrajectorySpec

from .protocol import EVALUATION_BATCH, Objective, shuffled_batches

compiled = partial(torch.compile, fullgraph=True, dynamic=False)


def _logits(weights: Network, x: Tensor) -> Tensor:
    for weight in weights[:-1]:
        x = F.relu(F.linear(x, weight))
    return F.linear(x, weights[-1])


def _loss(weights: Network, x: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(_logits(weights, x), labels, reduction="sum")


def _attack(setting: Setting, weights: Network, x: Tensor, away: Tensor) -> Tensor:
    gradient = torch.func.grad(_loss, argnums=1)
    if setting.attack == "fgsm":
        return (x + setting.epsilon * gradient(weights, x, away).sign()).clamp(0, 1)
    low, high = (x - setting.epsilon).clamp(min=0), (x + setting.epsilon).clamp(max=1)
    adversarial = x
    if setting.random_start:
        adversarial = (x + setting.epsilon * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    for _ in range(setting.steps):
        adversarial = adversarial + setting.step_size * gradient(weights, adversarial, away).sign()
        adversarial = torch.minimum(torch.maximum(adversarial, low), high)
    return adversarial


@compiled
def _step(
    weights: Network,
    means: Network,
    squares: Network,
    count: Tensor,
    masks: Network,
    images: Tensor,
    labels: Tensor,
    batch: Tensor,
    objective: Objective,
) -> None:
    x, y = images.index_select(0, batch), labels.index_select(0, batch)

    def loss(weights: Network) -> Tensor:
        natural = _logits(weights, x)
        mean = F.cross_entropy(natural, y, label_smoothing=objective.label_smoothing)
        if objective.attack is None:
            return mean
        fixed = [weight.detach() for weight in weights]
        adversarial = _attack(objective.attack, fixed, x, natural.detach().argmax(-1)).detach()
        worse = F.cross_entropy(_logits(weights, adversarial), y, label_smoothing=objective.label_smoothing)
        return (1 - objective.adversarial_weight) * mean + objective.adversarial_weight * worse

    gradients = torch.func.grad(loss)(weights)
    count.add_(1)
    rate = objective.learning_rate / (1 - BETAS[0] ** count)
    root = (1 - BETAS[1] ** count).sqrt()
    for weight, mean, square, mask, slope in zip(weights, means, squares, masks, gradients, strict=True):
        kept = slope * mask
        mean.mul_(BETAS[0]).add_(kept, alpha=1 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(kept, kept, value=1 - BETAS[1])
        weight.sub_(rate * mean / (square.sqrt() / root + EPSILON))


@compiled
def _evaluate(weights: Network, x: Tensor, y: Tensor, settings: tuple[Setting, ...]) -> list[tuple[Tensor, Tensor]]:
    natural = _logits(weights, x)
    away = natural.argmax(-1)
    every = [natural, *(_logits(weights, _attack(setting, weights, x, away)) for setting in settings)]
    return [(F.cross_entropy(each, y, reduction="sum"), (each.argmax(-1) == y).sum()) for each in every]


class CompiledPeer:
    """The state of one network's training, for the compiled step."""

    def __init__(self, weights: Network, masks: Network, spec: TrajectorySpec) -> None:
        self.network = [weight.clone() for weight in weights]
        self.masks = [mask.to(torch.float32) for mask in masks]
        self.means, self.squares = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
        self.count = torch.zeros(())
        self.objective, self.batch_size = Objective.read(spec), spec.batch_size
        self.names = ("none", *map(str, spec.eval_attacks))
        self.settings = tuple(spec.setting(attack) for attack in spec.eval_attacks)
        self.batches: Iterator[Tensor] | None = None

    @torch.no_grad()
    def train(self, images: Tensor, labels: Tensor, steps: int) -> None:
        """Takes `steps` optimizer steps."""
        self.batches = self.batches or shuffled_batches(len(labels), self.batch_size)
        state = (self.network, self.means, self.squares, self.count, self.masks)
        for _, batch in zip(range(steps), self.batches, strict=False):
            _step(*state, images, labels, batch, self.objective)

    @torch.no_grad()
    def evaluate(self, images: Tensor, labels: Tensor) -> dict[str, tuple[float, float]]:
        """Mean loss and accuracy, by attack."""
        chunks = zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
        sums = torch.tensor([_evaluate(self.network, x, y, self.settings) for x, y in chunks]).sum(0) / len(labels)
        return {name: (loss, accuracy) for name, (loss, accuracy) in zip(self.names, sums.tolist(), strict=True)}

    def weights(self) -> list[Tensor]:
        """The current weights, (out, in) a layer."""
        return self.network
