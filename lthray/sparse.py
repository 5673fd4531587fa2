"""Training and measuring by the weights that remain alone: the way of the later rounds on a CPU."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from torch import Tensor

from lthray import kernels, records
from lthray.attacks import random_start
from lthray.counts import CLASSES
from lthray.network import Weights
from lthray.spec import TrajectorySpec
from lthray.tiles import TILE, Array, Number

BREAK_EVEN = 0.45
"""Share of weights remaining below which this is faster than dense products, as benchmarks/break_even.py found it."""

UNITS = 2**16
"""Most units, pixels among them, that a network's graph can number."""

BETAS, ADAM_EPSILON = (0.9, 0.999), 1e-7

Scalar = Callable[[float], Number]


def sparse_pays(spec: TrajectorySpec, round_: int) -> bool:
    """Whether a CPU trains and measures a round this way: the same for a trajectory alone and in any stack.

    Convolutions share their weights, which the kernels' graph does not; and its units have numbers of 16 bits.
    """
    if any(len(size) > 2 for size in spec.layer_sizes.values()) or spec.units > UNITS:
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
        self.attack = _attack(self.spec, self.spec.train_attack, self.number)
        self.map = _mapping(min(len(specs), torch.get_num_threads()))

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        self.steps += 1
        loss, rates = _loss(self.spec, labels.shape[-1], self.number), adam_rates(self.spec, self.steps, self.number)

        def one(i: int) -> None:
            noise = _noise(self.spec, self.spec.train_attack == "pgd", images[i], generators[i : i + 1])
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
    ) -> tuple[list[Tensor], Tensor]:
        """As `evaluation.dense_logits`."""
        number, count = images.numpy().dtype.type, len(images)
        none, fgsm, pgd = (
            _attack(self.spec, name if name in generators else "none", number) for name in ("none", "fgsm", "pgd")
        )
        noise = _noise(self.spec, pgd.steps > 0, images, generators.get("pgd", ()))
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
                fgsm,
                pgd,
                min(i * each, count),
                min((i + 1) * each, count),
                found.numpy(),
                moving,
            )

        for _ in self.map(share, range(self.threads)):
            pass
        wanted = [found[i] for i, attack in enumerate((none, fgsm, pgd)) if i == 0 or attack.steps]
        return wanted, torch.tensor(count - int(moving.sum()))


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


def _noise(spec: TrajectorySpec, wanted: bool, images: Tensor, generators: Sequence[torch.Generator]) -> Array:
    """PGD's random start of images (B, D); without images where there is none."""
    noise = random_start(spec, images, generators) if wanted else None
    return images[:0].numpy() if noise is None else noise.numpy()


def _attack(spec: TrajectorySpec, name: str, number: Scalar) -> records.Attack:
    return records.Attack(
        steps={"none": 0, "fgsm": 1, "pgd": spec.pgd.steps}[name],
        epsilon=number(spec.epsilon),
        step_size=number(spec.epsilon if name == "fgsm" else spec.pgd.step_size),
        black=number(0),
        white=number(1),
        predicted=spec.attack_label == "predicted",
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
