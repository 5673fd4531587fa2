"""The rounds of a stack of trajectories: start, train, evaluate, prune, again. No files, no processes."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lthray.engine.data import Dataset, Split
from lthray.engine.evaluation import Measurement, evaluate
from lthray.engine.network import Weights, glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import Array, CurveRow, Failure, Resume, RoundResult, Ticket
from lthray.engine.training import mean_gradient, train
from lthray.errors import InputError
from lthray.methods.criteria import CRITERIA, Trained, prune, prune_together
from lthray.methods.strategies import STRATEGIES, TRANSFER, Past
from lthray.spec.trajectory import WHOLE, TrajectorySpec

Given = Callable[[TrajectorySpec, int], dict[str, Array]]
"""Finds the masks of a round of strategy transfer, uint8 (out, in) by layer; an InputError where there are none."""


def _none_given(spec: TrajectorySpec, number: int) -> dict[str, Array]:
    raise InputError(f"no masks were given for round {number} of strategy {spec.strategy}")


@dataclass(frozen=True)
class Progress:
    """How far a stack's round is, at an evaluation."""

    round: int
    iteration: int
    running: int
    """Trajectories of the stack."""
    weights_remaining: float
    """Of its first trajectory, in (0, 1]."""
    measurements: list[Measurement]


def early_stopping_iteration(spec: TrajectorySpec, curves: Sequence[CurveRow]) -> int:
    """The first iteration with the smallest validation objective: the loss that round 0 trains by, on validation."""
    losses: dict[int, dict[str, float]] = {}
    for row in curves:
        if row.split == "validation":
            losses.setdefault(row.iteration, {})[row.attack] = row.loss
    w = 0.0 if spec.train_attack == "none" else spec.adversarial_weight
    objective = {
        iteration: (1 - w) * at["none"] + (w * at[spec.train_attack] if w else 0) for iteration, at in losses.items()
    }
    return min(objective, key=lambda iteration: (objective[iteration], iteration))


def run(
    specs: Sequence[TrajectorySpec],
    data: Dataset,
    first_round: int = 0,
    resumes: Sequence[Resume] = (),
    observe: Callable[[Progress], None] = lambda _: None,
    given: Given = _none_given,
) -> Iterator[list[RoundResult | Failure]]:
    """Runs a stack of trajectories from `first_round` to their last round.

    Args:
        specs: Trajectories of one `stack_key`.
        data: Their data set, on the device that trains.
        first_round: Round to begin with, the same for all.
        resumes: One a trajectory, where `first_round` is not 0.
        observe: Told at every evaluation.
        given: Finds the masks of those that do not prune.

    Yields:
        Round by round, a result or a failure for each trajectory that is still in the stack; a trajectory that failed
        leaves it. Ends early where none is left.
    """
    device = data.train.images.device
    stack = [_Member(spec, resumes[i] if resumes else None, device, given) for i, spec in enumerate(specs)]
    for number in range(first_round, max(spec.rounds for spec in specs) + 1):
        stack = [member for member in stack if number <= member.spec.rounds]
        if not stack:
            return
        reasons = [member.begin(number, data.train) for member in stack]
        done: list[RoundResult | Failure] = [
            Failure(member.spec, number, reason) for member, reason in zip(stack, reasons, strict=True) if reason
        ]
        stack = [member for member, reason in zip(stack, reasons, strict=True) if not reason]
        done += _round(stack, data, number, observe) if stack else []
        yield done
        failed = {one.spec.trajectory_id for one in done if isinstance(one, Failure)}
        stack = [member for member in stack if member.spec.trajectory_id not in failed]


