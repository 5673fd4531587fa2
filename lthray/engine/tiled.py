"""How a CPU trains and evaluates the networks and attacks that the kernels know: one trajectory after the other."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lthray.engine import adam
from lthray.engine.adam import Averages
from lthray.engine.network import one_hot
from lthray.engine.randomness import random_start
from lthray.engine.schedules import learning_rates, rate_at
from lthray.engine.state import TrainingState
from lthray.engine.tiles import kernels
from lthray.engine.tiles.compiling import TILE, Array, Number
from lthray.engine.tiles.members import DenseMember, Member, SparseMember, dense_network, sparse_network, workspace
from lthray.engine.tiles.state import Attack as KernelAttack
from lthray.engine.tiles.state import Loss, Targets
from lthray.methods.attacks import NATURAL, Attack, Setting, stronger
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec
from lthray.spec.ways import KERNELS

BREAK_EVEN = {"pgd": 0.6, "others": 0.45}
"""Share of weights remaining below which the remaining weights alone are faster than whole layers, under PGD and else.

Measured by benchmarks/break_even.py: the gradient by the weights gains later than the many passes of PGD do.
"""

UNITS = 2**16
"""Largest number of units, pixels included, that a network's graph can number."""


def sparse_pays(spec: TrajectorySpec, round_: int, attacks: Iterable[str]) -> bool:
    """Whether the kernels compute a round with the remaining weights alone, which does not depend on the stack.

    Args:
        spec: The setting.
        round_: Number of the round.
        attacks: The names of the train attack, or of the eval attacks.
    """
    rounds = spec.weights_left(round_)
    threshold = BREAK_EVEN["pgd" if "pgd" in attacks else "others"]
    return sum(rounds[round_].values()) < threshold * sum(rounds[0].values()) and (spec.units or 0) <= UNITS


