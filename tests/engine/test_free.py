"""Free adversarial training: its steps by the authors' algorithm, its checkpoints, and what it is refused with."""

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from lthray.engine.stack import StackTraining
from lthray.engine.state import begin_round
from lthray.engine.training import DenseTraining, batches
from tests.engine.test_module import MLP, SMALL, own, rounds
from tests.engine.test_tiled import networks
from tests.helpers import CPU, in_double, run_watched, same

FREE = {"train_attack": "pgd", "objective": {"name": "free", "replays": 3}, "epsilon": 0.1}


def by_hand(weights, spec, data, steps):
    """Algorithm 1 of Shafahi et al. 2019 as its authors' code has it, on one network, with plain SGD."""
    parameters = [weight.clone().requires_grad_() for weight in weights]
    delta = torch.zeros(spec.batch_size, spec.inputs, dtype=weights[0].dtype)
    order = batches([spec], 1, CPU)
    for _ in range(steps // 3):
        images, labels = data.batch(next(order)[0])
        for again in range(3):
            if again:
                next(order)
            total = images + delta[: len(images)]
            inside = (total >= 0) & (total <= 1)
            outputs = attacked = total.clamp(0, 1).requires_grad_()
            for parameter in parameters[:-1]:
                outputs = F.linear(outputs, parameter).relu()
            loss = F.cross_entropy(F.linear(outputs, parameters[-1]), labels, label_smoothing=spec.label_smoothing)
            *slopes, climb = torch.autograd.grad(loss, [*parameters, attacked])
            moved = delta[: len(images)] + spec.epsilon * climb.sign() * inside
            delta[: len(images)] = moved.clamp(-spec.epsilon, spec.epsilon)
            with torch.no_grad():
                for parameter, slope in zip(parameters, slopes, strict=True):
                    parameter -= spec.learning_rate * slope
    return parameters, delta


@pytest.mark.parametrize("way", [DenseTraining, StackTraining])
def test_steps_of_the_closed_forms_are_those_of_the_algorithm(way, make, digits):
    """With a smaller batch at the epoch's end, in double precision."""
    sizes = {"batch_size": 700, "drop_last": False, "learning_rate": 0.3, "model": "mlp", "widths": [20, 10]}
    spec = make(**FREE, **sizes, optimizer={"name": "sgd"})
    weights, masks = networks([spec], 1.0)
    data = in_double(digits.train)
    start = begin_round(weights, [spec], 1)
    training = way(start, masks, [spec])
    for _, batch in zip(range(9), batches([spec], 1, CPU), strict=False):
        training.step(*data.batch(batch), start.generators)
    parameters, delta = by_hand([weight[0] for weight in weights], spec, data, 9)
    for weight, expected in zip(training.current()[0], parameters, strict=True):
        torch.testing.assert_close(weight[0], expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(start.perturbations[0], delta, rtol=1e-9, atol=1e-12)
    assert 0.05 < delta.abs().mean() <= 0.1


def test_a_batch_is_trained_on_several_times_in_a_row(make):
    spec = make(**FREE, batch_size=400)
    plain = batches([make(batch_size=400)], 0, CPU)
    free = batches([spec], 0, CPU)
    for _ in range(4):  # into the second epoch
        expected = next(plain)
        assert all(torch.equal(next(free), expected) for _ in range(3))
    for first in (4, 6, 11):
        reference = batches([spec], 0, CPU)
        for _ in range(first):
            next(reference)
        later = batches([spec], 0, CPU, first)
        assert all(torch.equal(next(later), next(reference)) for _ in range(7))


@pytest.mark.parametrize("fields", [{"model": "mlp", "widths": [20]}, own(SMALL)], ids=["closed", "module"])
def test_a_round_goes_on_from_a_checkpoint_to_the_bit(fields, make, digits):
    specs = [make(**FREE, **fields, seed=seed, rounds=1, eval_every=10) for seed in (0, 1)]
    whole, taken = run_watched(specs, digits)
    assert taken[0, 10][0].perturbation.any()
    rest, _ = run_watched(specs[1:], digits, checkpoints=taken[0, 10][1:])
    assert len(rest) == 2
    assert all(same(result, whole[key]) for key, result in rest.items())


def test_a_module_has_the_rows_of_the_closed_form(make, digits):
    fields = FREE | {"iterations": 20, "eval_every": 10, "rounds": 0, "batch_size": 50}
    (closed,) = rounds(make(model="mlp", widths=[30], **fields), digits)
    (module,) = rounds(make(**own(MLP, widths=[30]), **fields), digits)
    for a, b in zip(module.curves, closed.curves, strict=True):
        assert a.loss == pytest.approx(b.loss, abs=2e-3)


def test_it_makes_a_network_more_robust_than_natural_training_in_as_many_steps(make, digits):
    fields = {"rounds": 0, "iterations": 600, "eval_every": 600, "epsilon": 0.15, "eval_attacks": ["pgd"]}
    free = {"train_attack": "pgd", "objective": {"name": "free", "replays": 4}}
    ends = {}
    for name, training in {"free": free, "natural": {"train_attack": "none"}}.items():
        (result,) = rounds(make(**fields | training), digits)
        ends[name] = result.curves[-1].accuracy
    assert ends["free"] > ends["natural"] + 0.2


def test_it_is_for_the_maximum_norm(make):
    with pytest.raises(ValidationError, match="free is for norm linf, not l2"):
        make(**FREE | {"norm": "l2"})
