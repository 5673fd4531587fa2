"""ResNet-20 in its form for CIFAR-10 (He et al. 2016, section 4.2)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters: where sizes differ, it skips pixels and pads maps."""

    def __init__(self, channels: int, maps: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, maps, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(maps)
        self.conv2 = nn.Conv2d(maps, maps, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(maps)
        self.stride, self.padding = stride, maps - channels

    def forward(self, images: Tensor) -> Tensor:
        """Maps (B, maps, H / stride, W / stride) of images (B, channels, H, W)."""
        maps = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(images)))))
        shortcut = images[..., :: self.stride, :: self.stride]
        before = self.padding // 2
        return torch.relu(maps + F.pad(shortcut, (0, 0, 0, 0, before, self.padding - before)))


class ResNet20(nn.Module):
    """A convolution, three stages of blocks and a linear layer; 0.27 million parameters with three blocks a stage.

    Weights start Gaussian after He et al. (2015).

    Args:
        shape: (channels, height, width) of the images.
        classes: Number of classes.
        width: Maps of the first stage; each later stage has twice as many.
        blocks: Blocks of each stage: 3 make ResNet-20, 5 ResNet-32.
    """

    def __init__(
        self, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10, width: int = 16, blocks: int = 3
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(shape[0], width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        channels, stages = width, []
        for stage in range(3):
            maps = width * 2**stage
            strides = [1 if stage == 0 else 2, *[1] * (blocks - 1)]
            stages.append(
                nn.Sequential(
                    *(Block(channels if place == 0 else maps, maps, stride) for place, stride in enumerate(strides))
                )
            )
            channels = maps
        self.stages = nn.Sequential(*stages)
        self.output = nn.Linear(channels, classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, channels, height, width)."""
        maps = self.stages(torch.relu(self.bn(self.conv(images))))
        logits: Tensor = self.output(maps.mean((2, 3)))
        return logits
