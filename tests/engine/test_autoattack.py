"""AutoAttack on a ticket against torchattacks run by hand on plain nn.Linear layers."""

import pytest
import torch
from torch import nn

from lthray.engine import autoattack
from lthray.engine.data import Split, on_device
from lthray.engine.evaluation import evaluate_ticket
from lthray.engine.network import glorot_uniform
from lthray.engine.trajectory import run
from lthray.methods.datasets import DatasetFacts
from lthray.spec.attack_settings import parse
from tests.helpers import CPU, own_arrays, own_fields

torchattacks = pytest.importorskip("torchattacks")


@pytest.fixture(scope="module")
def ticket(digits):
    from lthray.spec.trajectory import TrajectorySpec

    fields = {"dataset": "digits-8x8", "rounds": 1, "iterations": 150, "eval_every": 150, "train_attack": "fgsm"}
    *_, (result,) = run([TrajectorySpec.model_validate(fields | {"epsilon": 0.1})], digits)
    return result


def by_hand(ticket, attacks, images, labels):
    """Accuracy under attacks one after the other, each on what those before it have left."""
    layers: list[nn.Module] = [nn.Flatten()]
    for weight in ticket.weights.values():
        layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        layer.weight.data = torch.tensor(weight)
        layers += [layer, nn.ReLU()]
    model = nn.Sequential(*layers[:-1]).eval()
    attacked = torchattacks.MultiAttack([one(model) for one in attacks])(images.view(-1, 1, 8, 8), labels)
    return attacked, (model(attacked).argmax(-1) == labels).double().mean().item()


@pytest.mark.parametrize(
    ("norm", "epsilon", "steps", "queries"),
    [
        ("linf", 0.1, 5, 20),  # for `make test`
        pytest.param("linf", 0.1, 100, 5_000, marks=pytest.mark.slow),
        pytest.param("l2", 0.5, 100, 5_000, marks=pytest.mark.slow),
    ],
)
def test_a_ticket_has_the_accuracy_of_torchattacks_by_hand(norm, epsilon, steps, queries, ticket, digits, monkeypatch):
    if steps == 5:
        monkeypatch.setattr(autoattack, "ITERATIONS", steps)
        monkeypatch.setattr(autoattack, "QUERIES", queries)
    some = Split(digits.test.as_floats().images[:40], digits.test.labels[:40])
    theirs = {"linf": "Linf", "l2": "L2"}[norm]
    attacks = [
        lambda model: torchattacks.APGD(model, norm=theirs, eps=epsilon, steps=steps, loss="ce", seed=0),
        lambda model: torchattacks.APGDT(model, norm=theirs, eps=epsilon, steps=steps, n_classes=10, seed=0),
        lambda model: torchattacks.FAB(
            model, norm=theirs, eps=epsilon, steps=steps, multi_targeted=True, n_classes=10, seed=0
        ),
        lambda model: torchattacks.Square(model, norm=theirs, eps=epsilon, n_queries=queries, seed=0),
    ]
    attacked, accuracy = by_hand(ticket.ticket, attacks, some.images, some.labels)
    weights = tuple(torch.tensor(weight) for weight in ticket.ticket.weights.values())
    before = torch.random.get_rng_state()
    name = f"autoattack(epsilon={epsilon:g};norm={norm})"
    natural, found = evaluate_ticket(weights, ticket.spec, some, "test", parse(name), 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    change = attacked.flatten(1) - some.images
    assert (change.abs().amax() if norm == "linf" else change.norm(dim=-1).max()) <= epsilon + 1e-5
    assert found.accuracy[0] == pytest.approx(accuracy, abs=1 / 40)  # rounding may move an image
    assert 0.2 < found.accuracy[0] < natural.accuracy[0] - 0.05
    strong = {"epsilon": epsilon, "norm": norm, "attack_label": "ground-truth", "steps": 20, "step_size": epsilon / 4}
    pgd = f"pgd({';'.join(f'{key}={value}' for key, value in strong.items())})"
    assert (
        found.accuracy[0] <= evaluate_ticket(weights, ticket.spec, some, "test", parse(pgd), 1)[1].accuracy[0] + 1 / 40
    )


def test_without_a_radius_nothing_is_moved(ticket, digits):
    weights = tuple(torch.tensor(weight) for weight in ticket.ticket.weights.values())
    natural, found = evaluate_ticket(weights, ticket.spec, digits.test, "test", parse("autoattack(epsilon=0)"), 1)
    assert (natural.accuracy, natural.loss) == (found.accuracy, found.loss)


def test_colour_images_of_any_number_of_classes_keep_their_shape(make, monkeypatch):
    monkeypatch.setattr(autoattack, "ITERATIONS", 2)
    monkeypatch.setattr(autoattack, "QUERIES", 5)
    facts = DatasetFacts((3, 8, 8), 5, 60, None, 20, {})
    spec = make(**own_fields(facts), validation_size=20, batch_size=10, model="mlp", widths=[20])
    weights = glorot_uniform(list(spec.layer_sizes.values()), torch.Generator().manual_seed(0))
    test = on_device(own_arrays(facts), 20, CPU).test
    seen = []
    network = autoattack._Model.forward
    monkeypatch.setattr(
        autoattack._Model, "forward", lambda self, images: seen.append(images.shape[1:]) or network(self, images)
    )
    natural, attacked = evaluate_ticket(weights, spec, test, "test", parse("autoattack(epsilon=0.05)"), 0)
    assert set(seen) == {facts.shape}
    assert attacked.accuracy[0] < natural.accuracy[0]
