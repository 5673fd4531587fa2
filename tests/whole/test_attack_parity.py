"""Attacks held against two independent libraries, torchattacks and the Adversarial Robustness Toolbox.

On a trained network, with true and with predicted labels. In double precision a gradient's sign never hangs on
rounding, so that what is deterministic must agree in every pixel.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lthray.driver.datasets.known import read
from lthray.engine.adversarial import attack_targets, perturb
from lthray.engine.data import on_device
from lthray.engine.differentiable import ClosedForm
from lthray.engine.network import forward
from lthray.engine.randomness import Draw, generator
from lthray.engine.trajectory import run
from lthray.methods.attacks import Attack
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import CPU

torchattacks = pytest.importorskip("torchattacks")
art_attacks = pytest.importorskip("art.attacks.evasion")
art_classifiers = pytest.importorskip("art.estimators.classification")

SETTINGS = {"dataset": "digits-8x8", "rounds": 1, "iterations": 300, "eval_every": 300, "epsilon": 0.2}
LABELS = ["predicted", "ground-truth"]


@pytest.fixture(scope="module")
def trained():
    """A network of half its weights, trained against FGSM: as plain PyTorch, and as a stack of one."""
    spec = TrajectorySpec.model_validate(SETTINGS | {"train_attack": "fgsm"})
    data = on_device(read("digits-8x8", Path()), 360, CPU)
    *_, (last,) = run([spec], data)
    weights = tuple(torch.tensor(weight).double()[None] for weight in last.ticket.weights.values())
    layers = [nn.Linear(w.shape[2], w.shape[1], bias=False, dtype=torch.float64) for w in weights]
    for layer, weight in zip(layers, weights, strict=True):
        layer.weight.data = weight[0].clone()
    model = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2]).eval()
    images = torch.cat([data.test.as_floats().images, data.validation.as_floats().images]).double()
    labels = torch.cat([data.test.labels, data.validation.labels])
    return model, weights, images, labels


def ours(attack, weights, images, labels, draw=0, **fields):
    spec = TrajectorySpec.model_validate(SETTINGS | fields)
    natural = forward(weights, images)
    away = attack_targets(spec.attack_label, natural[-1], labels)
    return perturb(
        spec.setting(Attack(attack)), ClosedForm(weights), images, away, [generator(draw, Draw.EVAL_ATTACK)]
    )[0]


def say(what: str, numbers: dict[str, float]) -> None:
    """`pytest -rP` prints these; docs/protocol.md quotes them."""
    print(f"{what}: " + ", ".join(f"{name} {number:.4g}" for name, number in numbers.items()))


def attacked_label(label, model, images, labels):
    return model(images).argmax(-1).detach() if label == "predicted" else labels


class InDouble(nn.Module):
    """The model for ART, which computes in single precision around it."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x.double())


def art(model):
    return art_classifiers.PyTorchClassifier(
        InDouble(model), nn.CrossEntropyLoss(), (64,), 10, clip_values=(0.0, 1.0), device_type="cpu"
    )


@pytest.mark.parametrize("label", LABELS)
def test_fgsm_perturbs_every_pixel_as_torchattacks_and_art_do(label, trained):
    model, weights, images, labels = trained
    target = attacked_label(label, model, images, labels)
    found = ours("fgsm", weights, images, labels, attack_label=label)
    assert (found - images).abs().max() > 0.19
    away = {"torchattacks": (found - torchattacks.FGSM(model, eps=0.2)(images, target)).abs().max().item()}
    other = art_attacks.FastGradientMethod(art(model), eps=0.2, batch_size=1000).generate(
        images.float().numpy(), torch.nn.functional.one_hot(target, 10).numpy()
    )
    away["ART"] = np.abs(found.numpy() - other).max()
    say(f"FGSM, {label} labels: largest difference of a pixel", away)
    assert max(away.values()) <= 1e-6


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("steps", "step_size"), [(1, 0.2), (10, 0.05), (7, 0.011)])
def test_pgd_without_random_start_perturbs_every_pixel_as_torchattacks_and_art_do(label, steps, step_size, trained):
    model, weights, images, labels = trained
    target = attacked_label(label, model, images, labels)
    setting = {"steps": steps, "step_size": step_size, "random_start": False}
    found = ours("pgd", weights, images, labels, attack_label=label, pgd=setting)
    other = torchattacks.PGD(model, eps=0.2, alpha=step_size, steps=steps, random_start=False)(images, target)
    away = {"torchattacks": (found - other).abs().max().item()}
    attack = art_attacks.ProjectedGradientDescent(
        art(model), eps=0.2, eps_step=step_size, max_iter=steps, num_random_init=0, batch_size=1000, verbose=False
    )
    other = attack.generate(images.float().numpy(), torch.nn.functional.one_hot(target, 10).numpy())
    away["ART"] = np.abs(found.numpy() - other).max()
    say(f"PGD-{steps} of step {step_size}, {label} labels: largest difference of a pixel", away)
    assert max(away.values()) <= 1e-6


