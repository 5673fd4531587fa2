"""Training and evaluation with the remaining weights alone, which is faster on a CPU in later rounds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lthray.engine import adam, kernels
from lthray.engine.adam import Averages
from lthray.engine.network import one_hot
from lthray.engine.numba_tiles import TILE, Array, Number
from lthray.engine.randomness import random_start
from lthray.engine.state import TrainingState
from lthray.methods.attacks import NATURAL, Attack, Setting, stronger
from lthray.methods.datasets import CLASSES
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec

BREAK_EVEN = 0.45
"""Share of weights remaining below which this is faster than dense products, measured by benchmarks/break_even.py."""

KERNELS = ("fgsm", "pgd")
"""The attacks that the kernels know, in the order of their logits."""

UNITS = 2**16
"""Largest number of units, pixels included, that a network's graph can number."""


def sparse_pays(spec: TrajectorySpec, round_: int, attack: Attack = NATURAL, *, training: bool = False) -> bool:
    """Whether a CPU trains or evaluates a round this way, which does not depend on the stack.

    Convolutions share weights, which the kernels' graph cannot express, and its units are numbered in 16 bits. The
    kernels know only FGSM and PGD in the maximum norm; training with restarts takes the dense way.

    Args:
        spec: The setting.
        round_: Number of the round.
        attack: The eval attack, if any.
        training: Whether to ask about training, against the train attack.
    """
    if any(len(size) > 2 for size in spec.layer_sizes.values()) or spec.units > UNITS:
        return False
    setting = spec.train_setting if training else None if attack == NATURAL else spec.setting(attack)
    if setting and (setting.attack not in KERNELS or setting.norm != "linf" or (training and setting.restarts > 1)):
        return False
    rounds = spec.weights_left(round_)
    return sum(rounds[round_].values()) < BREAK_EVEN * sum(rounds[0].values())


class SparseTraining:
    """Trains a stack, as many trajectories side by side as torch has threads."""

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec]) -> None:
        self.spec, self.steps, self.number = specs[0], start.iteration, start.weights[0].numpy().dtype.type
        self.weights, self.masks = tuple(weight.clone() for weight in start.weights), masks
        members = range(len(specs))
        self.networks = [_network([w[i] for w in self.weights], [m[i] for m in masks]) for i in members]
        self.moments = [_moments(start.averages, masks, i) for i in members]
        self.workspaces = [_workspace(net, self.weights[0]) for net in self.networks]
        self.setting = self.spec.train_setting
        self.attack = _attack(self.setting, self.spec.attack_label, self.number)
        self.map = _mapping(min(len(specs), torch.get_num_threads()))

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        loss = _loss(self.spec, labels.shape[-1], self.number)
        rates = adam.rates(self.spec.learning_rate, self.steps, self.number)

        def step_member(i: int) -> None:
            noise = _noise(self.setting, images[i], generators[i : i + 1])
            kernels.train_step(
                self.networks[i],
                self.moments[i],
                self.workspaces[i],
                images[i].numpy(),
                labels[i].numpy(),
                noise,
                self.attack,
                loss,
                rates,
            )

        for _ in self.map(step_member, range(len(self.networks))):
            pass

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        _scatter([net.weights for net in self.networks], self.masks, self.weights)
        averages = adam.zeros(self.weights)
        _scatter([moments.mean for moments in self.moments], self.masks, averages.mean)
        _scatter([moments.square for moments in self.moments], self.masks, averages.square)
        return self.weights, averages


def _scatter(values: Sequence[Array], masks: Layers, layers: Layers) -> None:
    """Puts the values of each trajectory's remaining weights, layer after layer, into (S, out, in) a layer."""
    for i, remaining in enumerate(map(torch.from_numpy, values)):
        for layer, mask in zip(layers, masks, strict=True):
            head, remaining = remaining.tensor_split([int(mask[i].sum())])
            layer[i][mask[i]] = head


