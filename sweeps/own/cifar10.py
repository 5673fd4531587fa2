"""A small convolutional network for CIFAR-10, as an example of a network of your own."""

from torch import Tensor, nn


def block(channels: int, maps: int) -> nn.Sequential:
    """A 3x3 convolution that halves the sides of its maps."""
    return nn.Sequential(
        nn.Conv2d(channels, maps, 3, padding=1, bias=False), nn.BatchNorm2d(maps), nn.ReLU(), nn.MaxPool2d(2)
    )


class ConvNet(nn.Module):
    """Three blocks and a linear layer; `shape` and `classes` are those of the data set."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 16) -> None:
        super().__init__()
        self.blocks = nn.Sequential(block(shape[0], width), block(width, 2 * width), block(2 * width, 4 * width))
        self.output = nn.Linear(4 * width * (shape[1] // 8) * (shape[2] // 8), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of images (B, channels, height, width) in [0, 1]."""
        return self.output(self.blocks(images).flatten(1))
