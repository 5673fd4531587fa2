"""How strong attacks are, as far as their settings say: which of two is stronger, and what makes one strong enough.

A network trained against an attack can learn to defeat that attack alone, by hiding its gradient or by fitting its
steps (Tramèr et al. 2018; Athalye, Carlini and Wagner 2018; Wong, Rice and Kolter 2020). Accuracy under it, or under a
weaker attack, is then no evidence of robustness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

SUITE = "autoattack"
KNOWN = ("fgsm", "pgd", SUITE)
"""The attacks whose settings say how strong they are; of a user's own attack they do not."""
LEAST_STEPS = 10
"""Fewer steps do not make a strong attack, whatever a network was trained against."""
GROUND_TRUTH = "ground-truth"

_DEFAULTS: dict[str, Any] = {
    "epsilon": 0.3, "norm": "linf", "attack_label": "predicted",
    "pgd.steps": 10, "pgd.step_size": 0.05, "pgd.random_start": True, "pgd.restarts": 1,
}  # fmt: skip


@dataclass(frozen=True)
class AttackSetting:
    """An attack with every number that says how strong it is."""

    name: str
    """fgsm, pgd, autoattack, or an attack of the user's."""
    epsilon: float
    norm: str
    label: str
    """What it moves away from: predicted or ground-truth."""
    steps: int
    step_size: float
    restarts: int

    @property
    def gradients(self) -> int:
        """How many gradients it takes of an image."""
        return self.steps * self.restarts

    @property
    def rank(self) -> tuple[bool, bool, int, int]:
        """What orders attacks of the same radius by strength: the suite first, then the label, then gradients.

        Attacks of the user's come last, since nothing is known of them.
        """
        if self.name not in KNOWN:
            return False, False, 0, 0
        return self.name == SUITE, self.label == GROUND_TRUTH, self.gradients, self.steps

    def __str__(self) -> str:
        radius = f"ε {self.epsilon:g} ({'L2' if self.norm == 'l2' else 'L∞'})"
        if self.name == SUITE:
            return f"AutoAttack, {radius}"
        if self.name not in KNOWN:
            return f"{self.name}, {radius}"
        label = "from the true label" if self.label == GROUND_TRUTH else "from the predicted label"
        if self.name == "fgsm":
            return f"FGSM {label}, {radius}"
        steps = f"{self.steps} step{'' if self.steps == 1 else 's'}"
        starts = f"{self.restarts} start{'' if self.restarts == 1 else 's'}"
        return f"PGD {label}, {steps}, {starts}, {radius}"


def resolve_attack(attack: str, fields: Mapping[str, Any]) -> AttackSetting:
    """An attack's numbers.

    Args:
        attack: Its full name, as `pgd(steps=40;restarts=5)`.
        fields: A trajectory's fields, for what the attack does not set itself; the paper's values for fields that are
            missing.
    """
    name, _, rest = attack.partition("(")
    own = dict(pair.split("=", 1) for pair in rest.removesuffix(")").split(";") if pair)

    def value(setting: str, field: str) -> Any:
        default = _DEFAULTS[field]
        if setting in own:
            return type(default)(own[setting])
        known = fields.get(field)
        return default if known is None or known != known else known

    single = name == "fgsm"
    epsilon = float(value("epsilon", "epsilon"))
    return AttackSetting(
        name=name,
        epsilon=epsilon,
        norm=str(value("norm", "norm")),
        label=GROUND_TRUTH if name == SUITE else str(value("attack_label", "attack_label")),
        steps=1 if single else int(value("steps", "pgd.steps")),
        step_size=epsilon if single else float(value("step_size", "pgd.step_size")),
        restarts=1 if single else int(value("restarts", "pgd.restarts")),
    )


def is_stronger(attack: AttackSetting, train_attack: str, fields: Mapping[str, Any]) -> bool:
    """Whether accuracy under an attack can be evidence of robustness for a network trained against another.

    The attack has the trajectory's norm and at least its radius. It is AutoAttack, or PGD of at least `LEAST_STEPS`
    steps that can cross the radius. Against networks trained with PGD it is nowhere weaker than that PGD in its label,
    steps and restarts, and stronger in one of them. An attack of the user's counts as PGD of the trajectory's settings.

    Args:
        attack: The attack that measures.
        train_attack: none, fgsm, pgd or an attack of the user's.
        fields: The trajectory's fields.
    """
    trained = resolve_attack("fgsm" if train_attack == "fgsm" else "pgd", fields)
    if attack.norm != trained.norm or attack.epsilon < trained.epsilon:
        return False
    if attack.name == SUITE:
        return True
    if attack.name != "pgd" or attack.steps < LEAST_STEPS or attack.steps * attack.step_size < attack.epsilon:
        return False
    # What a larger radius adds is not compared: the attack has at least the trajectory's.
    return train_attack in ("none", "fgsm") or is_weaker(replace(trained, epsilon=attack.epsilon), attack)


def is_weaker(attack: AttackSetting, stronger: AttackSetting) -> bool:
    """Whether the settings say that an attack is weaker than another.

    Nothing is said of attacks in another norm or radius, nor of a user's own, nor where one has more steps and the
    other more restarts. The size of a step does not count: that many small steps do less harm than few large ones
    shows in the measurements.
    """
    if (attack.epsilon, attack.norm) != (stronger.epsilon, stronger.norm):
        return False
    if not {attack.name, stronger.name} <= set(KNOWN):
        return False
    if SUITE in (attack.name, stronger.name):
        return attack.name != stronger.name == SUITE
    label, stronger_label = attack.label == GROUND_TRUTH, stronger.label == GROUND_TRUTH
    if attack.name != stronger.name:
        return attack.name == "fgsm" and label <= stronger_label
    mine, theirs = (label, attack.steps, attack.restarts), (stronger_label, stronger.steps, stronger.restarts)
    return mine != theirs and all(own <= more for own, more in zip(mine, theirs, strict=True))
