"""Attacks as functions of images and of the gradient there: FGSM and PGD, in the maximum norm and in L2.

torch is not imported here: sweep files are checked against the names below without it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Attack:
    """An attack with the settings of its own; `spec.attack_settings` makes valid ones.

    It prints as its full name, `pgd(steps=40;step_size=0.01)`, or as its name alone where it has no settings.
    """

    name: str
    """One of `ATTACKS` or `SUITES`, or an attack of the user's."""
    settings: tuple[tuple[str, object], ...] = ()
    """Names and values, in the order in which the registry lists them."""

    @property
    def is_standard(self) -> bool:
        """Whether it is an attack of the contract of `curves` and `rounds`, `none` among them, without settings."""
        return not self.settings and (self.name in ATTACKS or self == NATURAL)

    def __str__(self) -> str:
        return f"{self.name}({';'.join(f'{name}={_text(value)}' for name, value in self.settings)})".removesuffix("()")


def _text(value: object) -> str:
    """A value as YAML writes it, so that equal values are the same text."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value).lower()


NATURAL = Attack("none")
"""No attack: the images as they are."""


@dataclass(frozen=True)
class Setting:
    """An attack with every number resolved."""

    attack: str
    """One of `ATTACKS` or `SUITES`."""
    epsilon: float
    """Radius of the ball around an image."""
    norm: str
    """One of `NORMS`: how the radius and the steps are measured."""
    attack_label: str = "ground-truth"
    """What it moves away from: the model's own prediction (predicted), or the true label (ground-truth)."""
    steps: int = 1
    step_size: float = 0.0
    random_start: bool = False
    restarts: int = 1


@dataclass(frozen=True)
class Attacked:
    """What an attack may use: a batch for a stack, or for a single network without the leading S."""

    setting: Setting
    images: "Tensor"
    """(S, B, D), pixels in [0, 1]."""
    gradient: "Callable[[], Tensor]"
    """Computes, at the images, the gradient of each image's cross-entropy against the label that is moved away from."""
    gradient_at: "Callable[[Tensor], Tensor]"
    """Computes the same gradient at other images."""
    noise: "Callable[[], Tensor | None]"
    """Draws what a random start adds to the images, uniform in the ball; None without `random_start`."""


Uniform = Callable[["Tensor", float, float, "Generator"], "Tensor"]
"""Fills a tensor with numbers uniform between two bounds, and returns it."""


@dataclass(frozen=True)
class Norm:
    """A norm that measures what an attack adds to an image."""

    farthest: Callable[[int], float]
    """Largest distance between two images of that many pixels."""
    direction: "Callable[[Tensor], Tensor]"
    """The change of length 1 that follows a gradient most steeply; zero where the gradient is zero."""
    ball: "Callable[[Tensor, float], Callable[[Tensor], object]]"
    """Makes a function that projects images in place to the ball of radius ε around the given images, and to [0, 1]."""
    draw: "Callable[[Tensor, float, Generator, Uniform], object]"
    """Fills a tensor (B, D) with points uniform in the ball of radius ε."""


def _cube(images: "Tensor", epsilon: float) -> "Callable[[Tensor], object]":
    low, high = (images - epsilon).clamp_(min=0), (images + epsilon).clamp_(max=1)
    return lambda adversarial: adversarial.clamp_(low, high)


def _unit(gradient: "Tensor") -> "Tensor":
    """Gradients (..., D) at length 1 in L2; scaled by their largest entry first, or small ones would square to zero."""
    top = gradient.abs().amax(-1, keepdim=True)
    scaled = gradient / top.where(top > 0, 1)
    length: Tensor = scaled.norm(dim=-1, keepdim=True)
    return scaled / length.clamp_(min=1)  # at least 1 already, unless the gradient is zero


def _sphere(images: "Tensor", epsilon: float) -> "Callable[[Tensor], object]":
    def project(adversarial: "Tensor") -> object:
        change = adversarial.sub_(images)
        length = change.norm(dim=-1, keepdim=True)
        change.mul_((epsilon / length).clamp_(max=1).where(length > 0, 0))
        return adversarial.add_(images).clamp_(0, 1)  # moves towards the images, and so stays in the ball

    return project


def _draw_in_cube(noise: "Tensor", epsilon: float, generator: "Generator", uniform: "Uniform") -> object:
    return uniform(noise, -epsilon, epsilon, generator)


