"""Training of torch modules by autograd, one trajectory after the other."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lthray.engine import optimizers
from lthray.engine.adam import Averages
from lthray.engine.adversarial import perturb
from lthray.engine.free import move, perturb_freely
from lthray.engine.module import ModuleNetwork
from lthray.engine.network import one_hot
from lthray.engine.objective import is_natural_needed, objective_of, targets_of_attack
from lthray.engine.randomness import Draw, seed_of
from lthray.engine.schedules import learning_rates, rate_at
from lthray.engine.state import TrainingState
from lthray.methods.attacks import Setting
from lthray.methods.networks import Layers
from lthray.methods.objectives import Outputs
from lthray.spec.trajectory import TrajectorySpec


def training_loss(
    network: ModuleNetwork,
    images: Tensor,
    labels: Tensor,
    spec: TrajectorySpec,
    setting: Setting | None,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """The training loss of a module, a scalar that autograd can follow to its parameters.

    Natural and adversarial images go through the module in two passes, the natural ones first; where the loss needs no
    natural logits, they do not go through it, and so leave running statistics alone.

    Args:
        network: The module, in the mode that it trains in.
        images: (B, D), pixels in [0, 1].
        labels: (B,).
        spec: The setting.
        setting: The train attack with every number; None without a train attack.
        generators: One, for the train attack's random starts.
    """
    adversarial = _attack(network, images, labels, spec, setting, generators) if setting else None
    return loss_against(adversarial, network, images, labels, spec)


def loss_against(
    adversarial: Tensor | None, network: ModuleNetwork, images: Tensor, labels: Tensor, spec: TrajectorySpec
) -> Tensor:
    """As `training_loss`, where the adversarial images (B, D) are made already; None without a train attack."""
    with torch.enable_grad():
        natural = network.forward(images) if is_natural_needed(spec) else None
        attacked = None if adversarial is None else network.forward(adversarial)
        logits = attacked if natural is None else natural
        assert logits is not None  # without a train attack, the natural logits are needed
        targets = one_hot(labels, logits, spec.label_smoothing)
        outputs = Outputs(natural, attacked, targets, labels, spec.adversarial_weight, spec.objective.beta)
        return objective_of(spec).loss(outputs)


def _attack(
    network: ModuleNetwork,
    images: Tensor,
    labels: Tensor,
    spec: TrajectorySpec,
    setting: Setting,
    generators: Sequence[torch.Generator],
) -> Tensor:
    """Adversarial images (B, D), made with the module in the mode `attack_mode`."""
    mode = network.module.training
    network.module.train(mode and spec.attack_mode == "train")
    try:
        targets = targets_of_attack(spec, setting, network.logits(images), labels)
        return perturb(setting, network, images, targets, generators, code=spec.own.code)
    finally:
        network.module.train(mode)


def module_gradients(network: ModuleNetwork) -> Callable[..., Layers]:
    """Makes the function that gives the gradient of `training_loss`; it takes the arguments after `network`.

    The gradient has a tensor for each parameter: zeros where the loss does not depend on the parameter.
    """

    def compute(images: Tensor, labels: Tensor, spec: TrajectorySpec, generators: Sequence[torch.Generator]) -> Layers:
        loss = training_loss(network, images, labels, spec, spec.train_setting, generators)
        return torch.autograd.grad(loss, network.parameters, allow_unused=True, materialize_grads=True)

    return compute


class ModuleTraining:
    """Trains a stack of modules; see `train` for the arguments."""

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec], round_: int) -> None:
        self.specs, self.round, self.steps = specs, round_, start.iteration
        self.weights, self.averages = start.copy_tensors()
        self.perturbations = start.perturbations
        self.learning_rates = learning_rates(specs[0])
        members = range(len(specs))
        self.networks = [ModuleNetwork(spec, tuple(w[i] for w in self.weights)) for i, spec in enumerate(specs)]
        self.masks = [[mask[i].to(torch.float32) for mask in masks] for i in members]
        self.optimizers = [
            optimizers.make(
                specs[i],
                [parameter.requires_grad_() for parameter in self.networks[i].parameters],
                self.averages.of(i),
                start.iteration,
            )
            for i in members
        ]

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        for i, spec in enumerate(self.specs):
            network, optimizer = self.networks[i], self.optimizers[i]
            # Dropout and the like draw from torch's own generator; seeded for each step, a checkpoint need not hold it.
            torch.manual_seed(seed_of(spec.seed, Draw.MODULE, self.round, self.steps))
            network.module.train()
            optimizer.zero_grad(set_to_none=True)
            if self.perturbations is None:
                setting = spec.train_setting_at(self.steps)
                loss = training_loss(network, images[i], labels[i], spec, setting, generators[i : i + 1])
                loss.backward()  # type: ignore[no-untyped-call]
            else:
                self._go_back_freely(network, images[i], labels[i], spec, self.perturbations[i])
            for parameter, mask in zip(network.parameters, self.masks[i], strict=False):
                if parameter.grad is not None:
                    parameter.grad.mul_(mask)
            if spec.optimizer.clip_norm:
                torch.nn.utils.clip_grad_norm_(network.parameters, spec.optimizer.clip_norm)
            optimizers.set_rate(optimizer, rate_at(self.learning_rates, self.steps))
            optimizer.step()
        self.steps += 1

    def _go_back_freely(
        self, network: ModuleNetwork, images: Tensor, labels: Tensor, spec: TrajectorySpec, perturbation: Tensor
    ) -> None:
        """The backward pass of free adversarial training, which moves the perturbation too."""
        perturbation = perturbation[: len(images)]
        adversarial = perturb_freely(images, perturbation).requires_grad_()
        loss_against(adversarial, network, images, labels, spec).backward()  # type: ignore[no-untyped-call]
        assert adversarial.grad is not None
        move(perturbation, images, adversarial.grad, spec, self.steps)

    def current(self) -> tuple[Layers, Averages]:
        """The current tensors and the optimizer's averages, (S, ...)."""
        return self.weights, self.averages
