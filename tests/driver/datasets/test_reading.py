"""What the name of a data set means, and reading while Ray starts."""

import numpy as np
import pytest

from lthray.driver.datasets import is_own, look, read, start_reading
from lthray.errors import InputError
from tests.driver.datasets.test_folders import write
from tests.driver.datasets.test_npz import save
from tests.driver.datasets.test_splits import content
from tests.helpers import own_fields


def test_known_data_sets_need_no_look():
    assert not any(map(is_own, ("mnist", "fashion-mnist", "digits-8x8")))
    assert all(map(is_own, ("digits.npz", "cifar10", "MNIST", "data:load")))


def test_a_folder_beside_the_sweep_file_comes_before_torchvision(tmp_path):
    write(tmp_path / "cifar10")
    assert look("cifar10", tmp_path, tmp_path / "data")[0].shape == (3, 6, 5)


def test_a_name_that_means_nothing_says_what_is_allowed(tmp_path):
    (tmp_path / "empty").mkdir()
    for name, problem in (("cifar11", "there is no folder .*cifar11"), ("empty", ".*empty is a folder without train")):
        allowed = r"allowed are mnist, .*, a file.npz, a folder with train and test, file.py:function, .*cifar10, "
        with pytest.raises(InputError, match=f"^dataset: {name}: {problem}.*; {allowed}"):
            look(name, tmp_path, tmp_path)


def test_the_data_sets_of_a_sweep_are_read_from_its_folder_and_held_against_their_digests(tmp_path, make):
    save(tmp_path / "own.npz", **content(validation=9))
    facts, digest = look("own.npz", tmp_path, tmp_path)
    fields = own_fields(facts)
    own = fields["own"] | {"data": digest}
    spec, known = make(**fields | {"own": own}, batch_size=9), make(seed=1)
    data = start_reading([known, spec, make()], tmp_path, tmp_path, print).result()
    assert data.keys() == {"own.npz", "digits-8x8"}
    assert np.array_equal(data["own.npz"].images, read("own.npz", tmp_path, tmp_path).images)
    with pytest.raises(InputError, match=r"own.npz: has changed"):
        start_reading([make(**fields, batch_size=9)], tmp_path, tmp_path, print).result()