class _Member:
    """One trajectory of a stack: its weights and masks (out, in) between rounds."""

    def __init__(self, spec: TrajectorySpec, resume: Resume | None, device: torch.device, given: Given) -> None:
        self.spec, self.device, self.given = spec, device, given
        self.initial = self._draw(Draw.INIT)
        self.masks = tuple(torch.ones_like(weight, dtype=torch.bool) for weight in self.initial)
        self.weights = self.initial
        self.dense: Weights = self.initial
        self.early: Weights = self.initial
        if resume:
            self.weights = self._tensors(resume.last.weights)
            self.masks = tuple(mask.bool() for mask in self._tensors(resume.last.masks))
            self.dense = self._tensors(resume.dense.weights) if resume.dense else self.initial
            self.early = self._tensors(resume.early.weights) if resume.early else self.initial

    def _draw(self, draw: Draw, *place: int) -> Weights:
        weights = glorot_uniform(list(self.spec.layer_sizes.values()), generator(self.spec.seed, draw, *place))
        return tuple(weight.to(self.device) for weight in weights)

    def _noise(self, round_: int) -> Weights:
        one = generator(self.spec.seed, Draw.CRITERION, round_)
        return tuple(torch.rand(size, generator=one).to(self.device) for size in self.spec.layer_sizes.values())

    def _tensors(self, arrays: dict[str, Array]) -> Weights:
        return tuple(torch.tensor(arrays[name], device=self.device) for name in self.spec.layer_sizes)

    def begin(self, number: int, images: Split) -> str | None:
        """Prunes the weights that a round trained, or takes masks, and puts the next round's start in their place.

        Returns:
            Why the round can't begin, if it can't.
        """
        if number == 0:
            return None
        if number == 1:
            self.dense = self.weights
        spec, pruned, before = self.spec, number - 1, self.masks
        if spec.strategy == TRANSFER:
            try:
                masks = tuple(mask.bool() for mask in self._tensors(self.given(spec, number)))
            except InputError as error:  # a damaged copy is this trajectory's alone
                return str(error)
        else:
            if spec.prune.schedule == "one-shot":
                pruned, before = 0, tuple(torch.ones_like(mask) for mask in self.masks)
                self.weights = self.dense
            masks = self._pruned(before, number, pruned, images)
        order = generator(spec.seed, Draw.SHUFFLE, pruned)
        past = Past(
            initial=self.initial,
            rewound=self._rewound(),
            trained=self.weights,
            before=before,
            masks=masks,
            draw=lambda: self._draw(Draw.RANDOM_START, number),
            permutation=lambda count: torch.randperm(count, generator=order).to(self.device),
        )
        start, self.masks = STRATEGIES[spec.strategy](past)
        self.weights = tuple(weight * mask for weight, mask in zip(start, self.masks, strict=True))
        empty = [name for name, mask in zip(spec.layer_sizes, self.masks, strict=True) if not mask.any()]
        return f"prune.scope {spec.prune.scope} took the last weight of {', '.join(empty)}" if empty else None

    def _pruned(self, masks: Weights, number: int, pruned: int, images: Split) -> Weights:
        """Masks of round `number` from the weights as they are, which round `pruned` trained under `masks`."""
        spec = self.spec
        attack = "pgd" if spec.train_attack == "none" else spec.train_attack
        trained = Trained(
            weights=self.weights,
            gradient=lambda: mean_gradient(self.weights, images, spec, "none", pruned),
            adversarial_gradient=lambda: mean_gradient(self.weights, images, spec, attack, pruned),
            noise=lambda: self._noise(pruned),
        )
        with torch.no_grad():
            scores = CRITERIA[spec.prune.criterion](trained)
        left = spec.weights_left(number)[number]
        if spec.prune.scope == "global":
            return prune_together(scores, masks, left[WHOLE])
        return tuple(prune(*layer) for layer in zip(scores, masks, left.values(), strict=True))

    def _rewound(self) -> Weights:
        if self.spec.rewind_iteration is not None:
            return self.early
        return self.initial if self.spec.rewind_to == "init" else self.dense

    def ticket(self, weights: Weights) -> Ticket:
        """These weights under the masks as they are."""
        names = list(self.spec.layer_sizes)
        return Ticket(
            {name: weight.cpu().numpy().copy() for name, weight in zip(names, weights, strict=True)},
            {name: mask.to(torch.uint8).cpu().numpy() for name, mask in zip(names, self.masks, strict=True)},
        )


def _stacked(networks: Sequence[Weights]) -> tuple[Tensor, ...]:
    return tuple(torch.stack(layer) for layer in zip(*networks, strict=True))


def _round(
    stack: Sequence[_Member], data: Dataset, number: int, observe: Callable[[Progress], None]
) -> list[RoundResult | Failure]:
    """One round of the stack; its members hold their trained weights afterwards."""
    specs = [member.spec.in_round(number) for member in stack]
    reported = specs[0].evaluation_iterations()
    splits = {"validation": data.validation, "test": data.test}
    curves: list[list[CurveRow]] = [[] for _ in stack]
    failures: dict[int, Failure] = {}
    remaining = sum(int(mask.sum()) for mask in stack[0].masks) / sum(mask.numel() for mask in stack[0].masks)
    began, eval_seconds, before = time.perf_counter(), 0.0, 0
    starts, masks = (_stacked([getattr(member, name) for member in stack]) for name in ("weights", "masks"))
    keeps = [None if number else spec.rewind_iteration for spec in specs]
    for iteration, weights in train(starts, masks, specs, data.train, number, [at for at in keeps if at is not None]):
        for i, member in enumerate(stack):
            if keeps[i] == iteration:
                member.early = tuple(weight[i].clone() for weight in weights)
        if iteration not in reported:
            continue
        _synchronize(data.train.images.device)
        paused = time.perf_counter()
        found = evaluate(weights, specs, splits, number, iteration)
        eval_seconds += time.perf_counter() - paused
        for i, spec in enumerate(specs):
            rows = [
                CurveRow(
                    iteration=iteration,
                    reported_iteration=reported[iteration],
                    split=one.split,
                    attack=one.attack,
                    loss=one.loss[i],
                    accuracy=one.accuracy[i],
                    zero_gradient_share=one.zero_gradient_share[i] if one.zero_gradient_share else None,
                )
                for one in found
            ]
            curves[i] += rows
            bad = next((row for row in rows if not math.isfinite(row.loss)), None)
            if bad and i not in failures:
                failures[i] = Failure(stack[i].spec, number, _not_finite(bad, before, spec))
        observe(Progress(number, iteration, len(stack), remaining, found))
        before = iteration
        if len(failures) == len(stack):
            break
    seconds = time.perf_counter() - began - eval_seconds
    for i, member in enumerate(stack):
        member.weights = tuple(weight[i].clone() for weight in weights)
    return [
        failures.get(i)
        or RoundResult(
            spec=member.spec,
            round=number,
            ticket=member.ticket(member.weights),
            curves=curves[i],
            early_stopping_iteration=early_stopping_iteration(member.spec, curves[i]),
            stack=len(stack),
            train_seconds=seconds / len(stack),
            eval_seconds=eval_seconds / len(stack),
            device=device_name(data.train.images.device),
            images={name: len(split.labels) for name, split in splits.items()},
            early=None if keeps[i] is None else member.ticket(member.early),
        )
        for i, member in enumerate(stack)
    ]


def _not_finite(row: CurveRow, before: int, spec: TrajectorySpec) -> str:
    when = "before the first iteration" if row.iteration == 0 else f"between iterations {before} and {row.iteration}"
    return (
        f"the loss stopped being finite {when} ({row.split} loss under attack {row.attack}: {row.loss});"
        f" learning_rate is {spec.learning_rate:g}"
    )


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_name(device: torch.device) -> str:
    """`cpu`, or `cuda` and the GPU's name."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type
