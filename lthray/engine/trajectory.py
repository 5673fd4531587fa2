"""The rounds of a stack of trajectories: start, train, evaluate, prune, again. No files, no processes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from lthray import references
from lthray.engine.data import Dataset, Split
from lthray.engine.evaluation import Measurement
from lthray.engine.module import draw_module
from lthray.engine.network import glorot_uniform
from lthray.engine.pruning import prune_network
from lthray.engine.randomness import Draw, generator
from lthray.engine.recorder import Recorder, early_stopping_iteration
from lthray.engine.results import Array, Checkpoint, Failure, Resume, RoundResult, Ticket, share_remaining
from lthray.engine.state import TrainingState, begin_round, resume_round
from lthray.engine.training import train
from lthray.errors import InputError
from lthray.methods.networks import Layers
from lthray.methods.strategies import STRATEGIES, TRANSFER, Past
from lthray.spec.trajectory import TrajectorySpec

FindMasks = Callable[[TrajectorySpec, int], dict[str, Array]]
"""Finds the masks of a round of strategy transfer, uint8 (out, in) by layer; an InputError where there are none."""


def _find_no_masks(spec: TrajectorySpec, number: int) -> dict[str, Array]:
    raise InputError(f"no masks were given for round {number} of strategy {spec.strategy}")


@dataclass(frozen=True)
class Progress:
    """How far a stack's round is, when it begins and at each evaluation."""

    round: int
    iteration: int
    running: int
    """Trajectories of the stack."""
    weights_remaining: float
    """Share of weights remaining in the stack's first trajectory, in (0, 1]."""
    measurements: list[Measurement]
    """Empty when the round begins: nothing is measured yet."""
    checkpoints: Callable[[], list[Checkpoint]]
    """Takes a checkpoint of each trajectory that has trained and not failed; to be called before training goes on."""


def run(
    specs: Sequence[TrajectorySpec],
    data: Dataset,
    first_round: int = 0,
    resumes: Sequence[Resume] = (),
    observe: Callable[[Progress], None] = lambda _: None,
    find_masks: FindMasks = _find_no_masks,
    checkpoints: Sequence[Checkpoint] = (),
) -> Iterator[list[RoundResult | Failure]]:
    """Runs a stack of trajectories from `first_round` to their last round.

    Args:
        specs: Trajectories of one `stack_key`.
        data: Their data set, on the device that trains.
        first_round: Round to begin with, the same for all.
        resumes: One a trajectory, where `first_round` is not 0.
        observe: Called when a round begins, or goes on from a checkpoint, and at every evaluation.
        find_masks: Finds the masks of trajectories that do not prune.
        checkpoints: Where `first_round` was interrupted: one a trajectory, of one iteration.

    Yields:
        Round by round, a result or a failure for each trajectory that is still in the stack; a trajectory that failed
        leaves it. Ends early where none is left.
    """
    device = data.train.images.device
    stack = [_Member(spec, resumes[i] if resumes else None, device, find_masks) for i, spec in enumerate(specs)]
    interrupted = {checkpoint.spec.trajectory_id: checkpoint for checkpoint in checkpoints}
    for number in range(first_round, max(spec.rounds for spec in specs) + 1):
        stack = [member for member in stack if number <= member.spec.rounds]
        if not stack:
            return
        results: list[RoundResult | Failure] = []
        for member in stack:
            reason = member.start(number, data.train) if number else None
            results += [Failure(member.spec, number, reason)] if reason else []
        stack = _without_failures(stack, results)
        if stack:
            results += _train_round(stack, data, number, observe, interrupted)
        yield results
        interrupted = {}
        stack = _without_failures(stack, results)


