"""Each loop of benchmarks/peers takes lthray's own steps and measures what lthray measures."""

import itertools
import sys

import pytest
import torch

from lthray.bench import loops
from lthray.bench.measure import pruned
from lthray.engine.data import Split
from lthray.engine.evaluation import evaluate
from lthray.engine.state import begin_round
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import REMAINING, WHOLE

LOOPS = loops.load_loops(loops.PEERS)
WAYS = {0: WHOLE, 8: REMAINING}
BATCH, STEPS = 20, 2


def name_of(name):
    """A parameter; torch.compile takes its time to compile."""
    missing = LOOPS[name].missing
    skip = pytest.mark.skipif(bool(missing), reason=f"{name}: {missing}")
    return pytest.param(name, marks=[skip, *([pytest.mark.slow] if name == "torch.compile" else [])])


every_loop = pytest.mark.parametrize("name", [name_of(name) for name in LOOPS])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    """600 images of ten classes that can be told apart."""
    draw = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 10, (600,), generator=draw)
    patterns = torch.rand(10, 784, generator=draw)
    return Split((patterns[labels] + torch.rand(600, 784, generator=draw)) / 2, labels)


def spec_of(attack, *, random_start=False):
    pgd = {"steps": 2, "step_size": 0.05, "random_start": random_start}
    return TrajectorySpec(train_attack=attack, batch_size=BATCH, epsilon=0.08, pgd=pgd)


def peer_of(name, spec, round_):
    weights, masks = pruned(spec, round_)
    return LOOPS[name].make([weight[0] for weight in weights], [mask[0] for mask in masks], spec)


def distances(name, spec, round_, images, labels):
    """For each layer, how far the loop's weights are from lthray's, as a share of the way that lthray's went.

    An epoch of so few images is one batch, in whatever order.
    """
    weights, masks = pruned(spec, round_)
    start = begin_round(weights, [spec], round_)
    training, peer = WAYS[round_](start, masks, [spec]), peer_of(name, spec, round_)
    peer.train(images, labels, STEPS)
    for _ in range(STEPS):
        training.step(images[None], labels[None], start.generators)
    for theirs, mask in zip(peer.weights(), masks, strict=True):
        assert not theirs[~mask[0]].any()
    layers = zip(training.current()[0], peer.weights(), weights, strict=True)
    return [((ours[0] - theirs).norm() / (ours - first).norm()).item() for ours, theirs, first in layers]


@every_loop
@pytest.mark.parametrize("attack", ["none", "fgsm", "pgd"])
@pytest.mark.parametrize("round_", WAYS)
def test_a_loop_takes_the_steps_of_lthray(round_, attack, name, data):
    """Rounding may decide a sign, so that an image is attacked otherwise and Adam goes astray: not in all batches."""
    batches = zip(data.images.split(BATCH), data.labels.split(BATCH), strict=True)
    far = [max(distances(name, spec_of(attack), round_, x, y)) for x, y in itertools.islice(batches, 3)]
    assert min(far) < 1e-3
    assert max(far) < (0.1 if attack != "none" else 1e-3)


@every_loop
@pytest.mark.parametrize("round_", WAYS)
def test_a_loop_measures_what_lthray_measures(round_, name, data):
    """A network that is trained naturally is measured naturally, under FGSM and under PGD."""
    spec = spec_of("none")
    first, masks = pruned(spec, round_)
    weights = tuple(2 * weight for weight in first)  # attacks do more harm than to a network at its start
    peer = LOOPS[name].make([weight[0] for weight in weights], [mask[0] for mask in masks], spec)
    measured = peer.evaluate(data.images, data.labels)
    ours = {str(row.attack): row for row in evaluate(weights, [spec], {"test": data}, round_, 0)}
    assert measured.keys() == ours.keys() == {"none", "fgsm", "pgd"}
    for attack, (loss, accuracy) in measured.items():
        assert loss == pytest.approx(ours[attack].loss[0], rel=1e-4)
        assert accuracy == pytest.approx(ours[attack].accuracy[0], abs=2.1 / 600)
    losses = [loss for loss, _ in measured.values()]
    for one, other in itertools.combinations(losses, 2):
        assert one != pytest.approx(other, rel=1e-3)  # further apart than they are from lthray's


@every_loop
def test_a_loop_learns_against_attacks_from_a_random_start(name, data):
    peer = peer_of(name, spec_of("pgd", random_start=True), 8)
    before = peer.evaluate(data.images, data.labels)
    fixed = peer_of(name, spec_of("pgd"), 8).evaluate(data.images, data.labels)
    assert before["pgd"] != fixed["pgd"]
    assert before["pgd"][0] == pytest.approx(fixed["pgd"][0], rel=0.01)
    peer.train(data.images, data.labels, 60)
    after = peer.evaluate(data.images, data.labels)
    assert after["none"][0] < before["none"][0] - 0.5
    assert after["none"][0] < after["pgd"][0] < before["pgd"][0] - 0.1


def test_each_epoch_is_a_new_permutation_whose_remainder_is_dropped():
    pytest.importorskip("torchattacks")
    peer = peer_of("torchattacks", spec_of("none"), 8)
    batches = sys.modules[type(peer).__module__].shuffled_batches(130, 60)
    epochs = [torch.cat([next(batches), next(batches)]) for _ in range(2)]
    assert all(len(epoch.unique()) == 120 for epoch in epochs)
    assert not torch.equal(*epochs)
