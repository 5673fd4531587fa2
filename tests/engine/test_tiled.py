"""The kernels of a CPU, with whole layers and with remaining weights, against torch's products and autograd."""

import subprocess
import sys

import pytest
import torch
from llvmlite import binding
from torch.nn import functional as F

from lthray.engine import tiled
from lthray.engine.data import on_device
from lthray.engine.differentiable import ClosedForm
from lthray.engine.evaluation import dense_logits, evaluate
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import RoundResult
from lthray.engine.stack import StackTraining
from lthray.engine.state import begin_round
from lthray.engine.tiled import TiledEvaluation, sparse_pays
from lthray.engine.training import DenseTraining, train
from lthray.engine.trajectory import run
from lthray.methods.attacks import NATURAL
from lthray.methods.datasets import DatasetFacts
from lthray.spec.attack_settings import parse
from lthray.spec.ways import why_not_kernels
from tests.helpers import CPU, REMAINING, WHOLE, environment, in_double, own_arrays, own_fields, trained

DENSITIES = [1.0, 0.5, 0.17, 0.036, 0.01]


def networks(specs, share, dtype=torch.float64):
    """Weights and masks of a stack; the first hidden unit has no weights, the second pixel none, the last no inputs."""
    drawn = [glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT)) for spec in specs]
    weights = [torch.stack(layer).to(dtype) for layer in zip(*drawn, strict=True)]
    masks = [torch.rand(weight.shape, generator=generator(7, Draw.INIT, 1)) < share for weight in weights]
    if share < 1:
        masks[0][:, 0] = False
        masks[0][:, :, 1] = False
        masks[1][:, :, 0] = False
        masks[2][:, -1] = False
    return tuple(w * m for w, m in zip(weights, masks, strict=True)), tuple(masks)


@pytest.mark.parametrize("share", DENSITIES)
@pytest.mark.parametrize("train_attack", ["none", "fgsm", "pgd"])
def test_200_steps_leave_the_same_weights_in_every_way(train_attack, share, make, digits):
    """In double precision, with batches of 60 whose last has 57, and once with tiles and a rest."""
    batch_size = 150 if share == 0.17 else 60
    specs = [make(train_attack=train_attack, pgd={"steps": 3}, drop_last=False, batch_size=batch_size)]
    weights, masks = networks(specs, share)
    data = in_double(digits.train)
    found = {
        way: trained(way, specs, weights, masks, data, 200) for way in (StackTraining, DenseTraining, WHOLE, REMAINING)
    }
    for way in (DenseTraining, WHOLE, REMAINING):
        for one, other, mask in zip(found[way], found[StackTraining], masks, strict=True):
            assert (one - other).abs().max() < 1e-9
            assert not one[~mask].any()
    moved = max((one - other).abs().max() for one, other in zip(found[REMAINING], weights, strict=True))
    assert moved > 0.01


@pytest.mark.parametrize(
    "facts", [DatasetFacts((3, 4, 5), 17, 200, 20, 30, {}), DatasetFacts((7,), 2, 90, None, 5, {})]
)
@pytest.mark.parametrize("share", [1.0, 0.3])
def test_images_of_any_shape_and_number_of_classes_train_and_evaluate_alike_in_every_way(facts, share, make):
    spec = make(**own_fields(facts), validation_size=20, batch_size=30, train_attack="pgd")
    assert list(spec.layer_sizes.values()) == [(300, facts.inputs), (100, 300), (facts.classes, 100)]
    data = on_device(own_arrays(facts), spec.validation_size, CPU)
    weights, masks = networks([spec], share)
    ways = [
        trained(way, [spec], weights, masks, in_double(data.train), 20)
        for way in (StackTraining, DenseTraining, WHOLE, REMAINING)
    ]
    for way in ways[1:]:
        for layer, batched in zip(way, ways[0], strict=True):
            assert (layer - batched).abs().max() < 1e-9
    network = tuple(layer[0].float() for layer in ways[0])
    images, labels = data.test.images, data.test.labels
    logits = dense_logits(ClosedForm(network), spec, images, labels, {})[0][NATURAL]
    for sparse in (False, True):
        tiles = TiledEvaluation(network, spec, sparse=sparse).logits(images, labels, {})[0][NATURAL]
        assert tiles.shape == (facts.test, facts.classes)
        assert (tiles - logits).abs().max() < 1e-5


