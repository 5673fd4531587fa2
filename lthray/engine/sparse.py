"""Training and measuring by the weights that remain alone: the way of the later rounds on a CPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lthray.engine import kernels, records
from lthray.engine.network import Weights, one_hot
from lthray.engine.numba_tiles import TILE, Array, Number
from lthray.methods.attacks import Setting, random_start, stronger
from lthray.methods.datasets import CLASSES
from lthray.spec.trajectory import TrajectorySpec

BREAK_EVEN = 0.45
"""Share of weights remaining below which this is faster than dense products, as benchmarks/break_even.py found it."""

KERNELS = ("fgsm", "pgd")
"""The attacks that the kernels know."""

UNITS = 2**16
"""Most units, pixels among them, that a network's graph can number."""

BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-7

Scalar = Callable[[float], Number]


def sparse_pays(spec: TrajectorySpec, round_: int, attack: str | None = None, *, training: bool = False) -> bool:
    """Whether a CPU trains or measures a round this way: the same for a trajectory alone and in any stack.

    Convolutions share their weights, which the kernels' graph does not; and its units have numbers of 16 bits. The
    kernels know FGSM and PGD in the maximum norm alone, and training with restarts takes the dense way.

    Args:
        spec: The setting.
        round_: Number of the round.
        attack: Full name of an eval attack; None for a natural measurement.
        training: Asks for training, against the train attack.
    """
    if any(len(size) > 2 for size in spec.layer_sizes.values()) or spec.units > UNITS:
        return False
    attack = spec.train_attack if training else attack
    if attack not in (None, "none"):
        setting = spec.setting(attack)
        if setting.attack not in KERNELS or setting.norm != "linf" or (training and setting.restarts > 1):
            return False
    rounds = spec.weights_left(round_)
    return sum(rounds[round_].values()) < BREAK_EVEN * sum(rounds[0].values())


class SparseTraining:
    """A stack in training, one trajectory after the other or as many side by side as torch has threads."""

    def __init__(self, start: Weights, masks: Weights, specs: Sequence[TrajectorySpec]) -> None:
        self.spec, self.steps, self.number = specs[0], 0, start[0].numpy().dtype.type
        self.weights, self.masks = tuple(weight.clone() for weight in start), masks
        self.networks = [_network([w[i] for w in start], [m[i] for m in masks]) for i in range(len(specs))]
        self.moments = [_moments(net.weights) for net in self.networks]
        self.workspaces = [_workspace(net, start[0]) for net in self.networks]
        self.setting = None if self.spec.train_attack == "none" else self.spec.setting(self.spec.train_attack)
        self.attack = _attack(self.setting, self.spec.attack_label, self.number)
        self.map = _mapping(min(len(specs), torch.get_num_threads()))

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        loss, rates = _loss(self.spec, labels.shape[-1], self.number), adam_rates(self.spec, self.steps, self.number)

        def one(i: int) -> None:
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

        for _ in self.map(one, range(len(self.networks))):
            pass

    def current(self) -> Weights:
        """The weights as they are, (S, out, in) a layer."""
        for i, net in enumerate(self.networks):
            values = torch.from_numpy(net.weights)
            for weight, mask in zip(self.weights, self.masks, strict=True):
                here, values = values.tensor_split([int(mask[i].sum())])
                weight[i][mask[i]] = here
        return self.weights


