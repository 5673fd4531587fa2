"""Augmentation of training images: a new crop and flip of each image in each batch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4
"""Rows and columns of zeros on each side of an image before it is cropped."""


def crop_flip(images: Tensor, shape: Sequence[int], generators: Sequence[torch.Generator]) -> Tensor:
    """Pads each image by zeros, crops it at random to its size, and flips it left to right with probability 1/2.

    After He et al. 2016, section 4.2. The numbers are drawn on the CPU, so that they are the same on every device.

    Args:
        images: (S, B, D), pixels in [0, 1]; they are not changed.
        shape: Channels, height and width of an image.
        generators: One a trajectory.

    Returns:
        (S, B, D).
    """
    channels, height, width = shape
    draws = [
        torch.stack(
            [
                torch.randint(2 * PADDING + 1, (images.shape[1],), generator=source),
                torch.randint(2 * PADDING + 1, (images.shape[1],), generator=source),
                torch.randint(2, (images.shape[1],), generator=source),
            ]
        )
        for source in generators
    ]
    top, left, flipped = torch.cat(draws, dim=1).to(images.device).unsqueeze(-1)  # (S·B, 1) each
    across = torch.arange(width, device=images.device)
    rows = top + torch.arange(height, device=images.device)
    columns = left + torch.where(flipped == 1, width - 1 - across, across)
    padded = F.pad(images.reshape(-1, channels, height, width), [PADDING] * 4)
    image = torch.arange(len(padded), device=images.device)
    # Indices on both sides of the slice put the channels last.
    cropped = padded[image[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2).reshape(images.shape)