@pytest.mark.parametrize("size", [3, 15])
@pytest.mark.parametrize("way", [DenseTraining, WHOLE, REMAINING], ids=["torch", "whole", "remaining"])
def test_a_trajectory_of_a_stack_is_the_same_bit_for_bit_as_alone_and_within_rounding_as_batched(
    way, size, make, digits
):
    specs = [make(train_attack="pgd", pgd={"steps": 2}, seed=seed) for seed in range(size)]
    weights, masks = networks(specs, 0.1, torch.float32)
    stacked = trained(way, specs, weights, masks, digits.train, 10)
    batched = trained(StackTraining, specs, weights, masks, digits.train, 10)
    for i in (0, size - 1):
        part = [tuple(layer[i : i + 1] for layer in layers) for layers in (weights, masks)]
        alone = trained(way, specs[i : i + 1], *part, digits.train, 10)
        for one, other in zip(alone, stacked, strict=True):
            assert torch.equal(one[0], other[i])
    for one, other in zip(stacked, batched, strict=True):
        assert (one - other).norm() < 0.005 * other.norm()


@pytest.mark.parametrize("sparse", [False, True])
def test_threads_change_no_bit(sparse, make, digits):
    way = REMAINING if sparse else WHOLE
    specs = [make(train_attack="pgd", pgd={"steps": 2}, seed=seed) for seed in range(3)]
    weights, masks = networks(specs, 0.1, torch.float32)
    one = (
        trained(way, specs, weights, masks, digits.train, 5),
        _logits(sparse, specs[0], weights, digits),
    )
    torch.set_num_threads(3)
    try:
        three = (
            trained(way, specs, weights, masks, digits.train, 5),
            _logits(sparse, specs[0], weights, digits),
        )
    finally:
        torch.set_num_threads(1)
    for a, b in zip(one[0], three[0], strict=True):
        assert torch.equal(a, b)
    for attack, logits in one[1][0].items():
        assert torch.equal(logits, three[1][0][attack])


def _logits(sparse, spec, weights, digits, dtype=torch.float32):
    """Of a single network: logits of every attack and the number of images that nothing moves; by torch if None."""
    layers = tuple(weight[0] for weight in weights)
    generators = {attack: [generator(spec.seed, Draw.EVAL_ATTACK)] for attack in spec.eval_attacks}
    images = digits.test.as_floats().images.to(dtype)
    if sparse is not None:
        return TiledEvaluation(layers, spec, sparse=sparse).logits(images, digits.test.labels, generators)
    return dense_logits(ClosedForm(layers), spec, images, digits.test.labels, generators)


@pytest.mark.parametrize("share", DENSITIES)
@pytest.mark.parametrize(
    "fields", [{}, {"eval_attacks": ["pgd"]}, {"eval_attacks": ["fgsm"]}, {"attack_label": "ground-truth"}]
)
def test_logits_under_attack_are_those_of_torch(fields, share, make, digits):
    for random_start in (True, False):
        spec = make(pgd={"steps": 3, "random_start": random_start}, **fields)
        weights, _ = networks([spec], share)
        (expected, as_many), *ours = (
            _logits(sparse, spec, weights, digits, torch.float64) for sparse in (None, False, True)
        )
        for found, without in ours:
            assert found.keys() == expected.keys() == {NATURAL, *spec.eval_attacks}
            for attack, logits in found.items():
                torch.testing.assert_close(logits, expected[attack], rtol=1e-9, atol=1e-9)
            assert without == as_many
            assert not torch.equal(found[NATURAL], found[spec.eval_attacks[-1]])


@pytest.mark.parametrize("share", DENSITIES)
@pytest.mark.parametrize("model", [{}, {"model": "mlp", "widths": [301, 40, 7]}], ids=str)
def test_whole_layers_and_remaining_weights_have_the_same_logits_to_the_bit(model, share, make, digits):
    """Which of them is taken is a matter of speed alone."""
    spec = make(pgd={"steps": 5}, eval_attacks=["fgsm", "pgd"], **model)
    weights, _ = networks([spec], share, torch.float32)
    (whole, _), (remaining, _) = (_logits(sparse, spec, weights, digits) for sparse in (False, True))
    for attack, logits in whole.items():
        assert torch.equal(logits, remaining[attack]), attack


