"""Where a stack stands inside a round: all that its next optimizer step depends on."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lthray.engine.adam import Averages, zeros
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import Array, Checkpoint
from lthray.methods.networks import Layers
from lthray.spec.trajectory import TrajectorySpec


@dataclass(frozen=True)
class TrainingState:
    """A stack between two optimizer steps. The order of the batches is not here: it follows from `iteration`."""

    iteration: int
    """Optimizer steps done in the round."""
    weights: Layers
    """(S, out, in) a layer, pruned weights zero; then the other tensors (S, ...) of a module."""
    averages: Averages
    """Averages for each parameter; the buffers of a module, which come last in `weights`, have none."""
    generators: list[torch.Generator]
    """A generator for each trajectory, for the train attack's random starts. Training draws from them."""
    perturbations: Tensor | None = None
    """(S, B, D), of free adversarial training alone. Training changes them."""

    def copy_tensors(self) -> tuple[Layers, Averages]:
        """Copies the weights and averages, for a training to change."""

        def copy(layers: Layers) -> Layers:
            return tuple(layer.clone() for layer in layers)

        return copy(self.weights), Averages(copy(self.averages.mean), copy(self.averages.square))


def begin_round(weights: Layers, specs: Sequence[TrajectorySpec], round_: int) -> TrainingState:
    """The state at the start of a round, from its starting tensors (S, ...)."""
    device = weights[0].device
    generators = [generator(spec.seed, Draw.TRAIN_ATTACK, round_, device=device) for spec in specs]
    parameters = len(specs[0].layer_sizes) + len(specs[0].parameter_sizes)
    spec = specs[0]
    free = weights[0].new_zeros(len(specs), spec.batch_size, spec.inputs) if spec.is_free else None
    return TrainingState(0, weights, zeros(weights[:parameters]), generators, free)


def resume_round(
    checkpoints: Sequence[Checkpoint], specs: Sequence[TrajectorySpec], device: torch.device
) -> TrainingState:
    """The state that checkpoints of one round and iteration hold, one a trajectory."""

    def stack(arrays: Sequence[dict[str, Array]]) -> Layers:
        names = [name for name in specs[0].tensor_sizes if name in arrays[0]]
        return tuple(torch.stack([torch.tensor(tensors[name], device=device) for tensors in arrays]) for name in names)

    weights, mean, square = (
        stack([getattr(checkpoint, name) for checkpoint in checkpoints]) for name in ("weights", "mean", "square")
    )
    generators = [torch.Generator(device) for _ in checkpoints]
    for source, checkpoint in zip(generators, checkpoints, strict=True):
        source.set_state(torch.tensor(checkpoint.generator))
    saved = [checkpoint.perturbation for checkpoint in checkpoints if checkpoint.perturbation is not None]
    free = torch.stack([torch.tensor(array, device=device) for array in saved]) if saved else None
    return TrainingState(checkpoints[0].iteration, weights, Averages(mean, square), generators, free)
