"""The real MNIST and Fashion-MNIST, where LTHRAY_DATA_DIR says they are."""

import os
from pathlib import Path

import pytest

from lthray.driver.datasets.known import read
from lthray.engine.data import on_device
from lthray.engine.trajectory import run
from lthray.errors import InputError
from lthray.methods.attacks import NATURAL
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import CPU

FOLDER = os.environ.get("LTHRAY_DATA_DIR")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOLDER, reason="LTHRAY_DATA_DIR is not set")]


@pytest.mark.parametrize(("dataset", "least"), [("fashion-mnist", 0.86), ("mnist", 0.975)])
def test_a_dense_natural_lenet_learns_within_5_000_iterations(dataset, least):
    spec = TrajectorySpec(dataset=dataset, rounds=0, iterations=5_000, eval_every=2_500, eval_attacks=["fgsm"])
    data = on_device(read(dataset, Path(FOLDER)), spec.validation_size, CPU)
    ((result,),) = run([spec], data)
    accuracy = result.row(NATURAL, "test", 5_000).accuracy
    print(f"{dataset}: {100 * accuracy:.2f} % of the test images after 5,000 iterations")
    assert accuracy >= least


def test_fashion_mnist_under_mnists_name_is_refused(tmp_path):
    (tmp_path / "MNIST").symlink_to(Path(FOLDER) / "FashionMNIST")
    with pytest.raises(InputError, match=r"raw/train-images-idx3-ubyte: found fashion-mnist's, SHA-256"):
        read("mnist", tmp_path)