class SparseEvaluation:
    """Evaluates one trajectory's network; torch's threads share the tiles of a batch.

    Args:
        weights: (out, in) a layer.
        spec: The setting.
    """

    def __init__(self, weights: Layers, spec: TrajectorySpec) -> None:
        self.spec, self.classes = spec, len(weights[-1])
        self.network = _network(weights, [weight != 0 for weight in weights])
        self.threads = torch.get_num_threads()
        self.workspaces = [_workspace(self.network, weights[0]) for _ in range(self.threads)]
        self.map = _mapping(self.threads)

    def logits(
        self, images: Tensor, labels: Tensor, generators: Mapping[Attack, Sequence[torch.Generator]]
    ) -> tuple[dict[Attack, Tensor], dict[Attack, Tensor]]:
        """As `evaluation.dense_logits`, for attacks that `sparse_pays`."""
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


def _aligned(*shape: int, like: Tensor) -> Array:
    """An array that begins at a cache line, like torch's and unlike numpy's: loads across lines take twice as long."""
    return torch.zeros(shape, dtype=like.dtype).numpy()


def _network(weights: Sequence[Tensor], masks: Sequence[Tensor]) -> kernels.Network:
    """The graph of the layers' remaining weights; `weights` and `masks` are (out, in) a layer."""
    widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
    starts = np.cumsum([0, *widths])
    kept = [np.nonzero(mask.numpy()) for mask in masks]
    values = np.concatenate([weight.numpy()[where] for weight, where in zip(weights, kept, strict=True)])
    outputs = np.concatenate([where[0] + start for where, start in zip(kept, starts[1:-1], strict=True)])
    inputs = np.concatenate([where[1] + start for where, start in zip(kept, starts[:-2], strict=True)])
    order = np.argsort(inputs, kind="stable")
    place = np.empty(len(order), np.int32)
    place[order] = np.arange(len(order))

    def ranges(units: Array) -> Array:
        return np.concatenate([[0], np.cumsum(np.bincount(units, minlength=starts[-1]))])

    return kernels.Network(
        pixels=widths[0],
        inner=int(starts[-2]),
        rows=ranges(outputs),
        inputs=inputs.astype(np.uint16),
        weights=values,
        columns=ranges(inputs),
        outputs=outputs[order].astype(np.uint16),
        turned=values[order],
        place=place,
    )


def _moments(averages: Averages, masks: Layers, i: int) -> kernels.Moments:
    """The averages of trajectory `i`, of its remaining weights alone."""
    mean, square = (
        np.concatenate([layer[i][mask[i]].numpy() for layer, mask in zip(layers, masks, strict=True)])
        for layers in (averages.mean, averages.square)
    )
    return kernels.Moments(np.zeros_like(mean), mean, square, keep=np.ones_like(mean))


def _workspace(net: kernels.Network, like: Tensor) -> kernels.Workspace:
    units = len(net.rows) - 1
    return kernels.Workspace(
        natural=_aligned(net.pixels, TILE, like=like),
        active=_aligned(units, TILE, like=like),
        slope=_aligned(units, TILE, like=like),
        lanes=_aligned(2, TILE, like=like),
        labels=np.zeros((2, TILE), np.int64),
    )


def _noise(setting: Setting | None, images: Tensor, generators: Sequence[torch.Generator]) -> Array:
    """An attack's random start for images (B, D); (0, D) if it has none."""
    noise = random_start(setting, images, generators) if setting else None
    return images[:0].numpy() if noise is None else noise.numpy()


def _attack(setting: Setting | None, attack_label: str, number: type[Number]) -> kernels.Attack:
    return kernels.Attack(
        steps=setting.steps if setting else 0,
        epsilon=number(setting.epsilon if setting else 0),
        step_size=number(setting.step_size if setting else 0),
        black=number(0),
        white=number(1),
        predicted=attack_label == "predicted",
        targets=kernels.Targets(number(1), number(0)),
    )


def _loss(spec: TrajectorySpec, batch: int, number: type[Number]) -> kernels.Loss:
    w = 0.0 if spec.train_attack == "none" else spec.adversarial_weight
    off = spec.label_smoothing / CLASSES
    targets = kernels.Targets(number(1 - spec.label_smoothing + off), number(off))
    return kernels.Loss(targets, number((1 - w) / batch), number(w / batch))
