"""Crops and flips, by hand and in training."""

from itertools import product

import pytest
import torch

from lthray.engine.augment import crop_flip
from lthray.engine.data import on_device
from lthray.engine.randomness import Draw, generator
from lthray.engine.trajectory import run
from lthray.methods.datasets import DatasetFacts
from tests.helpers import CPU, own_arrays, own_fields, run_watched, same


def crops(image):
    """All crops of an image (channels, height, width) padded by 4 pixels, in a loop, and their mirror images."""
    channels, height, width = image.shape
    padded = torch.zeros(channels, height + 8, width + 8)
    padded[:, 4 : 4 + height, 4 : 4 + width] = image
    plain = [padded[:, y : y + height, x : x + width] for y, x in product(range(9), range(9))]
    return plain + [crop.flip(-1) for crop in plain]


@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 7, 7)])
def test_each_image_becomes_one_of_its_162_crops_all_alike_often(shape):
    count = 20_000
    image = torch.arange(1.0, 1 + torch.Size(shape).numel()) / 1_000
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    images = image.expand(2, count, -1)
    changed = crop_flip(images, shape, generators).view(2, count, *shape)
    expected = torch.stack(crops(image.view(shape)))
    for stacked in changed:
        matches = (stacked[:, None] == expected).flatten(2).all(-1)
        assert (matches.sum(1) == 1).all()
        shares = matches.float().mean(0) * len(expected)
        assert shares.min() > 0.6
        assert shares.max() < 1.4
        assert matches[:, 81:].any(1).float().mean() == pytest.approx(0.5, abs=0.02)
    assert not torch.equal(changed[0], changed[1])


def test_a_trajectory_of_a_stack_gets_the_crops_that_it_gets_alone():
    images = torch.rand(3, 10, 75)
    before = images.clone()
    sources = [lambda seed=seed: generator(seed, Draw.AUGMENT, 2, 7) for seed in range(3)]
    together = crop_flip(images, (3, 5, 5), [source() for source in sources])
    for i, source in enumerate(sources):
        assert torch.equal(crop_flip(images[i : i + 1], (3, 5, 5), [source()])[0], together[i])
    assert torch.equal(images, before)


def test_training_takes_a_new_crop_at_each_iteration_and_goes_on_after_an_interrupt_to_the_bit(make):
    facts = DatasetFacts((3, 6, 5), 4, 60, None, 20, {})
    fields = own_fields(facts) | {"validation_size": 20, "batch_size": 10, "model": "mlp", "widths": [12]}
    fields |= {"rounds": 1, "train_attack": "pgd"}
    data = on_device(own_arrays(facts), 20, CPU)
    spec, plain = make(**fields, augment="crop-flip"), make(**fields)
    assert spec.trajectory_id != plain.trajectory_id
    whole, checkpoints = run_watched([spec], data)
    without = {result.round: result for (result,) in run([plain], data)}
    for (_, round_), result in whole.items():
        assert not same(result, without[round_])
    resumed = [result for (result,) in run([spec], data, checkpoints=checkpoints[0, 20])]
    for result in resumed:
        assert same(result, whole[spec.trajectory_id, result.round])


def test_features_are_not_cropped(make):
    facts = DatasetFacts((7,), 4, 60, None, 20, {})
    with pytest.raises(ValueError, match=r"augment: crop-flip is for images, and own.npz has 7 features"):
        make(**own_fields(facts), validation_size=20, batch_size=10, augment="crop-flip")
