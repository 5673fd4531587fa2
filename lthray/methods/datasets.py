"""Facts about data sets, known without reading them."""

from dataclasses import dataclass
from math import prod


@dataclass(frozen=True)
class DatasetFacts:
    """Sizes of a data set."""

    shape: tuple[int, ...]
    """Channels, height and width of an image, or its number of features."""
    classes: int
    """Number of classes."""
    examples: int
    """Training and validation images together."""
    validation: int | None
    """Images of a fixed validation split, or None where `validation_size` decides."""
    test: int
    """Test images."""
    sha256: dict[str, str]
    """SHA-256 of each unpacked file by name; for data without files, of each array's bytes."""

    @property
    def inputs(self) -> int:
        """Pixels of an image, over all channels."""
        return prod(self.shape)


DATASETS = {
    "mnist": DatasetFacts(
        (1, 28, 28),
        10,
        60_000,
        None,
        10_000,
        {
            "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        },
    ),
    "fashion-mnist": DatasetFacts(
        (1, 28, 28),
        10,
        60_000,
        None,
        10_000,
        {
            "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
    "digits-8x8": DatasetFacts(
        (1, 8, 8),
        10,
        1_437,
        360,
        360,
        {
            "images": "b9057fa43d2e9cb150cca63ff13646e43b240cb2c187b80c3f8341209f81d77c",
            "labels": "fafb2ed22e9e064f2a657afd3b3ff35a9c973dfa618995943fcd3881e0f93eb3",
            "test_images": "850ff0f4017678cb3539adda296d73fa335656dcfea8d92fcdfbb806de52620c",
            "test_labels": "8a84e2aa6db06b9a81b753bf231e8f352c801466c7afcde680844a1f46d776d2",
        },
    ),
}


def foreign(name: str, part: str, sha256: str) -> str | None:
    """Why a file or array is not the data set's, in words; None where it is."""
    expected = DATASETS[name].sha256[part]
    if sha256 == expected:
        return None
    owner = next((f"{owner}'s, " for owner, facts in DATASETS.items() if facts.sha256.get(part) == sha256), "")
    return f"found {owner}SHA-256 {sha256}, but {name}'s has {expected}"
