"""Networks as a user would write them, for tests of the engine's second way."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from lthray.engine.network import glorot_uniform


class Mlp(nn.Module):
    """The network `mlp` as a module, drawn as lthray draws it."""

    def __init__(self, shape: tuple[int, ...], classes: int, widths: list[int]) -> None:
        super().__init__()
        sizes = [torch.Size(shape).numel(), *widths, classes]
        names = [*(f"hidden_{place + 1}" for place in range(len(widths))), "output"]
        drawn = glorot_uniform(
            [(out, width) for width, out in pairwise(sizes)],
            torch.Generator().manual_seed(torch.initial_seed()),
        )
        for name, weight in zip(names, drawn, strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
            layer.weight.data = weight
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (B, channels, height, width)."""
        outputs = images.flatten(1)
        *hidden, output = self.children()
        for layer in hidden:
            outputs = torch.relu(layer(outputs))
        return output(outputs)


class Small(nn.Module):
    """A convolution with normalisation and dropout, and a linear layer with a bias."""

    def __init__(self, shape: tuple[int, ...], classes: int, maps: int = 4, dropout: float = 0.25) -> None:
        super().__init__()
        self.conv = nn.Conv2d(shape[0], maps, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(maps)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(maps * (shape[1] // 2) * (shape[2] // 2), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (B, channels, height, width)."""
        maps = nn.functional.max_pool2d(torch.relu(self.bn(self.conv(images))), 2)
        return self.output(self.dropout(maps.flatten(1)))
