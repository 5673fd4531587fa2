"""Training of a stack on a GPU by a CUDA graph: the host launches a whole step at once, not kernel by kernel.

Off unless the environment asks for it (`LTHRAY_CUDA_GRAPHS=1`), because no GPU has run it yet.
"""

import os
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lthray.engine.adam import Averages
from lthray.engine.randomness import draw_random_start, random_start
from lthray.engine.stack import StackTraining
from lthray.engine.state import TrainingState
from lthray.errors import InputError
from lthray.methods.attacks import Setting
from lthray.methods.networks import Layers
from lthray.spec.optimizing import ScheduleSpec
from lthray.spec.trajectory import TrajectorySpec

VARIABLE = "LTHRAY_CUDA_GRAPHS"
WARM_UP = 3
"""Steps before the capture: torch's libraries do some work only once, at their first calls."""

Capture = Callable[[Callable[[], None]], Callable[[], None]]
"""Records a function's work on the device without doing it; returns a function that does it, on the same tensors."""


def is_wanted(device: torch.device) -> bool:
    """Whether to train by a CUDA graph: on a CUDA device, if the environment asks for it.

    Raises:
        InputError: the environment variable is neither 0 nor 1.
    """
    value = os.environ.get(VARIABLE, "0")
    if value not in ("0", "1"):
        raise InputError(f"environment variable {VARIABLE}: found {value!r}, allowed are 0 and 1")
    return device.type == "cuda" and value == "1"


def can_capture(spec: TrajectorySpec) -> bool:
    """Whether all steps of a round are the same work: a graph holds the learning rate and the radius of the attack."""
    return spec.schedule == ScheduleSpec() and not spec.objective.epsilon_warmup and not spec.is_free


def capture_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Captures the kernels that `work` launches as a CUDA graph; returns a function that launches them all."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class CapturedTraining:
    """Trains a stack by the operations of `StackTraining`; after the first steps, a step is one graph.

    A graph works on tensors that stay where they are, so each batch is copied to where the graph reads it. The attack's
    random starts are drawn into such tensors before the graph runs, from the same generators as without a graph: inside
    of it, each generator would cost two more kernels a step. Smaller batches, which end an epoch with
    `drop_last: false`, are trained without the graph.

    Args:
        start: As for `StackTraining`; so are the masks and the specs.
        masks: bool, (S, out, in) a layer.
        specs: The trajectories of the stack.
        capture: Makes the graph.
    """

    def __init__(
        self,
        start: TrainingState,
        masks: Layers,
        specs: Sequence[TrajectorySpec],
        capture: Capture = capture_graph,
    ) -> None:
        self.stack, self.batch_size = StackTraining(start, masks, specs), specs[0].batch_size
        self.capture, self.steps = capture, 0
        self.starts: list[tuple[Setting, Tensor | None]] = []
        """The random starts (S, B, D) that a step draws, in order; they stay where they are."""

    def step(self, images: Tensor, labels: Tensor, generators: Sequence[torch.Generator]) -> None:
        """One optimizer step on images (S, B, D) and labels (S, B)."""
        if labels.shape[-1] != self.batch_size:
            self.stack.step(images, labels, generators)
            return
        self.steps += 1
        if self.steps <= WARM_UP:
            self.starts = []
            self.stack.step(images, labels, generators, self._draw)
            return
        if self.steps == WARM_UP + 1:
            self.images, self.labels = images.clone(), labels.clone()
            self.launch = self.capture(self._step)
        self.images.copy_(images)
        self.labels.copy_(labels)
        for setting, noise in self.starts:
            if noise is not None:
                draw_random_start(setting, noise, generators)
        self.launch()

    def _draw(self, setting: Setting, images: Tensor, generators: Sequence[torch.Generator]) -> Tensor | None:
        """Draws a random start, and keeps its tensor for the graph."""
        noise = random_start(setting, images, generators)
        self.starts.append((setting, noise))
        return noise

    def _step(self) -> None:
        """A step that reads nothing but tensors that stay where they are."""
        starts = (noise for _, noise in self.starts)
        self.stack.step(self.images, self.labels, (), lambda *_: next(starts))

    def current(self) -> tuple[Layers, Averages]:
        """The current weights and Adam's averages, (S, out, in) a layer."""
        return self.stack.current()