@pytest.mark.parametrize("way", [WHOLE, REMAINING], ids=["whole", "remaining"])
def test_a_gradient_is_that_of_autograd(way, make, digits):
    """From Adam's first step, which moves a weight by the learning rate times gradient over its size plus epsilon."""
    spec = make(label_smoothing=0.1)
    weights, masks = networks([spec], 0.3)
    x, y = digits.train.as_floats().images[:60].double(), digits.train.labels[:60]
    leaves = [weight[0].clone().requires_grad_() for weight in weights]
    logits = F.relu(F.relu(x @ leaves[0].T) @ leaves[1].T) @ leaves[2].T
    F.cross_entropy(logits, y, label_smoothing=0.1).backward()

    start = begin_round(weights, [spec], 0)
    training = way(start, masks, [spec])
    training.step(x[None], y[None], start.generators)
    for leaf, before, after, mask in zip(leaves, weights, training.current()[0], masks, strict=True):
        slope = leaf.grad * mask[0]
        expected = before[0] - spec.learning_rate * slope / (slope.abs() + 1e-7)
        torch.testing.assert_close(after[0], expected, rtol=0, atol=1e-10)
        assert slope.abs().max() > 1e-4


def test_images_without_a_gradient_are_counted(make, digits):
    spec = make()
    weights, _ = networks([spec], 0.1)
    dead = (-weights[0].abs(), *weights[1:])
    for network, count in ((weights, None), (dead, len(digits.test.labels))):
        (_, expected), (_, found), (_, whole) = (
            _logits(sparse, spec, network, digits, torch.float64) for sparse in (None, True, False)
        )
        assert found == expected == whole
        assert count is None or [int(images) for images in found.values()] == [count, count]


@pytest.fixture
def always(monkeypatch):
    """Makes every round sparse (2) or dense (0)."""
    return lambda share: monkeypatch.setattr(tiled, "BREAK_EVEN", dict.fromkeys(tiled.BREAK_EVEN, share))


def test_a_short_trajectory_has_the_accuracies_of_whole_layers(make, digits, always):
    """40 iterations in single precision: rounding moves at most a few of 360 images."""
    spec = make(train_attack="fgsm", eval_attacks=["fgsm", "pgd"], rounds=4, pgd={"steps": 3})
    found = []
    for share in (2, 0):
        always(share)
        found.append([one for (one,) in run([spec], digits)])
    for one, other in zip(*found, strict=True):
        assert isinstance(one, RoundResult)
        assert isinstance(other, RoundResult)
        for a, b in zip(one.curves, other.curves, strict=True):
            assert (a.iteration, a.split, a.attack) == (b.iteration, b.split, b.attack)
            assert abs(a.accuracy - b.accuracy) < 0.02
            assert a.loss == pytest.approx(b.loss, rel=0.01)
            assert a.zero_gradient_share == b.zero_gradient_share


@pytest.mark.parametrize("share", [2, 0])
def test_a_loss_that_is_not_finite_is_seen(share, make, digits, always):
    always(share)
    spec = make(learning_rate=1e30, train_attack="fgsm", iterations=20, eval_every=10, rounds=0)
    weights, masks = networks([spec], 0.1, torch.float32)
    for at in train(begin_round(weights, [spec], 0), masks, [spec], digits.train, 0):
        (loss, *_) = (one.loss[0] for one in evaluate(at.weights, [spec], {"test": digits.test}, 0, at.iteration))
    assert not torch.tensor(loss).isfinite()


@pytest.mark.parametrize("sparse", [False, True])
def test_nan_weights_give_nan_logits(sparse, make, digits):
    spec = make()
    weights, _ = networks([spec], 0.1, torch.float32)
    weights[1][0, 5, 5] = torch.nan
    logits, _ = _logits(sparse, spec, weights, digits)
    assert logits[NATURAL].isnan().any()