class TiledTraining:
    """Trains a stack, as many trajectories side by side as torch has threads; see `train` for the arguments."""

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec], *, sparse: bool) -> None:
        self.spec, self.steps, self.number = specs[0], start.iteration, start.weights[0].numpy().dtype.type
        self.weights, self.averages = tuple(weight.clone() for weight in start.weights), adam.zeros(start.weights)
        self.setting, self.learning_rates = self.spec.train_setting, learning_rates(self.spec)
        passes = -(-self.spec.batch_size // TILE) * (2 if self.setting else 1)

        def make(i: int) -> Member:
            weights, kept = ([layer[i] for layer in layers] for layers in (start.weights, masks))
            averages = start.averages.of(i)
            if sparse:
                return SparseMember(tuple(weights), averages, tuple(kept))
            return DenseMember(tuple(weights), averages, tuple(kept), passes)

        self.members = [make(i) for i in range(len(specs))]
        self.workspaces = [workspace(member.network, passes, start.weights[0]) for member in self.members]
        self.attack = _attack(self.setting, self.spec.attack_label, self.number)
        self.map = _mapping(min(len(specs), torch.get_num_threads()))

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        loss = _loss(self.spec, labels.shape[-1], self.number)
        rate = rate_at(self.learning_rates, self.steps - 1)
        rates = adam.rates(self.spec.optimizer, rate, self.steps, self.number)

        setting = self.spec.train_setting_at(self.steps - 1)
        attack = self.attack if setting == self.setting else _attack(setting, self.spec.attack_label, self.number)

        def step_member(i: int) -> None:
            noise = _noise(setting, images[i], generators[i : i + 1])
            kernels.train_step(
                self.members[i].network,
                self.members[i].moments,
                self.workspaces[i],
                images[i].numpy(),
                labels[i].numpy(),
                noise,
                attack,
                loss,
                rates,
            )

        for _ in self.map(step_member, range(len(self.members))):
            pass

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        for i, member in enumerate(self.members):
            member.read([weight[i] for weight in self.weights], self.averages.of(i))
        return self.weights, self.averages


class TiledEvaluation:
    """Evaluates one trajectory's network; torch's threads share the tiles of a batch.

    Args:
        weights: (out, in) a layer.
        spec: The setting.
        sparse: Whether to compute with the remaining weights alone; the logits are the same.
    """

    def __init__(self, weights: Layers, spec: TrajectorySpec, *, sparse: bool) -> None:
        self.spec, self.classes = spec, len(weights[-1])
        remaining = tuple(weight != 0 for weight in weights)
        self.network = sparse_network(weights, remaining) if sparse else dense_network(weights)
        self.threads = torch.get_num_threads()
        self.workspaces = [workspace(self.network, 2, weights[0]) for _ in range(self.threads)]
        self.map = _mapping(self.threads)

    def logits(
        self, images: Tensor, labels: Tensor, generators: Mapping[Attack, Sequence[torch.Generator]]
    ) -> tuple[dict[Attack, Tensor], dict[Attack, Tensor]]:
        """As `evaluation.dense_logits`, for attacks that the kernels know."""
        settings = {attack: self.spec.setting(attack) for attack in generators}
        logits: dict[Attack, Tensor] = {}
        unmoved: dict[Attack, Tensor] = {}
        for together in _passes(settings) or [[]]:
            by_kernel = {attack.name: attack for attack in together}
            fgsm, pgd = (settings[by_kernel[name]] if name in by_kernel else None for name in KERNELS)
            label = next((setting.attack_label for setting in (fgsm, pgd) if setting), self.spec.attack_label)
            noise = _noise(pgd, images, generators[by_kernel["pgd"]] if pgd else ())
            natural, *attacked, moving = self._measure(images, labels, fgsm, pgd, label, noise)
            # Every pass computes the natural logits; those of the first are kept, because it has the plain attacks.
            natural = logits.setdefault(NATURAL, natural)
            for name, attack in by_kernel.items():
                logits[attack] = attacked[KERNELS.index(name)]
                unmoved[attack] = torch.tensor(len(images) - int(moving.sum()))
            if pgd and pgd.restarts > 1:
                targets = one_hot(natural.argmax(-1) if label == "predicted" else labels, natural)
                best = logits[by_kernel["pgd"]]
                for _ in range(pgd.restarts - 1):
                    noise = _noise(pgd, images, generators[by_kernel["pgd"]])
                    _, _, candidate, _ = self._measure(images, labels, None, pgd, label, noise)
                    best = candidate.where(stronger(candidate, best, targets).unsqueeze(-1), best)
                logits[by_kernel["pgd"]] = best
        return logits, unmoved

    def _measure(
        self, images: Tensor, labels: Tensor, fgsm: Setting | None, pgd: Setting | None, label: str, noise: Array
    ) -> tuple[Tensor, Tensor, Tensor, Array]:
        """Logits (B, C), natural, under FGSM and under PGD, and which images (B,) have a gradient."""
        number, count = images.numpy().dtype.type, len(images)
        first, second = (_attack(setting, label, number) for setting in (fgsm, pgd))
        logits = torch.empty(3, count, self.classes, dtype=images.dtype)
        moving = np.empty(count, np.bool_)
        chunk = -(-count // (self.threads * TILE)) * TILE

        def share(i: int) -> None:
            kernels.measure(
                self.network,
                self.workspaces[i],
                images.numpy(),
                labels.numpy(),
                noise,
                first,
                second,
                min(i * chunk, count),
                min((i + 1) * chunk, count),
                logits.numpy(),
                moving,
            )

        for _ in self.map(share, range(self.threads)):
            pass
        return logits[0], logits[1], logits[2], moving


def _passes(settings: Mapping[Attack, Setting]) -> list[list[Attack]]:
    """Attacks that are measured together: one per kernel, all away from the same label; the plain ones come first."""
    passes: list[list[Attack]] = []
    for attack, setting in settings.items():
        for group in passes:
            if all(
                member.name != attack.name and settings[member].attack_label == setting.attack_label for member in group
            ):
                group.append(attack)
                break
        else:
            passes.append([attack])
    return passes


@cache  # starting threads anew for each step would cost far more than the step
def _mapping(threads: int) -> Callable[..., Iterable[None]]:
    return map if threads == 1 else ThreadPoolExecutor(threads).map


def _noise(setting: Setting | None, images: Tensor, generators: Sequence[torch.Generator]) -> Array:
    """An attack's random start for images (B, D); (0, D) if it has none."""
    noise = random_start(setting, images, generators) if setting else None
    return images[:0].numpy() if noise is None else noise.numpy()


def _attack(setting: Setting | None, attack_label: str, number: type[Number]) -> KernelAttack:
    return KernelAttack(
        steps=setting.steps if setting else 0,
        epsilon=number(setting.epsilon if setting else 0),
        step_size=number(setting.step_size if setting else 0),
        black=number(0),
        white=number(1),
        predicted=attack_label == "predicted",
        targets=Targets(number(1), number(0)),
        weight=number(1),
    )


def _loss(spec: TrajectorySpec, batch: int, number: type[Number]) -> Loss:
    w = 0.0 if spec.train_attack == "none" else spec.loss_weight
    off = spec.label_smoothing / spec.data.classes
    targets = Targets(number(1 - spec.label_smoothing + off), number(off))
    return Loss(targets, number((1 - w) / batch), number(w / batch))
