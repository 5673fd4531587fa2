"""Layerwise magnitude pruning of a stack: weights and masks in, smaller masks out."""

import torch
from torch import Tensor

from lthray.counts import number_to_prune


def prune(weight: Tensor, mask: Tensor, rate: float, cutoff: str) -> Tensor:
    """One layer's mask without the smallest magnitudes of what remains (Han et al. 2015; Frankle and Carbin 2019).

    Args:
        weight: (S, out, in).
        mask: (S, out, in), bool; True where a weight remains.
        rate: Share of the remaining weights to prune, in [0, 1).
        cutoff: `exclusive` or `inclusive`, see `number_to_prune`.

    Returns:
        A new mask. Where magnitudes tie, the weight that stands first in its layer goes first, so that the number
        pruned is exact.
    """
    kept = torch.empty_like(mask)
    for one, old, new in zip(weight, mask, kept, strict=True):
        magnitudes = one.abs().masked_fill(~old, torch.inf).flatten()
        order = magnitudes.argsort(stable=True)
        flat = old.flatten().clone()
        flat[order[: number_to_prune(int(old.sum()), rate, cutoff)]] = False
        new.copy_(flat.view_as(old))
    return kept