def test_the_way_follows_from_the_round_alone(make):
    shares = [sum(counts.values()) / 50_200 for counts in make(rounds=12).weights_left()]
    for attacks, threshold in ((["fgsm", "pgd"], 0.6), (["fgsm"], 0.45), (["none"], 0.45), ([], 0.45)):
        ways = [sparse_pays(make(rounds=12), number, attacks) for number in range(13)]
        assert ways == [share < threshold for share in shares]
        assert ways[0] is False
        assert ways[12] is True


TRAJECTORY = """
import hashlib
from pathlib import Path
import torch
from lthray.engine.data import on_device
from lthray.driver.datasets.known import read
from lthray.spec.trajectory import TrajectorySpec
from lthray.engine.trajectory import run

torch.set_num_threads(1)
data = on_device(read("digits-8x8", Path()), 360, torch.device("cpu"))
spec = TrajectorySpec(dataset="digits-8x8", rounds=6, iterations=60, eval_every=30, train_attack="pgd")
for (result,) in run([spec], data):
    weights = b"".join(layer.tobytes() for layer in result.ticket.weights.values())
    print(hashlib.sha256(weights).hexdigest(), result.curves)
"""


def trained_by_a_process(**variables) -> str:
    return subprocess.run(
        [sys.executable, "-c", TRAJECTORY],
        capture_output=True, text=True, check=True, timeout=280, env=environment(**variables),
    ).stdout  # fmt: skip


@pytest.mark.slow
def test_the_process_that_compiles_has_the_numbers_of_those_that_read_what_it_compiled(tmp_path):
    said = [trained_by_a_process(NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2)]
    assert list(tmp_path.rglob("*.nbi")), "nothing was kept"
    assert said[0] == said[1]


@pytest.mark.slow
def test_shorter_registers_give_the_same_bits(tmp_path):
    """As on a processor without AVX-512, and on one without AVX2 but for its fused operations."""
    features = binding.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        pytest.skip("the processor has no AVX2")
    expected = trained_by_a_process()
    assert expected.count("test") > 20
    for name, without in (
        ("haswell", ("avx512", "avx10", "evex")),
        ("nehalem", ("avx", "evex", "vaes", "vpcl", "gfni")),
    ):
        kept = {key: on and not key.startswith(without) for key, on in features.items()}
        text = ",".join(f"{'+' if on else '-'}{key}" for key, on in kept.items())
        assert trained_by_a_process(
            NUMBA_CPU_NAME=name, NUMBA_CPU_FEATURES=text, NUMBA_CACHE_DIR=str(tmp_path / name)
        ) == expected  # fmt: skip


def test_settings_and_restarts_have_the_logits_of_torch(make, digits):
    """One call of the kernels takes an attack of each kind away from one label; the rest is called again."""
    others = [
        {"pgd": {"steps": 3, "restarts": 3}},
        {"fgsm": {"epsilon": 0.1}},
        {"pgd": {"attack_label": "ground-truth"}},
    ]
    spec = make(pgd={"steps": 2, "restarts": 2}, eval_attacks=["fgsm", "pgd", *others], epsilon=0.2)
    weights, _ = networks([spec], 0.3)
    (found, without), (expected, as_many) = (
        _logits(sparse, spec, weights, digits, torch.float64) for sparse in (True, None)
    )
    assert len(found) == 6
    assert found.keys() == expected.keys()
    for attack, logits in found.items():
        torch.testing.assert_close(logits, expected[attack], rtol=1e-9, atol=1e-9)
    assert without == as_many


def test_what_the_kernels_do_not_know_goes_to_torch(make):
    for fields in ({"norm": "l2"}, {"pgd": {"restarts": 2}}):
        assert why_not_kernels(make(train_attack="pgd", **fields), training=True)
    assert not why_not_kernels(make(train_attack="fgsm", pgd={"restarts": 2}), training=True)
    assert not why_not_kernels(make(norm="l2"), training=True)
    assert not why_not_kernels(make(), parse("pgd(restarts=5)"))
    assert why_not_kernels(make(), parse("fgsm(norm=l2)"))
    assert why_not_kernels(make(model="lenet-5"))
