"""The loops that benchmarks/gpu.py measures: stacks, a plain loop, and the matrix products alone."""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lthray.bench.measure import Job
from lthray.engine import captured
from lthray.engine.arrays import CHUNK
from lthray.engine.captured import Capture, CapturedTraining
from lthray.engine.data import Dataset, Split
from lthray.engine.evaluation import evaluate
from lthray.engine.loss import gradients
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator, random_start
from lthray.engine.stack import StackTraining
from lthray.engine.state import TrainingState, begin_round
from lthray.engine.training import batches
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec


class CompiledTraining:
    """A stack's training whose gradients torch.compile has compiled; Adam stays as it is.

    The random starts are drawn outside, because the compiler cannot take a generator along.
    """

    def __init__(self, start: TrainingState, masks: Layers, specs: Sequence[TrajectorySpec], **options: object) -> None:
        self.stack, self.setting = StackTraining(start, masks, specs), specs[0].train_setting

        def differentiate(weights: Layers, images: Tensor, labels: Tensor, noise: Tensor | None) -> Layers:
            return gradients(weights, images, labels, specs[0], (), lambda *_: noise)

        self.differentiate = torch.compile(differentiate, dynamic=False, fullgraph=True, **options)

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        torch.compiler.cudagraph_mark_step_begin()
        noise = random_start(self.setting, images, generators) if self.setting else None
        self.stack.update(self.differentiate(self.stack.weights, images, labels, noise))
        self.stack.optimizer.zero_grad()  # the next step overwrites what the compiled function has returned


def capture(device: torch.device) -> Capture:
    """How a graph is made; on a CPU, the work itself stands for the graph."""
    return captured.capture_graph if device.type == "cuda" else lambda work: work


def ways(capture: Capture) -> dict[str, Callable[..., object]]:
    """How a stack can be trained: kernel by kernel, or by a graph."""
    return {"eager": StackTraining, "graph": partial(CapturedTraining, capture=capture)}


def begin(specs: Sequence[TrajectorySpec], device: torch.device) -> tuple[TrainingState, Layers]:
    """Dense networks at the start of a stack's first round, and their masks."""
    drawn = [glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT)) for spec in specs]
    weights = tuple(torch.stack(layer).to(device) for layer in zip(*drawn, strict=True))
    return begin_round(weights, specs, 0), tuple(torch.ones_like(weight, dtype=torch.bool) for weight in weights)


def training_job(
    way: Callable[..., Any], specs: Sequence[TrajectorySpec], data: Split, steps: int
) -> tuple[Any, Callable[[], None]]:
    """A stack's training, and what takes some steps of it, from the order of the batches to Adam."""
    start, masks = begin(specs, data.images.device)
    training, order = way(start, masks, specs), batches(specs, 0, data.images.device)

    @torch.no_grad()
    def run() -> None:
        for batch in itertools.islice(order, steps):
            training.step(*data.batch(batch), start.generators)

    return training, run


def step_job(way: Callable[..., Any], specs: Sequence[TrajectorySpec], data: Split, steps: int) -> Job:
    """Some training steps; a unit is a step of the whole stack."""
    return training_job(way, specs, data, steps)[1], steps


def evaluation_job(specs: Sequence[TrajectorySpec], data: Dataset) -> Job:
    """One evaluation of a stack, on validation and test."""
    start, _ = begin(specs, data.train.images.device)
    splits = {"validation": data.validation, "test": data.test}
    return lambda: evaluate(start.weights, specs, splits, 0, 0), 1


