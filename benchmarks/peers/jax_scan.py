"""JAX: one compiled call trains all steps between two evaluations (`jit` of `lax.scan`), and one evaluates all chunks.

The data set lies in JAX's memory, which is torch's own. Weights are (out, in), gradients are autodiff's, the attack's
steps are a `fori_loop`. Tried and left out: weights (in, out) were 1 to 8 % slower, one product for natural and
adversarial images 2 to 12 %, an unrolled attack up to 5 %. Between runs, the generators `rbg` and `unsafe_rbg` made a
PGD step some 10 % slower, and XNNPACK and oneDNN in XLA no clear difference.
"""

import os
from collections.abc import Iterator
from functools import cache, partial
from typing import NamedTuple
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import Array, lax, nn
from torch import Tensor

from lthray.bench.loops import Network
from lthray.engine.adam import BETAS, EPSILON
from lthray.methods.attacks import Setting
from lthray.spec.trajectory import TrajectorySpec

from .protocol import EVALUATION_BATCH, Objective, shuffled_batches

CLASSES = 10


@cache
def start_xla(threads: int) -> None:
    """Starts XLA with this number of threads, which it reads from the environment when it starts."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    with patch.dict(os.environ, {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "NPROC": str(threads)}):
        jax.devices("cpu")


class State(NamedTuple):
    """What a step changes."""

    weights: list[Array]
    means: list[Array]
    squares: list[Array]
    count: Array
    key: Array


def _logits(weights: list[Array], x: Array) -> Array:
    for weight in weights[:-1]:
        x = nn.relu(x @ weight.T)
    return x @ weights[-1].T


def _cross_entropy(logits: Array, targets: Array) -> Array:
    return -(targets * nn.log_softmax(logits)).sum()


def _loss(weights: list[Array], x: Array, targets: Array) -> Array:
    return _cross_entropy(_logits(weights, x), targets)


def _attack(setting: Setting, weights: list[Array], x: Array, natural: Array, key: Array) -> Array:
    away = nn.one_hot(natural.argmax(-1), CLASSES)
    gradient = jax.grad(_loss, argnums=1)
    epsilon = setting.epsilon
    if setting.attack == "fgsm":
        return jnp.clip(x + epsilon * jnp.sign(gradient(weights, x, away)), 0, 1)
    low, high = jnp.maximum(x - epsilon, 0), jnp.minimum(x + epsilon, 1)
    begin = x
    if setting.random_start:
        begin = jnp.clip(x + jax.random.uniform(key, x.shape, minval=-epsilon, maxval=epsilon), 0, 1)

    def ascend(_: int, adversarial: Array) -> Array:
        step = setting.step_size * jnp.sign(gradient(weights, adversarial, away))
        return jnp.clip(adversarial + step, low, high)

    return lax.fori_loop(0, setting.steps, ascend, begin)


def _step(state: State, x: Array, y: Array, masks: list[Array], objective: Objective) -> State:
    key, draw = jax.random.split(state.key)
    smoothing, share = objective.label_smoothing, objective.adversarial_weight
    targets = nn.one_hot(y, CLASSES) * (1 - smoothing) + smoothing / CLASSES

    def loss(weights: list[Array]) -> Array:
        natural = _logits(weights, x)
        mean = _cross_entropy(natural, targets) / len(x)
        if objective.attack is None:
            return mean
        adversarial = lax.stop_gradient(_attack(objective.attack, weights, x, natural, draw))
        return (1 - share) * mean + share * _loss(weights, adversarial, targets) / len(x)

    count = state.count + 1
    rate, root = objective.learning_rate / (1 - BETAS[0] ** count), jnp.sqrt(1 - BETAS[1] ** count)
    slopes = [slope * mask for slope, mask in zip(jax.grad(loss)(state.weights), masks, strict=True)]
    means = [BETAS[0] * old + (1 - BETAS[0]) * new for old, new in zip(state.means, slopes, strict=True)]
    squares = [BETAS[1] * old + (1 - BETAS[1]) * new * new for old, new in zip(state.squares, slopes, strict=True)]
    weights = [
        weight - rate * mean / (jnp.sqrt(square) / root + EPSILON)
        for weight, mean, square in zip(state.weights, means, squares, strict=True)
    ]
    return State(weights, means, squares, count, key)


@partial(jax.jit, static_argnames="objective", donate_argnums=0)
def _train(
    state: State, masks: list[Array], images: Array, labels: Array, batches: Array, objective: Objective
) -> State:
    """Takes a step for each row of `batches` (steps, B)."""

    def body(state: State, batch: Array) -> tuple[State, None]:
        return _step(state, images[batch], labels[batch], masks, objective), None

    return lax.scan(body, state, batches)[0]


@partial(jax.jit, static_argnames="settings")
def _evaluate(weights: list[Array], key: Array, images: Array, labels: Array, settings: tuple[Setting, ...]) -> Array:
    """Sums (1 + attacks, 2) of loss and of hits over all chunks, images (chunks, B, D)."""

    def body(total: Array, chunk: tuple[Array, Array, Array]) -> tuple[Array, None]:
        x, y, key = chunk
        natural = _logits(weights, x)
        draws = jax.random.split(key, max(1, len(settings)))
        attacked = [_attack(each, weights, x, natural, draw) for each, draw in zip(settings, draws, strict=False)]
        targets = nn.one_hot(y, CLASSES)
        sums = [
            jnp.stack([_cross_entropy(logits, targets), (logits.argmax(-1) == y).sum().astype(jnp.float32)])
            for logits in (natural, *(_logits(weights, adversarial) for adversarial in attacked))
        ]
        return total + jnp.stack(sums), None

    keys = jax.random.split(key, len(images))
    return lax.scan(body, jnp.zeros((1 + len(settings), 2)), (images, labels, keys))[0]


class JaxPeer:
    """The state of one network's training, for the compiled loops."""

    def __init__(self, weights: Network, masks: Network, spec: TrajectorySpec) -> None:
        start_xla(torch.get_num_threads())
        self.masks = [jnp.asarray(mask.numpy(), jnp.float32) for mask in masks]
        state = State(
            weights=[jnp.array(weight.numpy()) for weight in weights],
            means=[jnp.zeros_like(mask) for mask in self.masks],
            squares=[jnp.zeros_like(mask) for mask in self.masks],
            count=jnp.float32(0),
            key=jax.random.key(0),
        )
        # Committed to a device, as what a step returns is, or the second call would be compiled anew.
        self.state = jax.device_put(state, jax.devices("cpu")[0])
        self.objective, self.batch_size = Objective.read(spec), spec.batch_size
        self.names = ("none", *map(str, spec.eval_attacks))
        self.settings = tuple(spec.setting(attack) for attack in spec.eval_attacks)
        self.batches: Iterator[Tensor] | None = None

    def train(self, images: Tensor, labels: Tensor, steps: int) -> None:
        """Takes `steps` optimizer steps in one call, which is compiled anew for each number of steps."""
        self.batches = self.batches or shuffled_batches(len(labels), self.batch_size)
        order = torch.stack([batch for _, batch in zip(range(steps), self.batches, strict=False)])
        arrays = map(jnp.from_dlpack, (images, labels.int(), order.int()))
        self.state = jax.block_until_ready(_train(self.state, self.masks, *arrays, objective=self.objective))

    def evaluate(self, images: Tensor, labels: Tensor) -> dict[str, tuple[float, float]]:
        """Mean loss and accuracy, by attack."""
        whole = len(labels) // EVALUATION_BATCH * EVALUATION_BATCH
        total = np.zeros((len(self.names), 2))
        for part, size in ((slice(whole), EVALUATION_BATCH), (slice(whole, None), len(labels) - whole)):
            x, y = images[part], labels[part].int()
            if len(y):
                arrays = jnp.from_dlpack(x.reshape(-1, size, x.shape[1])), jnp.from_dlpack(y.reshape(-1, size))
                total += np.asarray(_evaluate(self.state.weights, self.state.key, *arrays, settings=self.settings))
        return {
            name: (float(loss), float(hits)) for name, (loss, hits) in zip(self.names, total / len(labels), strict=True)
        }

    def weights(self) -> list[Tensor]:
        """The current weights, (out, in) a layer."""
        return [torch.from_numpy(np.array(weight)) for weight in self.state.weights]