class _Member:
    """One trajectory of a stack: its weights and masks (out, in) between rounds; of a module, all of its tensors."""

    def __init__(
        self, spec: TrajectorySpec, resume: Resume | None, device: torch.device, find_masks: FindMasks
    ) -> None:
        self.spec, self.device, self.find_masks = spec, device, find_masks
        self.initial = self._draw(Draw.INIT)
        layers = list(spec.layer_sizes)
        self.masks = tuple(torch.ones_like(weight, dtype=torch.bool) for weight in self.initial[: len(layers)])
        self.weights = self.dense = self.rewound = self.initial
        if resume:
            self.weights = self._tensors(resume.last.weights)
            self.masks = tuple(mask.bool() for mask in self._tensors(resume.last.masks, layers))
            self.dense = self._tensors(resume.dense.weights) if resume.dense else self.initial
            self.rewound = self._tensors(resume.rewound.weights) if resume.rewound else self.initial

    def _draw(self, draw: Draw, *place: int) -> Layers:
        source = generator(self.spec.seed, draw, *place)
        if self.spec.is_module:
            tensors = draw_module(self.spec, source)
        else:
            tensors = glorot_uniform(list(self.spec.layer_sizes.values()), source)
        return tuple(tensor.to(self.device) for tensor in tensors)

    def _tensors(self, arrays: dict[str, Array], names: Iterable[str] | None = None) -> Layers:
        """Arrays of the network's tensors, or of those of `names`, as tensors on the device."""
        names = self.spec.tensor_sizes if names is None else names
        return tuple(torch.tensor(arrays[name], device=self.device) for name in names)

    def start(self, number: int, images: Split) -> str | None:
        """Prunes the previous round's network, or takes masks, and replaces it by the start of round `number`.

        Returns:
            Why the round cannot begin, if it cannot.
        """
        if number == 1:
            self.dense = self.weights
        spec, pruned, before = self.spec, number - 1, self.masks
        if spec.strategy == TRANSFER:
            try:
                masks = tuple(mask.bool() for mask in self._tensors(self.find_masks(spec, number), spec.layer_sizes))
            except InputError as error:  # a damaged copy concerns this trajectory alone
                return str(error)
        else:
            if spec.prune.schedule == "one-shot":
                pruned, before = 0, tuple(torch.ones_like(mask) for mask in self.masks)
                self.weights = self.dense
            masks = prune_network(spec, self.weights, before, number, pruned, images)
        order = generator(spec.seed, Draw.SHUFFLE, pruned)
        past = Past(
            initial=self.initial,
            rewound=self._rewind(),
            trained=self.weights,
            before=before,
            masks=masks,
            draw=lambda: self._draw(Draw.RANDOM_START, number),
            permutation=lambda count: torch.randperm(count, generator=order).to(self.device),
        )
        start, self.masks = references.find(STRATEGIES, "strategies", spec.strategy, spec.own.code)(past)
        masked = tuple(weight * mask for weight, mask in zip(start, self.masks, strict=False))
        self.weights = (*masked, *start[len(masked) :])
        empty = [name for name, mask in zip(spec.layer_sizes, self.masks, strict=True) if not mask.any()]
        return f"prune.scope {spec.prune.scope} took the last weight of {', '.join(empty)}" if empty else None

    def _rewind(self) -> Layers:
        """The weights that `rewind_to` names."""
        if self.spec.rewind_iteration is not None:
            return self.rewound
        return self.initial if self.spec.rewind_to == "init" else self.dense

    def resume(self, checkpoint: Checkpoint) -> None:
        """Takes the rewound weights that a checkpoint of round 0 holds, if it does."""
        if checkpoint.rewound:
            self.rewound = self._tensors(checkpoint.rewound)

    def ticket(self, weights: Layers) -> Ticket:
        """These weights under the current masks."""
        return Ticket(self.arrays(weights), self.arrays([mask.to(torch.uint8) for mask in self.masks]))

    def arrays(self, layers: Sequence[Tensor]) -> dict[str, Array]:
        """A copy of the network's first tensors, or of all, by name; the layers come first."""
        return {name: layer.cpu().numpy().copy() for name, layer in zip(self.spec.tensor_sizes, layers, strict=False)}


def _without_failures(stack: Sequence[_Member], results: Sequence[RoundResult | Failure]) -> list[_Member]:
    failed = {result.spec.trajectory_id for result in results if isinstance(result, Failure)}
    return [member for member in stack if member.spec.trajectory_id not in failed]


