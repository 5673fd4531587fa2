"""The loop that a researcher writes: nn.Module, autograd, torch.optim.Adam, and the attack of a library.

Batches are indexed from tensors, which is faster than a DataLoader.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthray.bench.loops import Network
from lthray.methods.attacks import Setting
from lthray.spec.trajectory import TrajectorySpec

from .protocol import EVALUATION_BATCH, Objective, shuffled_batches

Attack = Callable[[Tensor, Tensor], Tensor]


class PlainPeer:
    """A network, its optimizer and the attacks of one library."""

    def __init__(
        self,
        weights: Network,
        masks: Network,
        spec: TrajectorySpec,
        library: Callable[[nn.Sequential, Setting], Attack],
    ) -> None:
        layers = [nn.Linear(weight.shape[1], weight.shape[0], bias=False) for weight in weights]
        for layer, weight in zip(layers, weights, strict=True):
            layer.weight.data.copy_(weight)
        self.model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.masks = [None if bool(mask.all()) else mask.to(torch.float32) for mask in masks]
        self.adam = torch.optim.Adam(self.model.parameters(), lr=spec.learning_rate, eps=1e-7)
        self.objective, self.batch_size = Objective.read(spec), spec.batch_size
        self.train_attack = library(self.model, self.objective.attack) if self.objective.attack else None
        self.eval_attacks = {str(attack): library(self.model, spec.setting(attack)) for attack in spec.eval_attacks}
        self.batches: Iterator[Tensor] | None = None

    def train(self, images: Tensor, labels: Tensor, steps: int) -> None:
        """Takes `steps` optimizer steps."""
        self.batches = self.batches or shuffled_batches(len(labels), self.batch_size)
        for _, batch in zip(range(steps), self.batches, strict=False):
            self.step(images[batch], labels[batch])

    def step(self, x: Tensor, y: Tensor) -> None:
        """Takes one optimizer step on images (B, D) and labels (B,)."""
        smoothing, w = self.objective.label_smoothing, self.objective.adversarial_weight
        natural = self.model(x)
        loss = F.cross_entropy(natural, y, label_smoothing=smoothing)
        if self.train_attack:
            adversarial = self.model(self.train_attack(x, natural.argmax(-1)))
            loss = (1 - w) * loss + w * F.cross_entropy(adversarial, y, label_smoothing=smoothing)
        self.adam.zero_grad()
        loss.backward()
        for parameter, mask in zip(self.model.parameters(), self.masks, strict=True):
            if mask is not None:
                parameter.grad *= mask
        self.adam.step()

    def evaluate(self, images: Tensor, labels: Tensor) -> dict[str, tuple[float, float]]:
        """Mean loss and accuracy, by attack."""
        totals = dict.fromkeys(("none", *self.eval_attacks), (0.0, 0.0))

        def add(name: str, logits: Tensor, y: Tensor) -> None:
            loss, accuracy = totals[name]
            loss += F.cross_entropy(logits, y, reduction="sum").item() / len(labels)
            totals[name] = loss, accuracy + (logits.argmax(-1) == y).sum().item() / len(labels)

        for x, y in zip(images.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
            with torch.no_grad():
                natural = self.model(x)
                add("none", natural, y)
            for name, attack in self.eval_attacks.items():
                adversarial = attack(x, natural.argmax(-1))
                with torch.no_grad():
                    add(name, self.model(adversarial), y)
        return totals

    def weights(self) -> list[Tensor]:
        """The current weights, (out, in) a layer."""
        return [parameter.detach() for parameter in self.model.parameters()]


def torchattacks_attack(model: nn.Sequential, setting: Setting) -> Attack:
    """An attack of torchattacks."""
    import torchattacks

    if setting.attack == "fgsm":
        return torchattacks.FGSM(model, eps=setting.epsilon)
    return torchattacks.PGD(
        model, eps=setting.epsilon, alpha=setting.step_size, steps=setting.steps, random_start=setting.random_start
    )


def foolbox_attack(model: nn.Sequential, setting: Setting) -> Attack:
    """An attack of foolbox."""
    import foolbox

    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1))
    if setting.attack == "fgsm":
        attack = foolbox.attacks.FGSM(random_start=False)
    else:
        attack = foolbox.attacks.LinfPGD(
            abs_stepsize=setting.step_size, steps=setting.steps, random_start=setting.random_start
        )
    return lambda x, y: attack.run(wrapped, x, y, epsilon=setting.epsilon)


def art_attack(model: nn.Sequential, setting: Setting) -> Attack:
    """An attack of the Adversarial Robustness Toolbox (ART)."""
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    shape = (model[0].in_features,)
    wrapped = PyTorchClassifier(model, nn.CrossEntropyLoss(), shape, 10, clip_values=(0.0, 1.0), device_type="cpu")
    if setting.attack == "fgsm":
        attack = FastGradientMethod(wrapped, eps=setting.epsilon, batch_size=EVALUATION_BATCH)
    else:
        attack = ProjectedGradientDescent(
            wrapped,
            eps=setting.epsilon,
            eps_step=setting.step_size,
            max_iter=setting.steps,
            num_random_init=int(setting.random_start),
            batch_size=EVALUATION_BATCH,
            verbose=False,
        )
    return lambda x, y: torch.from_numpy(attack.generate(x.numpy(), np.eye(10, dtype=np.float32)[y.numpy()]))
