"""The attacks' settings: as fields of a trajectory, and as those that one eval attack has for itself.

An attack's *full name* is its name with the settings given to it, in the order of `OwnSettings`:
`pgd(steps=40;step_size=0.01)`. Without any it is the name alone, and the settings are the trajectory's.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from lthray.methods.attacks import ATTACKS, NORMS, Setting
from lthray.spec.identity import Base
from lthray.spec.strict import Count, Strict, one_of

AUTOATTACK = "autoattack"
"""The suite of attacks that `lthray evaluate` knows besides."""
AUTO = ("fgsm", "pgd")
"""The eval attacks `auto` of a natural network."""

ONE_START = "restarts: more than one from the same start are all the same; random_start: true"

AttackLabel = Literal["predicted", "ground-truth"]
TrainAttack = Annotated[str, one_of(ATTACKS, "none")]
NormName = Annotated[str, one_of(NORMS)]
Positive = Annotated[float, Field(gt=0)]


class PgdSpec(Strict):
    """Projected gradient descent (Madry et al. 2018, section 2.1)."""

    steps: Annotated[Count, Base(10)] = 10
    """Gradient steps of an attack."""
    step_size: Annotated[Positive, Base(0.05)] = 0.05
    """Length of a step in the norm, in pixel values of [0, 1]."""
    random_start: Annotated[bool, Base(True)] = True
    """Start at a uniform point of the ε-ball (true) or at the image itself (false)."""
    restarts: Annotated[Count, Base(1)] = 1
    """Random starts, of which the strongest counts, image by image; more than one train without the sparse path."""

    @model_validator(mode="after")
    def _check_restarts(self) -> Self:
        if self.restarts > 1 and not self.random_start:
            raise ValueError(ONE_START)
        return self


class OwnSettings(Strict):
    """Settings that an eval attack can have for itself, in the order of its full name; None is the trajectory's."""

    epsilon: Annotated[float, Field(ge=0)] | None = None
    norm: NormName | None = None
    attack_label: AttackLabel | None = None
    steps: Count | None = None
    step_size: Positive | None = None
    random_start: bool | None = None
    restarts: Count | None = None


def allowed_settings(attack: str) -> tuple[str, ...]:
    """The settings that an attack can be given: FGSM is a single step, and AutoAttack always knows the true label."""
    return tuple(OwnSettings.model_fields)[: {AUTOATTACK: 2, "fgsm": 3}.get(attack)]


def full_name(attack: str, settings: Mapping[str, object]) -> str:
    """An attack's full name.

    Raises:
        ValueError: a setting is not one of the attack's, or has an impossible value.
    """
    allowed = allowed_settings(attack)
    for name in settings:
        if name not in allowed:
            raise ValueError(f"{attack} has no setting {name}; it has {', '.join(allowed)}")
    try:
        own = OwnSettings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        said = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{attack}: {first['loc'][0]}: found {first['input']!r}, but {said}") from None
    given = [f"{name}={_text(value)}" for name, value in own if value is not None]
    return f"{attack}({';'.join(given)})" if given else attack


def _text(value: object) -> str:
    """A value as YAML writes it, so that equal ones are the same text."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value).lower()


def parse(name: str, known: Collection[str]) -> tuple[str, dict[str, Any]]:
    """An attack and its own settings from its full name.

    Raises:
        ValueError: it is none.
    """
    attack, bracket, rest = name.partition("(")
    if attack not in known or (bracket and not rest.endswith(")")):
        raise ValueError(f"{name} is no attack; allowed are {', '.join(known)}")
    pairs = (one.partition("=") for one in rest[:-1].split(";")) if bracket else ()
    return attack, {key: _value(key, text) for key, _, text in pairs}


def _value(key: str, text: str) -> object:
    try:
        if key in ("steps", "restarts"):
            return int(text)
        return float(text) if key in ("epsilon", "step_size") else {"true": True, "false": False}.get(text, text)
    except ValueError:
        return text  # which the settings then refuse by its key


def eval_attacks(value: object, own: str) -> tuple[str, ...]:
    """The full names that the field `eval_attacks` stands for: plain ones first, and the train attack among them.

    Args:
        value: `auto`, a list of names and of `{name: settings}`, or a mapping of names to settings.
        own: The train attack.

    Raises:
        ValueError: it is none of these, or an attack or a setting is unknown or impossible.
    """
    if value == "auto":
        return AUTO if own == "none" else (own,)
    entries = [{name: one} for name, one in value.items()] if isinstance(value, Mapping) else value
    if not isinstance(entries, list | tuple) or not entries:
        raise _refusal()
    names = {name for entry in entries for name in _names(entry)} | ({own} - {"none"})
    order = list(ATTACKS)
    return tuple(sorted(names, key=lambda name: ("(" in name, order.index(name.partition("(")[0]), name)))


def _refusal() -> ValueError:
    return ValueError(
        f"allowed are auto, a list of {' and '.join(ATTACKS)}, or of them with settings, as {{pgd: {{steps: 40}}}}"
    )


def _names(entry: object) -> Iterator[str]:
    if isinstance(entry, str):
        attack, settings = parse(entry, ATTACKS)
        yield full_name(attack, settings)
        return
    if not isinstance(entry, Mapping):
        raise _refusal()
    for name, settings in entry.items():
        if name not in ATTACKS:
            raise ValueError(f"{name} is no attack; allowed are {', '.join(ATTACKS)}")
        own: Any = settings or {}
        if not isinstance(own, Mapping) or any(not isinstance(key, str) for key in own):
            raise ValueError(f"{name}: found {settings!r}, but settings are a mapping, as {{steps: 40}}")
        yield full_name(name, own)


def resolve(name: str, epsilon: float, norm: str, attack_label: str, pgd: PgdSpec) -> Setting:
    """An attack with all its numbers, from its full name and the settings of the trajectory."""
    attack, own = parse(name, (*ATTACKS, AUTOATTACK))
    common = {"epsilon": epsilon, "norm": norm, "attack_label": attack_label}
    if attack == AUTOATTACK:
        common["attack_label"] = "ground-truth"
    elif attack == "fgsm":
        common["step_size"] = own.get("epsilon", epsilon)
    else:
        common |= vars(pgd)
    return Setting(attack, **(common | own))  # type: ignore[arg-type]


def check(settings: Mapping[str, Setting], pixels: int) -> None:
    """Checks that the numbers of attacks, by full name, go together; plain PGD's are a trajectory's fields.

    Raises:
        ValueError: a radius or a step is longer than the way from any image to any other, or restarts have one start.
    """
    for full, setting in settings.items():
        where = "pgd." if full == "pgd" else f"eval_attacks: {full}: "
        for name, value in (("epsilon", setting.epsilon), ("step_size", setting.step_size)):
            try:
                check_length(value, setting.norm, pixels)
            except ValueError as error:
                raise ValueError(f"{where}{name}: found {value:g}, but {error}") from None
        if setting.restarts > 1 and not setting.random_start:
            raise ValueError(f"{where}{ONE_START}")


def check_length(value: float, norm: str, pixels: int) -> None:
    """Checks a radius or a step.

    Raises:
        ValueError: it is longer than the way from any image to any other.
    """
    most = NORMS[norm].farthest(pixels)
    if value > most:
        raise ValueError(f"with norm {norm} it should be less than or equal to {most:g}")


def label(name: str) -> str:
    """A full name in characters that every logger takes: `pgd steps 40 step_size 0.01`."""
    return name.translate({ord("("): " ", ord(";"): " ", ord("="): " ", ord(")"): None})


def word(name: str) -> int:
    """A number that stands for a full name wherever a generator is found by it, in any process and version."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