def _draw_in_sphere(noise: "Tensor", epsilon: float, generator: "Generator", uniform: "Uniform") -> object:
    """Draws a direction from normal numbers, and a length whose Dth power is uniform."""
    noise.normal_(generator=generator)
    length = uniform(noise.new_empty(len(noise), 1), 0, 1, generator) ** (1 / noise.shape[1])
    return noise.mul_(epsilon * length / noise.norm(dim=-1, keepdim=True))


NORMS = {
    "linf": Norm(
        farthest=lambda pixels: 1.0,
        direction=lambda gradient: gradient.sign(),
        ball=_cube,
        draw=_draw_in_cube,
    ),
    "l2": Norm(farthest=lambda pixels: pixels**0.5, direction=_unit, ball=_sphere, draw=_draw_in_sphere),
}
"""The norms in which attacks are measured."""


def fgsm(images: "Tensor", gradient: "Tensor", epsilon: float, norm: str = "linf") -> "Tensor":
    """One step of ε along the gradient, clipped to [0, 1].

    In the maximum norm the step is ε along the gradient's sign (Goodfellow et al. 2015, section 4), and where the
    gradient is zero the pixel stays as it is: sign(0) = 0. In L2 it is ε along the gradient over its length.
    """
    return (images + epsilon * NORMS[norm].direction(gradient)).clamp_(0, 1)


def pgd(
    images: "Tensor",
    gradient_at: "Callable[[Tensor], Tensor]",
    epsilon: float,
    steps: int,
    step_size: float,
    noise: "Tensor | None",
    norm: str = "linf",
) -> "Tensor":
    """Gradient steps, each projected to the ε-ball around the images and to [0, 1] (Madry et al. 2018, 2.1).

    Args:
        images: Pixels in [0, 1].
        gradient_at: Computes the gradient of the loss at images, of their shape.
        epsilon: Radius of the ball.
        steps: Number of steps.
        step_size: Length of a step: in every pixel, or in L2.
        noise: In the ball, of the images' shape: the start is images + noise; None starts at the images.
        norm: One of `NORMS`.
    """
    direction, project = NORMS[norm].direction, NORMS[norm].ball(images, epsilon)
    adversarial = images.clone() if noise is None else (images + noise).clamp_(0, 1)
    for _ in range(steps):
        adversarial.add_(direction(gradient_at(adversarial)), alpha=step_size)
        project(adversarial)
    return adversarial


def _fgsm(at: Attacked) -> "Tensor":
    return fgsm(at.images, at.gradient(), at.setting.epsilon, at.setting.norm)


def _pgd(at: Attacked) -> "Tensor":
    setting = at.setting
    return pgd(at.images, at.gradient_at, setting.epsilon, setting.steps, setting.step_size, at.noise(), setting.norm)


SINGLE_STEP = ("epsilon", "norm", "attack_label")
"""Settings of an attack that takes one step of length ε."""
ITERATED = (*SINGLE_STEP, "steps", "step_size", "random_start", "restarts")
"""Settings of an attack that takes several steps."""


@dataclass(frozen=True)
class Method:
    """How an attack runs, and which settings it takes."""

    run: "Callable[[Attacked], Tensor]"
    """Makes the adversarial images (S, B, D) of one start."""
    settings: tuple[str, ...] = ITERATED
    """Names of its settings, in the order of its full name."""


ATTACKS = {"fgsm": Method(_fgsm, SINGLE_STEP), "pgd": Method(_pgd)}
"""The attacks that a network is trained against and measured under."""

SUITES = {"autoattack": ("epsilon", "norm")}
"""The suites of attacks that only `lthray evaluate` runs, and the settings that each takes."""


def stronger(logits: "Tensor", before: "Tensor", targets: "Tensor") -> "Tensor":
    """Which images (..., B) a restart has damaged more than the best restart before it.

    An image that fools the network, so that its largest logit is not that of the label moved away from, is damaged
    more than one that does not; if both or neither fool it, the attack's larger loss decides.

    Args:
        logits: (..., B, C) of the restart.
        before: Logits of the best restart before it.
        targets: One-hot, the label that the attack moves away from.
    """
    fooled, fooled_before = (values.argmax(-1) != targets.argmax(-1) for values in (logits, before))
    loss, loss_before = ((values.logsumexp(-1) - (values * targets).sum(-1)) for values in (logits, before))
    return (fooled & ~fooled_before) | ((fooled == fooled_before) & (loss > loss_before))
