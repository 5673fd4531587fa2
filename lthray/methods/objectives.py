"""Training losses as functions of logits: natural and adversarial cross-entropy, TRADES, MART, fast and free training.

torch is not imported here: sweep files are checked against the names below without it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from lthray.methods.attacks import Setting

if TYPE_CHECKING:
    from torch import Tensor

FAST_STEP = 1.25
"""The step of fast adversarial training, in radii (Wong et al. 2020, section 4)."""
FREE = "free"
"""The loss whose perturbations are carried on from step to step."""
TINY = 1e-12
"""Added to probabilities before a logarithm, as the code of MART's authors does."""


@dataclass(frozen=True)
class Outputs:
    """What a loss may use: a network's outputs for a batch, or those of a stack with a leading S."""

    natural: "Tensor | None"
    """Logits (B, C) of the natural images; None where the objective does not need them."""
    adversarial: "Tensor | None"
    """Logits (B, C) of the attacked images; None without a train attack."""
    targets: "Tensor"
    """Smoothed labels (B, C), each of which sums to 1."""
    labels: "Tensor"
    """True labels (B,)."""
    weight: float
    """Weight of the adversarial loss, `adversarial_weight`."""
    beta: float
    """Weight of the robust term, `objective.beta`."""


@dataclass(frozen=True)
class Objective:
    """A training loss, and the attack that it is minimised against."""

    loss: "Callable[[Outputs], Tensor]"
    """The mean over the images, summed over the stack: a scalar."""
    climbs: Literal["label", "distribution"] = "label"
    """What the train attack moves away from: `attack_label`, or the network's natural softmax."""
    natural: bool = True
    """Whether the loss needs the natural logits beside the adversarial ones."""


def _cross_entropy(logits: "Tensor", targets: "Tensor") -> "Tensor":
    """Mean cross-entropy over the images, summed over the stack."""
    loss: Tensor = -(targets * logits.log_softmax(-1)).sum(-1).mean(-1).sum()
    return loss


def _divergence(natural: "Tensor", adversarial: "Tensor") -> "Tensor":
    """KL(natural || adversarial) of each image (..., B)."""
    log_natural, log_adversarial = natural.log_softmax(-1), adversarial.log_softmax(-1)
    divergence: Tensor = (log_natural.exp() * (log_natural - log_adversarial)).sum(-1)
    return divergence


def _natural(outputs: Outputs) -> "Tensor":
    if outputs.natural is None:
        raise ValueError("the natural logits are missing")
    return outputs.natural


def mixed(outputs: Outputs) -> "Tensor":
    """(1 - w) natural + w adversarial cross-entropy; natural alone without a train attack."""
    if outputs.adversarial is None:
        return _cross_entropy(_natural(outputs), outputs.targets)
    adversarial = _cross_entropy(outputs.adversarial, outputs.targets)
    if outputs.natural is None:  # w is 1
        return outputs.weight * adversarial
    return (1 - outputs.weight) * _cross_entropy(outputs.natural, outputs.targets) + outputs.weight * adversarial


def trades(outputs: Outputs) -> "Tensor":
    """Natural cross-entropy + β KL(natural || adversarial) (Zhang et al. 2019, equation 5)."""
    natural = _natural(outputs)
    loss = _cross_entropy(natural, outputs.targets)
    if outputs.adversarial is None:
        return loss
    return loss + outputs.beta * _divergence(natural, outputs.adversarial).mean(-1).sum()


def mart(outputs: Outputs) -> "Tensor":
    """Boosted adversarial cross-entropy + β KL weighted by 1 - p_y (Wang et al. 2020, equation 8 and section 3.3).

    The boosted cross-entropy is that against `targets` minus log(1 - the largest adversarial probability of a wrong
    class); p_y is the natural probability of the true class.
    """
    natural = _natural(outputs)
    if outputs.adversarial is None:
        return _cross_entropy(natural, outputs.targets)
    labels = outputs.labels.unsqueeze(-1)
    probabilities = outputs.adversarial.softmax(-1)
    wrong = probabilities.scatter(-1, labels, -1.0).amax(-1)
    margin = -(1.0001 - wrong + TINY).log()
    missing = 1.0000001 - natural.softmax(-1).gather(-1, labels)[..., 0]
    robust = _divergence(natural, outputs.adversarial) * missing
    boosted = _cross_entropy(outputs.adversarial, outputs.targets) + margin.mean(-1).sum()
    return boosted + outputs.beta * robust.mean(-1).sum()


def adversarial_alone(outputs: Outputs) -> "Tensor":
    """Adversarial cross-entropy (Madry et al. 2018, equation 2.1); natural without a train attack."""
    logits = _natural(outputs) if outputs.adversarial is None else outputs.adversarial
    return _cross_entropy(logits, outputs.targets)


OBJECTIVES = {
    "mixed": Objective(mixed),
    "trades": Objective(trades, climbs="distribution"),
    "mart": Objective(mart),
    "fast": Objective(adversarial_alone, natural=False),
    FREE: Objective(adversarial_alone, natural=False),
}
"""The training losses by name."""


def fast_setting(setting: Setting) -> Setting:
    """The attack of fast adversarial training: one step of 1.25 ε from a random start (Wong et al. 2020)."""
    return replace(setting, attack="pgd", steps=1, step_size=FAST_STEP * setting.epsilon, random_start=True, restarts=1)


def warm_up(setting: Setting, iteration: int, iterations: int) -> Setting:
    """The attack at an iteration of a warm-up: radius and step grow in proportion to the iterations done."""
    share = min(1.0, iteration / iterations) if iterations else 1.0
    return replace(setting, epsilon=share * setting.epsilon, step_size=share * setting.step_size)