class PlainLoop:
    """One network as a researcher writes it for a GPU: nn.Linear, autograd, torch.optim.Adam, the attacks by hand.

    It follows the protocol of `spec`. Data lie on the device, so that no DataLoader slows it down.
    """

    def __init__(self, spec: TrajectorySpec, data: Dataset) -> None:
        self.spec, self.data = spec, data
        device = data.train.images.device
        weights = glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT))
        layers: list[nn.Module] = []
        for weight in weights:
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            layer.weight.data.copy_(weight)
            layers += [layer, nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1]).to(device)
        self.adam = torch.optim.Adam(self.model.parameters(), lr=spec.learning_rate, eps=1e-7)
        self.order = batches([spec], 0, device)

    def attack(self, name: str, images: Tensor, labels: Tensor) -> Tensor:
        """Adversarial images away from `labels`, by FGSM or PGD."""
        if name == "fgsm":
            return (images + self.spec.epsilon * self._slope(images, labels).sign()).clamp(0, 1)
        epsilon, pgd = self.spec.epsilon, self.spec.pgd
        adversarial = images.clone()
        if pgd.random_start:
            adversarial = (images + torch.empty_like(images).uniform_(-epsilon, epsilon)).clamp(0, 1)
        for _ in range(pgd.steps):
            adversarial = adversarial + pgd.step_size * self._slope(adversarial, labels).sign()
            adversarial = (images + (adversarial - images).clamp(-epsilon, epsilon)).clamp(0, 1)
        return adversarial

    def _slope(self, images: Tensor, labels: Tensor) -> Tensor:
        images = images.detach().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(self.model(images), labels, reduction="sum"), images)[0]

    def train(self, steps: int) -> None:
        """Takes optimizer steps."""
        smoothing, w = self.spec.label_smoothing, self.spec.adversarial_weight
        for batch in itertools.islice(self.order, steps):
            images, labels = self.data.train.batch(batch[0])
            logits = self.model(images)
            loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
            if self.spec.train_attack != "none":
                attacked = self.model(self.attack(self.spec.train_attack, images, logits.argmax(-1)))
                loss = (1 - w) * loss + w * F.cross_entropy(attacked, labels, label_smoothing=smoothing)
            self.adam.zero_grad()
            loss.backward()
            self.adam.step()

    def evaluate(self) -> list[float]:
        """Loss and accuracy on validation and test, natural and under each eval attack."""
        sums = []
        for split in (self.data.validation, self.data.test):
            for images, labels in split.chunks(CHUNK[split.images.device.type]):
                with torch.no_grad():
                    natural = self.model(images)
                outputs = [natural]
                for attack in self.spec.eval_attacks:
                    adversarial = self.attack(attack.name, images, natural.argmax(-1))
                    with torch.no_grad():
                        outputs.append(self.model(adversarial))
                for logits in outputs:
                    sums += [F.cross_entropy(logits, labels, reduction="sum"), (logits.argmax(-1) == labels).sum()]
        return torch.stack([total.float() for total in sums]).tolist()

    def step_job(self, steps: int) -> Job:
        """Some training steps; a unit is a step of this network."""
        return lambda: self.train(steps), steps

    def evaluation_job(self) -> Job:
        """One evaluation on validation and test."""
        return self.evaluate, 1


def count_operations(spec: TrajectorySpec) -> int:
    """Floating-point operations of the matrix products of one network's training step."""
    sizes = [out * width for out, width in spec.layer_sizes.values()]
    forward, back, images = passes(spec)
    return 2 * spec.batch_size * ((forward + back) * sum(sizes) + images * (2 * sum(sizes) - sizes[0]))


def passes(spec: TrajectorySpec) -> tuple[int, int, int]:
    """Of one training step: forward passes, backward passes to the pixels, and batches whose weight gradient it takes.

    The gradient of the weights of natural and adversarial images is one backward pass over both.
    """
    setting = spec.train_setting
    return (2 + (setting.steps if setting.attack == "pgd" else 0), setting.steps, 2) if setting else (1, 0, 1)


def products_job(spec: TrajectorySpec, stack: int, device: torch.device, capture: Capture, steps: int) -> Job:
    """The matrix products alone of some training steps of a stack, on random numbers."""
    forward, back, images = passes(spec)
    batch, calls = spec.batch_size, []
    for place, (out, width) in enumerate(spec.layer_sizes.values()):
        weight = torch.randn(stack, out, width, device=device)
        inputs, slopes = (torch.randn(stack, images * batch, size, device=device) for size in (width, out))
        calls += [partial(torch.matmul, inputs[:, :batch], weight.mT)] * forward
        calls += [partial(torch.matmul, slopes[:, :batch], weight)] * back
        calls += [partial(torch.matmul, slopes.mT, inputs)]
        calls += [partial(torch.matmul, slopes, weight)] * (place > 0)

    def work() -> None:
        for call in calls:
            call()

    work()
    launch = capture(work)

    def run() -> None:
        for _ in range(steps):
            launch()

    return run, steps
