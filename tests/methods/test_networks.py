"""Facts about networks."""

import pytest

from lthray.methods.networks import layer_sizes


def test_dense_networks_take_images_of_any_shape_and_number_of_classes():
    assert layer_sizes("mlp", (5, 3), (3, 32, 30), 4) == {"hidden_1": (5, 2880), "hidden_2": (3, 5), "output": (4, 3)}
    assert layer_sizes("lenet-300-100", (300, 100), (17,), 2)["hidden_1"] == (300, 17)


def test_convolutions_take_square_grey_images():
    assert layer_sizes("lenet-5", (120, 84), (1, 32, 32), 43) == {
        "conv_1": (6, 1, 5, 5),
        "conv_2": (16, 6, 5, 5),
        "hidden_1": (120, 16 * 6 * 6),
        "hidden_2": (84, 120),
        "output": (43, 84),
    }
    assert layer_sizes("lenet-5", (120, 84), (1, 4, 4), 10)["hidden_1"] == (120, 16)
    for shape in ((3, 32, 32), (1, 28, 20), (784,), (1, 3, 3)):
        with pytest.raises(
            ValueError, match="model: lenet-5 takes square grey images of at least 4x4 pixels, but these"
        ):
            layer_sizes("lenet-5", (120, 84), shape, 10)
