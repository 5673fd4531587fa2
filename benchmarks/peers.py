"""The loops that `lthray bench` compares with: those that a researcher writes with PyTorch and an attack library.

They use nn.Module, autograd, torch.optim.Adam, and the attacks of torchattacks, foolbox or the Adversarial Robustness
Toolbox (ART), whichever are installed. They follow the same protocol as lthray: batches from a new permutation each
epoch, attacks away from the model's own prediction, the mean of natural and adversarial loss, and masked gradients that
keep pruned weights at zero. Batches are indexed from tensors, which is faster than a DataLoader.
"""

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthray.spec.trajectory import TrajectorySpec

EVALUATION_BATCH = 500

Attack = Callable[[Tensor, Tensor], Tensor]


class Peer:
    """A network, its optimizer and the attack of one library."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        masks: Sequence[Tensor],
        spec: TrajectorySpec,
        attack: str,
        library: Callable[[nn.Module, TrajectorySpec, str], Attack],
    ) -> None:
        layers = [nn.Linear(weight.shape[1], weight.shape[0], bias=False) for weight in weights]
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.data.copy_(weight)
        self.model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.masks = [None if bool(mask.all()) else mask.to(torch.float32) for mask in masks]
        self.adam = torch.optim.Adam(self.model.parameters(), lr=spec.learning_rate, eps=1e-7)
        self.attack = None if attack == "none" else library(self.model, spec, attack)
        self.spec = spec
        self.batches: Iterator[Tensor] = iter(())

    def train(self, images: Tensor, labels: Tensor, steps: int) -> None:
        """Takes `steps` optimizer steps."""
        for _ in range(steps):
            batch = next(self.batches, None)
            if batch is None:
                self.batches = iter(torch.randperm(len(labels)).split(self.spec.batch_size))
                batch = next(self.batches)
            self.step(images[batch], labels[batch])

    def step(self, x: Tensor, y: Tensor) -> None:
        """Takes one optimizer step on images (B, D) and labels (B,)."""
        natural = self.model(x)
        loss = F.cross_entropy(natural, y, label_smoothing=self.spec.label_smoothing)
        if self.attack:
            adversarial = self.model(self.attack(x, natural.argmax(-1)))
            worse = F.cross_entropy(adversarial, y, label_smoothing=self.spec.label_smoothing)
            loss = (1 - self.spec.adversarial_weight) * loss + self.spec.adversarial_weight * worse
        self.adam.zero_grad()
        loss.backward()
        for parameter, mask in zip(self.model.parameters(), self.masks, strict=True):
            if mask is not None:
                parameter.grad *= mask
        self.adam.step()

    def evaluate(self, images: Tensor, labels: Tensor) -> None:
        """Computes natural and adversarial loss and accuracy."""
        for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            with torch.no_grad():
                natural = self.model(x)
                F.cross_entropy(natural, y, reduction="sum").item()
                (natural.argmax(-1) == y).sum().item()
            attacked = self.attack(x, natural.argmax(-1))
            with torch.no_grad():
                adversarial = self.model(attacked)
                F.cross_entropy(adversarial, y, reduction="sum").item()
                (adversarial.argmax(-1) == y).sum().item()


def _torchattacks(model: nn.Module, spec: TrajectorySpec, attack: str) -> Attack:
    import torchattacks

    if attack == "fgsm":
        return torchattacks.FGSM(model, eps=spec.epsilon)
    return torchattacks.PGD(
        model, eps=spec.epsilon, alpha=spec.pgd.step_size, steps=spec.pgd.steps, random_start=spec.pgd.random_start
    )


def _foolbox(model: nn.Module, spec: TrajectorySpec, attack: str) -> Attack:
    import foolbox

    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1))
    if attack == "fgsm":
        found = foolbox.attacks.FGSM(random_start=False)
    else:
        found = foolbox.attacks.LinfPGD(
            abs_stepsize=spec.pgd.step_size, steps=spec.pgd.steps, random_start=spec.pgd.random_start
        )
    return lambda x, y: found.run(wrapped, x, y, epsilon=spec.epsilon)


def _art(model: nn.Module, spec: TrajectorySpec, attack: str) -> Attack:
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    shape = (model[0].in_features,)
    wrapped = PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
    if attack == "fgsm":
        found = FastGradientMethod(wrapped, eps=spec.epsilon, batch_size=EVALUATION_BATCH)
    else:
        found = ProjectedGradientDescent(
            wrapped,
            eps=spec.epsilon,
            eps_step=spec.pgd.step_size,
            max_iter=spec.pgd.steps,
            num_random_init=int(spec.pgd.random_start),
            batch_size=EVALUATION_BATCH,
            verbose=False,
        )
    return lambda x, y: torch.from_numpy(found.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()]))


LIBRARIES = {"torchattacks": _torchattacks, "foolbox": _foolbox, "art": _art}


def peers(
    weights: Sequence[Tensor], masks: Sequence[Tensor], spec: TrajectorySpec, attack: str, every: bool
) -> dict[str, Peer]:
    """The loops to compare with, by name: one for each library, torchattacks first.

    Args:
        weights: One tensor (out, in) per layer.
        masks: bool, of the same shapes.
        spec: The setting of the trajectory.
        attack: The attack to train against or to evaluate under: `none`, `fgsm` or `pgd`.
        every: Include foolbox and ART where they are installed, not only torchattacks.
    """
    names = ["torchattacks"]
    if every and attack != "none":
        names += [name for name in ("foolbox", "art") if find_spec(name)]
    return {f"plain, {name}": Peer(weights, masks, spec, attack, LIBRARIES[name]) for name in names}
