"""A network of your own: any module from images (B, channels, height, width) in [0, 1] to logits (B, classes)."""

from torch import Tensor, nn


class Net(nn.Module):
    """A convolution and two linear layers. `shape`, `classes`: the data set's; `width`: `model_args.width`."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 8) -> None:
        super().__init__()
        channels, height, side = shape
        self.convolution = nn.Conv2d(channels, width, 3, padding=1)
        self.hidden = nn.Linear(width * (height // 2) * (side // 2), 64)
        self.output = nn.Linear(64, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of a batch."""
        maps = nn.functional.max_pool2d(self.convolution(images).relu(), 2)
        logits: Tensor = self.output(self.hidden(maps.flatten(1)).relu())
        return logits
