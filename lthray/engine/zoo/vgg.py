"""VGG-11 with batch normalisation, in its form for images of 32x32 (Simonyan and Zisserman 2015, table 1, column A)."""

from torch import Tensor, nn

MAPS = (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0)
"""Maps of each convolution, and 0 for a max pooling."""


class Vgg11(nn.Module):
    """Eight 3x3 convolutions with batch normalisation and one linear layer; 9.2 million parameters.

    Weights start Gaussian after He et al. (2015).

    Args:
        shape: (channels, height, width) of the images, with sides of at least 32.
        classes: Number of classes.
    """

    def __init__(self, shape: tuple[int, ...] = (3, 32, 32), classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = shape[0]
        for maps in MAPS:
            if not maps:
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(channels, maps, 3, padding=1), nn.BatchNorm2d(maps), nn.ReLU()]
            channels = maps
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.output = nn.Linear(channels, classes)
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(part.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes) of images (B, channels, height, width)."""
        logits: Tensor = self.output(self.features(images))
        return logits