def _train_round(
    stack: Sequence[_Member],
    data: Dataset,
    number: int,
    observe: Callable[[Progress], None],
    interrupted: Mapping[str, Checkpoint],
) -> list[RoundResult | Failure]:
    """Trains and evaluates one round of the stack; its members hold their trained weights afterwards."""
    checkpoints = [interrupted[member.spec.trajectory_id] for member in stack] if interrupted else []
    recorder = Recorder([member.spec for member in stack], data, number, checkpoints)
    specs, device, remaining = recorder.specs, recorder.device, share_remaining(stack[0].masks)
    masks = _stack([member.masks for member in stack])
    if checkpoints:
        start = resume_round(checkpoints, specs, device)
        for member, checkpoint in zip(stack, checkpoints, strict=True):
            member.resume(checkpoint)
    else:
        start = begin_round(_stack([member.weights for member in stack]), specs, number)
    rewinds = [None if number else spec.rewind_iteration for spec in specs]
    stops = [iteration for iteration in rewinds if iteration is not None]
    observe(Progress(number, start.iteration, len(stack), remaining, [], list))
    state = start
    for state in train(start, masks, specs, data.train, number, stops):
        for i, member in enumerate(stack):
            if state.iteration == rewinds[i]:
                member.rewound = tuple(weight.clone() for weight in _slice(state.weights, i))
        if state.iteration not in recorder.reported:
            continue
        measurements = recorder.evaluate(state)
        take = partial(_take_checkpoints, stack, number, state, recorder)
        observe(Progress(number, state.iteration, len(stack), remaining, measurements, take))
        if len(recorder.failures) == len(stack):
            break
    ends = recorder.measure_ends(state)
    seconds = recorder.seconds()
    for i, member in enumerate(stack):
        member.weights = tuple(weight.clone() for weight in _slice(state.weights, i))
    return [
        Failure(member.spec, number, recorder.failures[i])
        if i in recorder.failures
        else RoundResult(
            spec=member.spec,
            round=number,
            ticket=member.ticket(member.weights),
            curves=recorder.curves[i],
            early_stopping_iteration=early_stopping_iteration(member.spec, recorder.curves[i]),
            stack=len(stack),
            train_seconds=seconds[i][0],
            eval_seconds=seconds[i][1],
            device=device_name(device),
            images={name: len(split.labels) for name, split in recorder.splits.items()},
            rewound=None if rewinds[i] is None else member.ticket(member.rewound),
            ends=ends[i],
            end_images=len(recorder.end_images.labels),
        )
        for i, member in enumerate(stack)
    ]


def _stack(networks: Sequence[Layers]) -> Layers:
    return tuple(torch.stack(layer) for layer in zip(*networks, strict=True))


def _slice(layers: Layers, i: int) -> Layers:
    """One trajectory's part of a stack's tensors."""
    return tuple(layer[i] for layer in layers)


def _take_checkpoints(
    stack: Sequence[_Member], number: int, state: TrainingState, recorder: Recorder
) -> list[Checkpoint]:
    checkpoints, seconds = [], recorder.seconds()
    for i, member in enumerate(stack):
        if i in recorder.failures or state.iteration == 0:  # before the first step there is nothing to save
            continue
        spec, rewind = member.spec, member.spec.rewind_iteration
        passed = number == 0 and rewind is not None and rewind <= state.iteration
        checkpoints.append(
            Checkpoint(
                spec=spec,
                round=number,
                iteration=state.iteration,
                weights=member.arrays(_slice(state.weights, i)),
                mean=member.arrays(_slice(state.averages.mean, i)),
                square=member.arrays(_slice(state.averages.square, i)),
                rewound=member.arrays(member.rewound) if passed else None,
                early_stopped=member.arrays(best.weights) if (best := recorder.early_stopped[i]) else None,
                generator=state.generators[i].get_state().numpy(),
                perturbation=None if state.perturbations is None else state.perturbations[i].cpu().numpy().copy(),
                curves=list(recorder.curves[i]),
                train_seconds=seconds[i][0],
                eval_seconds=seconds[i][1],
                device=device_name(recorder.device),
            )
        )
    return checkpoints


def device_name(device: torch.device) -> str:
    """`cpu`, or `cuda` and the GPU's name."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
