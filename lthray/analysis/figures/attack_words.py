"""An attack's full name in words."""

from collections.abc import Iterator

LABELS = {"predicted": "the model's prediction", "ground-truth": "the true label"}
"""What an attack moves away from."""
NORMS = {"linf": "L∞", "l2": "L2"}
NAMES = {"none": "natural images", "fgsm": "FGSM", "pgd": "PGD", "autoattack": "AutoAttack"}


def name_attack(attack: str) -> str:
    """An attack without its settings: PGD."""
    name = attack.partition("(")[0]
    return NAMES.get(name, name)


def describe_attack(attack: str) -> str:
    """An attack with the settings of its own: PGD (50 steps of 0.015, 3 restarts, away from the true label)."""
    _, _, rest = attack.partition("(")
    own = dict(pair.split("=", 1) for pair in rest.removesuffix(")").split(";") if pair)
    words = ", ".join(_settings(own))
    return f"{name_attack(attack)} ({words})" if words else name_attack(attack)


def describe_steps(steps: object, step_size: object, random_start: object, restarts: object) -> str:
    """The settings of PGD: 10 steps of 0.05, random start."""
    own = {"steps": steps, "step_size": step_size, "random_start": random_start, "restarts": restarts}
    return ", ".join(_settings({name: str(value) for name, value in own.items()}))


def _settings(own: dict[str, str]) -> Iterator[str]:
    own = dict(own)
    steps, size = own.pop("steps", None), own.pop("step_size", None)
    if steps is not None:
        yield f"{steps} step{'' if steps == '1' else 's'}" + ("" if size is None else f" of {size}")
    elif size is not None:
        yield f"steps of {size}"
    start, restarts = own.pop("random_start", None), own.pop("restarts", None)
    if restarts not in (None, "1"):
        yield f"{restarts} restarts"  # which random starts alone can have
    elif start is not None:
        yield "random start" if start.lower() == "true" else "no random start"
    if "attack_label" in own:
        label = own.pop("attack_label")
        yield f"away from {LABELS.get(label, label)}"
    if "epsilon" in own:
        yield f"ε {own.pop('epsilon')}"
    if "norm" in own:
        norm = own.pop("norm")
        yield f"in {NORMS.get(norm, norm)}"
    yield from (f"{name.replace('_', ' ')} {value}" for name, value in own.items())