class SparseEvaluation:
    """One trajectory's network, measured; a batch's tiles are shared out among torch's threads.

    Args:
        weights: (out, in) a layer.
        spec: The setting.
    """

    def __init__(self, weights: Weights, spec: TrajectorySpec) -> None:
        self.spec, self.classes = spec, len(weights[-1])
        self.network = _network(weights, [weight != 0 for weight in weights])
        self.threads = torch.get_num_threads()
        self.workspaces = [_workspace(self.network, weights[0]) for _ in range(self.threads)]
        self.map = _mapping(self.threads)

    def logits(
        self, images: Tensor, labels: Tensor, generators: Mapping[str, Sequence[torch.Generator]]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """As `evaluation.dense_logits`, for attacks that `sparse_pays`."""
        settings = {name: self.spec.setting(name) for name in generators}
        found: dict[str, Tensor] = {}
        without: dict[str, Tensor] = {}
        natural = images.new_empty(0)
        for names in _passes(settings) or [[]]:
            kinds = {settings[name].attack: name for name in names}
            fgsm, pgd = (settings[kinds[kind]] if kind in kinds else None for kind in KERNELS)
            label = next((one.attack_label for one in (fgsm, pgd) if one), self.spec.attack_label)
            noise = _noise(pgd, images, generators[kinds["pgd"]] if pgd else ())
            logits, moving = self._measure(images, labels, fgsm, pgd, label, noise)
            natural = logits[0] if not len(natural) else natural
            for kind, name in kinds.items():
                found[name] = logits[1 + KERNELS.index(kind)]
                without[name] = torch.tensor(len(images) - int(moving.sum()))
            if pgd and pgd.restarts > 1:
                away = one_hot(natural.argmax(-1) if label == "predicted" else labels, natural)
                best = found[kinds["pgd"]]
                for _ in range(pgd.restarts - 1):
                    noise = _noise(pgd, images, generators[kinds["pgd"]])
                    again = self._measure(images, labels, None, pgd, label, noise)[0][2]
                    best = again.where(stronger(again, best, away).unsqueeze(-1), best)
                found[kinds["pgd"]] = best
        return [natural, *(found[name] for name in generators)], [without[name] for name in generators]

    def _measure(
        self, images: Tensor, labels: Tensor, fgsm: Setting | None, pgd: Setting | None, label: str, noise: Array
    ) -> tuple[Tensor, Array]:
        """Logits (3, B, C), natural and under one attack of each kind, and which images (B,) have a gradient."""
        number, count = images.numpy().dtype.type, len(images)
        first, second = (_attack(one, label, number) for one in (fgsm, pgd))
        found = torch.empty(3, count, self.classes, dtype=images.dtype)
        moving = np.empty(count, np.bool_)
        each = -(-count // (self.threads * TILE)) * TILE

        def share(i: int) -> None:
            kernels.measure(
                self.network,
                self.workspaces[i],
                images.numpy(),
                labels.numpy(),
                noise,
                first,
                second,
                min(i * each, count),
                min((i + 1) * each, count),
                found.numpy(),
                moving,
            )

        for _ in self.map(share, range(self.threads)):
            pass
        return found, moving


def _passes(settings: Mapping[str, Setting]) -> list[list[str]]:
    """Attacks that are measured together: one of each kind, away from the same label; the plain ones come first."""
    passes: list[list[str]] = []
    for name, one in settings.items():
        for together in passes:
            others = [settings[other] for other in together]
            if all(other.attack != one.attack and other.attack_label == one.attack_label for other in others):
                together.append(name)
                break
        else:
            passes.append([name])
    return passes


@cache  # threads that have computed already compute sooner than new ones, by far
def _mapping(threads: int) -> Callable[..., Iterable[None]]:
    return map if threads == 1 else ThreadPoolExecutor(threads).map


def _aligned(*shape: int, like: Tensor) -> Array:
    """An array that begins at a cache line, as torch's do and numpy's don't: loads across lines take twice as long."""
    return torch.zeros(shape, dtype=like.dtype).numpy()


def _network(weights: Sequence[Tensor], masks: Sequence[Tensor]) -> records.Network:
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

    return records.Network(
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


def _moments(weights: Array) -> records.Moments:
    gradient, mean, square = (np.zeros_like(weights) for _ in range(3))
    return records.Moments(gradient, mean, square, keep=np.ones_like(weights))


def _workspace(net: records.Network, like: Tensor) -> records.Workspace:
    units = len(net.rows) - 1
    return records.Workspace(
        natural=_aligned(net.pixels, TILE, like=like),
        active=_aligned(units, TILE, like=like),
        slope=_aligned(units, TILE, like=like),
        lanes=_aligned(2, TILE, like=like),
        labels=np.zeros((2, TILE), np.int64),
    )


def _noise(setting: Setting | None, images: Tensor, generators: Sequence[torch.Generator]) -> Array:
    """An attack's random start of images (B, D); without images where there is none."""
    noise = random_start(setting, images, generators) if setting else None
    return images[:0].numpy() if noise is None else noise.numpy()


def _attack(setting: Setting | None, attack_label: str, number: Scalar) -> records.Attack:
    return records.Attack(
        steps=setting.steps if setting else 0,
        epsilon=number(setting.epsilon if setting else 0),
        step_size=number(setting.step_size if setting else 0),
        black=number(0),
        white=number(1),
        predicted=attack_label == "predicted",
        targets=records.Targets(number(1), number(0)),
    )


def _loss(spec: TrajectorySpec, batch: int, number: Scalar) -> records.Loss:
    w = 0.0 if spec.train_attack == "none" else spec.adversarial_weight
    off = spec.label_smoothing / CLASSES
    targets = records.Targets(number(1 - spec.label_smoothing + off), number(off))
    return records.Loss(targets, number((1 - w) / batch), number(w / batch))


def adam_rates(spec: TrajectorySpec, steps: int, number: Scalar) -> records.Rates:
    """Adam's numbers at its step number `steps`, which counts from 1."""
    return records.Rates(
        step=number(spec.learning_rate / (1 - BETAS[0] ** steps)),
        root=number(1 / (1 - BETAS[1] ** steps) ** 0.5),
        epsilon=number(ADAM_EPSILON),
        old_mean=number(BETAS[0]),
        new_mean=number(1 - BETAS[0]),
        old_square=number(BETAS[1]),
        new_square=number(1 - BETAS[1]),
    )
