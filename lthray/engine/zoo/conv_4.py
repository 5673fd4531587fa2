"""Conv-4 of the lottery ticket hypothesis (Frankle and Carbin 2019, figure 2)."""

from torch import Tensor, nn


class Conv4(nn.Module):
    """Two pairs of 3x3 convolutions with max pooling behind each, then two hidden layers; 2.4 million weights.

    Weights start Gaussian after Glorot and Bengio (2010), as in the paper, and biases at zero.

    Args:
        shape: (channels, height, width) of the images.
        classes: Number of classes.
        width: Maps of the first pair; the second has twice as many.
        hidden: Units of each hidden layer.
    """

    def __init__(
        self, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10, width: int = 64, hidden: int = 256
    ) -> None:
        super().__init__()
        channels, height, side = shape
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.hidden = nn.Sequential(
            nn.Linear(2 * width * (height // 4) * (side // 4), hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU()
        )
        self.output = nn.Linear(hidden, classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.xavier_normal_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, channels, height, width)."""
        logits: Tensor = self.output(self.hidden(self.features(images)))
        return logits