def test_in_single_precision_all_but_a_few_pixels_are_the_same(trained):
    """Where a gradient is all but zero, its sign hangs on the order of additions."""
    model, weights, images, labels = trained
    single = nn.Sequential(*(nn.Linear(1, 1, bias=False) if isinstance(m, nn.Linear) else m for m in model))
    for mine, theirs in zip(single, model, strict=True):
        if isinstance(mine, nn.Linear):
            mine.weight = nn.Parameter(theirs.weight.detach().float())
    setting = {"random_start": False}
    found = ours("pgd", tuple(w.float() for w in weights), images.float(), labels, pgd=setting)
    other = torchattacks.PGD(single, eps=0.2, alpha=0.05, steps=10, random_start=False)(
        images.float(), attacked_label("predicted", single, images.float(), labels)
    )
    share = ((found - other).abs() > 1e-6).double().mean().item()
    say("PGD-10 in single precision: share of pixels that differ by more than 1e-6", {"torchattacks": share})
    assert share < 0.001


@pytest.mark.parametrize("label", LABELS)
def test_pgd_with_random_starts_is_as_strong_as_that_of_torchattacks_and_art(label, trained):
    """The same adversarial accuracy within sampling error: twenty attacks each, whose means are compared."""
    model, weights, images, labels = trained
    target = attacked_label(label, model, images, labels)

    def accuracy(adversarial):
        return (model(torch.as_tensor(adversarial).double()).argmax(-1) == labels).double().mean().item()

    mine = [accuracy(ours("pgd", weights, images, labels, draw, attack_label=label)) for draw in range(20)]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  (ART draws from numpy's global generator)
    attack = torchattacks.PGD(model, eps=0.2, alpha=0.05, steps=10, random_start=True)
    theirs = [accuracy(attack(images, target)) for _ in range(20)]
    toolbox = art_attacks.ProjectedGradientDescent(
        art(model), eps=0.2, eps_step=0.05, max_iter=10, num_random_init=1, batch_size=1000, verbose=False
    )
    hot = torch.nn.functional.one_hot(target, 10).numpy()
    others = [accuracy(toolbox.generate(images.float().numpy(), hot)) for _ in range(5)]
    natural = accuracy(images)
    means = {"lthray": np.mean(mine), "torchattacks": np.mean(theirs), "ART": np.mean(others)}
    say(f"PGD-10 with random starts, {label} labels: mean accuracy", means)
    for one in (theirs, others):
        error = np.sqrt(np.var(mine, ddof=1) / len(mine) + np.var(one, ddof=1) / len(one))
        assert abs(np.mean(mine) - np.mean(one)) < 4 * error + 1 / len(labels)
    assert np.mean(mine) < natural - 0.05


def test_a_pixel_without_a_gradient_stays_as_it_is_in_all_three(trained):
    """sign(0) = 0: the first weights of eight pixels are taken away, and with them their gradient."""
    model, weights, images, labels = trained
    cut = tuple(w.clone() for w in weights)
    cut[0][:, :, 16:24] = 0
    deaf = nn.Sequential(*(nn.Linear(1, 1, bias=False) if isinstance(m, nn.Linear) else m for m in model))
    for layer, weight in zip((m for m in deaf if isinstance(m, nn.Linear)), cut, strict=True):
        layer.weight = nn.Parameter(weight[0])
    still = {"pgd": {"random_start": False}, "attack_label": "ground-truth"}
    attacks = {
        "fgsm": torchattacks.FGSM(deaf, eps=0.2),
        "pgd": torchattacks.PGD(deaf, eps=0.2, alpha=0.05, steps=10, random_start=False),
    }
    for name, attack in attacks.items():
        found = ours(name, cut, images, labels, **still)
        assert torch.equal(found[:, 16:24], images[:, 16:24])
        assert (found - attack(images, labels)).abs().max() <= 1e-6


IN_L2 = {"norm": "l2", "epsilon": 0.8}


def as_pictures(model):
    """torchattacks' attacks in L2 want images (B, 1, H, W)."""
    return nn.Sequential(nn.Flatten(), model).eval()


@pytest.mark.parametrize("label", LABELS)
def test_fgsm_in_l2_perturbs_every_pixel_as_torchattacks_and_art_do(label, trained):
    """torchattacks' is its PGD of one step as long as the radius."""
    model, weights, images, labels = trained
    target = attacked_label(label, model, images, labels)
    found = ours("fgsm", weights, images, labels, attack_label=label, **IN_L2)
    length = (found - images).norm(dim=-1)
    assert length.max() <= 0.8 + 1e-9
    assert length.max() > 0.75  # not all of it is left where pixels end at 0 and 1
    other = torchattacks.PGDL2(as_pictures(model), eps=0.8, alpha=0.8, steps=1, random_start=False)
    away = {"torchattacks": (found - other(images.view(-1, 1, 8, 8), target).flatten(1)).abs().max().item()}
    other = art_attacks.FastGradientMethod(art(model), norm=2, eps=0.8, batch_size=1000).generate(
        images.float().numpy(), torch.nn.functional.one_hot(target, 10).numpy()
    )
    away["ART"] = np.abs(found.numpy() - other).max()
    say(f"FGSM in L2, {label} labels: largest difference of a pixel", away)
    assert max(away.values()) <= 1e-5


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("steps", "step_size"), [(10, 0.2), (7, 0.05)])
def test_pgd_in_l2_without_random_start_perturbs_every_pixel_as_torchattacks_does(label, steps, step_size, trained):
    model, weights, images, labels = trained
    target = attacked_label(label, model, images, labels)
    setting = {"steps": steps, "step_size": step_size, "random_start": False}
    found = ours("pgd", weights, images, labels, attack_label=label, pgd=setting, **IN_L2)
    attack = torchattacks.PGDL2(as_pictures(model), eps=0.8, alpha=step_size, steps=steps, random_start=False)
    away = {"torchattacks": (found - attack(images.view(-1, 1, 8, 8), target).flatten(1)).abs().max().item()}
    say(f"PGD-{steps} in L2 of step {step_size}, {label} labels: largest difference of a pixel", away)
    assert max(away.values()) <= 1e-6
    assert (found - images).norm(dim=-1).max() <= 0.8 + 1e-9


