"""Structures of a pruning: whether single weights are pruned, n of every m, or whole units.

As in `criteria`, torch is not imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from lthray.methods.criteria import prune
from lthray.methods.networks import Shape

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS, N_OF_M, UNITS = "none", "n-of-m", "units"
"""The names of the structures."""


@dataclass(frozen=True)
class Kept:
    """What a pruning leaves of a layer."""

    weights: int
    """Weights of the layer; whole units of them where units are pruned."""
    n: int
    """Largest number of weights that remain of a group, where groups are pruned."""
    m: int
    """Weights of a group."""


def unit_size(shape: Shape) -> int:
    """How many weights a unit has: a row of a dense layer, a filter of a convolution."""
    return prod(shape[1:])


def weights_in_groups(shape: Shape, n: int, m: int) -> int:
    """How many weights remain where each group of m keeps n, and a unit's last, shorter group at most n."""
    groups, rest = divmod(unit_size(shape), m)
    return shape[0] * (groups * n + min(rest, n))


def prune_units(score: "Tensor", mask: "Tensor", kept: Kept) -> "Tensor":
    """Prunes the units whose scores have the smallest L2 norm.

    A unit is all weights that share the first index: a row (out, in) of a dense layer, which makes one output, or a
    filter (out, in, height, width) of a convolution, which makes one map (Li et al. 2017 rank filters by norms, too).
    Of units with equal norms the first is pruned first.
    """
    units = len(mask)
    scores = score.masked_fill(~mask, 0).reshape(units, -1).norm(dim=1)
    remaining = prune(scores, mask.reshape(units, -1).any(dim=1), kept.weights // unit_size(tuple(mask.shape)))
    return mask & remaining.view(-1, *[1] * (mask.dim() - 1))


def prune_groups(score: "Tensor", mask: "Tensor", kept: Kept) -> "Tensor":
    """Keeps, of every m consecutive weights of a unit, the n remaining weights with the largest scores.

    A unit's weights are taken in the order in which sparse tensor cores read them: for each place of a convolution's
    kernel, row by row, the input channels (Mishra et al. 2021; Zhou et al. 2021). Where m does not divide their number,
    the last group is shorter, as if it were filled up with pruned weights. Of equal scores the first is pruned first.
    """
    from torch import zeros_like  # slow to import
    from torch.nn.functional import pad

    def grouped(tensor: "Tensor") -> "Tensor":
        rows = tensor.movedim(1, -1) if tensor.dim() > 1 else tensor
        rows = rows.reshape(len(tensor), -1)
        return pad(rows, (0, -rows.shape[1] % kept.m)).reshape(len(tensor), -1, kept.m)

    scores, remaining = grouped(score), grouped(mask)
    order = scores.argsort(dim=-1, stable=True)
    # What is pruned comes first, whatever its score.
    order = order.gather(-1, remaining.gather(-1, order).byte().argsort(dim=-1, stable=True))
    largest = zeros_like(remaining).scatter_(-1, order[..., kept.m - kept.n :], True) & remaining
    rows = largest.flatten(1)[:, : unit_size(tuple(mask.shape))]
    if mask.dim() == 1:
        return rows.reshape(mask.shape)
    return rows.reshape(mask.movedim(1, -1).shape).movedim(-1, 1).contiguous()


STRUCTURES: dict[str, Callable[["Tensor", "Tensor", Kept], "Tensor"]] = {
    WEIGHTS: lambda score, mask, kept: prune(score, mask, kept.weights),
    N_OF_M: prune_groups,
    UNITS: prune_units,
}
"""For each structure, a layer's new mask from its scores, its mask and what is to remain."""