def test_pgd_in_l2_with_random_starts_is_as_strong_as_that_of_art(trained):
    """ART's starts are uniform in the ball, as ours; torchattacks' lie nearer to the image. Compared as above."""
    model, weights, images, labels = trained

    def accuracy(adversarial):
        return (model(torch.as_tensor(adversarial).double()).argmax(-1) == labels).double().mean().item()

    setting, common = {"steps": 5, "step_size": 0.2}, {"attack_label": "ground-truth"} | IN_L2
    mine = [accuracy(ours("pgd", weights, images, labels, draw, pgd=setting, **common)) for draw in range(20)]
    np.random.seed(0)  # noqa: NPY002  (ART draws from numpy's global generator)
    toolbox = art_attacks.ProjectedGradientDescent(
        art(model), norm=2, eps=0.8, eps_step=0.2, max_iter=5, num_random_init=1, batch_size=1000, verbose=False
    )
    hot = torch.nn.functional.one_hot(labels, 10).numpy()
    others = [accuracy(toolbox.generate(images.float().numpy(), hot)) for _ in range(5)]
    say("PGD-5 in L2 with random starts: mean accuracy", {"lthray": np.mean(mine), "ART": np.mean(others)})
    error = np.sqrt(np.var(mine, ddof=1) / len(mine) + np.var(others, ddof=1) / len(others))
    assert abs(np.mean(mine) - np.mean(others)) < 4 * error + 1 / len(labels)
    assert np.mean(mine) < accuracy(images) - 0.05
