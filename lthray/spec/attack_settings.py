"""The attacks' settings: those of a trajectory, and those that a single eval attack overrides.

The *full name* of an attack is its name with its own settings: `pgd(steps=40;step_size=0.01)`. Attacks are written this
way in tables, sweep files and on the command line, and are `Attack`s everywhere else.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from lthray import references
from lthray.errors import InputError
from lthray.methods.attacks import ATTACKS, ITERATED, NATURAL, NORMS, SUITES, Attack, Setting
from lthray.spec.about import PAPER, About
from lthray.spec.identity import Base
from lthray.spec.numbers import Count, Number
from lthray.spec.strict import Strict, one_of
from lthray.spec.yaml_text import read_yaml

AUTO = ("fgsm", "pgd")
"""The eval attacks that `auto` means without a train attack."""

STRONG_STEPS, REACH = 50, 2.5
"""Steps of the PGD that the end attacks `auto` stand for, and the radii that they cover together: enough to cross the
ball and still move along its surface (Madry et al. 2018, section 5)."""

ONE_START = "restarts: without random_start all restarts are the same; set random_start: true"

AttackLabel = Literal["predicted", "ground-truth"]
TrainAttack = Annotated[str, one_of(ATTACKS, "none", group="attacks")]
NormName = Annotated[str, one_of(NORMS)]
Positive = Annotated[Number, Field(gt=0)]


class PgdSpec(Strict):
    """Projected gradient descent (Madry et al. 2018, section 2.1)."""

    steps: Annotated[Count, Base(10), About("steps", PAPER, (7, 20))] = 10
    """Gradient steps of an attack."""
    step_size: Annotated[Positive, Base(0.05), About("pixel values", PAPER, (0.01, 0.05))] = 0.05
    """Length of a step in the norm, in pixel values of [0, 1]."""
    random_start: Annotated[bool, Base(True), About(source=PAPER)] = True
    """Start at a uniform point of the ε-ball (true) or at the image itself (false)."""
    restarts: Annotated[Count, Base(1), About("restarts", examples=(1, 5))] = 1
    """Random starts: for each image, the most damaging one counts; values above 1 turn fast sparse training off."""

    @model_validator(mode="after")
    def _check_restarts(self) -> Self:
        if self.restarts > 1 and not self.random_start:
            raise ValueError(ONE_START)
        return self


class OwnSettings(Strict):
    """Settings that an eval attack can override; None keeps the trajectory's."""

    epsilon: Annotated[Number, Field(ge=0)] | None = None
    norm: NormName | None = None
    attack_label: AttackLabel | None = None
    steps: Count | None = None
    step_size: Positive | None = None
    random_start: bool | None = None
    restarts: Count | None = None


def settings_of(attack: str) -> tuple[str, ...]:
    """The names of the settings that an attack or a suite takes; `none` takes none."""
    if attack in ATTACKS:
        return ATTACKS[attack].settings
    return SUITES.get(attack, ITERATED if is_own(attack) else ())


def is_own(attack: str) -> bool:
    """Whether an attack is a user's own, by a reference or an entry point; it takes the settings of PGD."""
    return references.is_reference(attack) or attack in references.names((), "attacks")


def make(attack: str, settings: Mapping[str, object]) -> Attack:
    """An attack with settings of its own.

    Args:
        attack: One of `ATTACKS` or `SUITES`.
        settings: Values by name; None keeps the trajectory's.

    Raises:
        ValueError: a setting is not one of the attack's, or has an impossible value.
    """
    allowed = settings_of(attack)
    for name in settings:
        if name not in allowed:
            raise ValueError(f"{attack} has no setting {name}; it has {', '.join(allowed)}")
    try:
        own = OwnSettings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{attack}: {first['loc'][0]}: found {first['input']!r}, but {message}") from None
    values = ((name, getattr(own, name)) for name in allowed)
    return Attack(attack, tuple((name, value) for name, value in values if value is not None))


def parse(full_name: str, known: Collection[str] = ()) -> Attack:
    """Parses a full name, the inverse of `str`; `known` lists the allowed names, by default all.

    Raises:
        ValueError: the name is not allowed, or its settings are unknown or impossible.
    """
    known = known or (NATURAL.name, *ATTACKS, *SUITES)
    attack, bracket, rest = full_name.partition("(")
    if (attack not in known and not is_own(attack)) or (bracket and not rest.endswith(")")):
        raise ValueError(f"{full_name} is no attack; allowed are {', '.join(known)}")
    pairs = (pair.partition("=") for pair in rest[:-1].split(";")) if bracket else ()
    return make(attack, {name: _from_text(value) for name, _, value in pairs})


def _from_text(value: str) -> object:
    """A setting's value, which a full name has as YAML writes it."""
    try:
        return read_yaml(value, "")
    except InputError:  # the check of the setting says what is allowed
        return value


def eval_attacks(value: object, train_attack: str) -> tuple[Attack, ...]:
    """Resolves the field `eval_attacks`: attacks without settings come first, and the train attack is always included.

    Args:
        value: `auto`; a list of names, `Attack`s and `{name: settings}`; or a mapping of names to settings.
        train_attack: Name of the train attack, or `none`.

    Raises:
        ValueError: it is none of these, or an attack or a setting is unknown or impossible.
    """
    trained = {Attack(train_attack)} - {NATURAL}
    if value == "auto":
        return tuple(trained) or tuple(map(Attack, AUTO))
    listed = _listed(value)
    if not listed:
        raise _refusal()
    return _ordered(listed | trained)


def end_attacks(value: object, epsilon: float) -> tuple[Attack, ...]:
    """Resolves the field `end_attacks`: attacks without settings come first.

    Args:
        value: `auto`, which is one strong PGD; else as for `eval_attacks`, and an empty list for none.
        epsilon: Radius of the trajectory's attacks; with 0, `auto` is none, because no attack moves an image.

    Raises:
        ValueError: as `eval_attacks`.
    """
    if value != "auto":
        return _ordered(_listed(value))
    step_size = float(f"{REACH * epsilon / STRONG_STEPS:.6g}")
    own: dict[str, object] = {"steps": STRONG_STEPS, "step_size": step_size, "random_start": True, "restarts": 3}
    return (make("pgd", own | {"attack_label": "ground-truth"}),) if step_size else ()


def _listed(value: object) -> set[Attack]:
    entries = [{name: settings} for name, settings in value.items()] if isinstance(value, Mapping) else value
    if not isinstance(entries, list | tuple):
        raise _refusal()
    return {attack for entry in entries for attack in _attacks(entry)}


def _ordered(attacks: Collection[Attack]) -> tuple[Attack, ...]:
    order = {name: place for place, name in enumerate(ATTACKS)}
    return tuple(
        sorted(attacks, key=lambda attack: (bool(attack.settings), order.get(attack.name, len(order)), str(attack)))
    )


def _refusal() -> ValueError:
    return ValueError(
        f"allowed are auto, a list of {' and '.join(ATTACKS)}, or of them with settings, as {{pgd: {{steps: 40}}}}"
    )


def _attacks(entry: object) -> Iterator[Attack]:
    if isinstance(entry, Attack | str):
        yield parse(str(entry), ATTACKS)
        return
    if not isinstance(entry, Mapping):
        raise _refusal()
    for name, settings in entry.items():
        if name not in ATTACKS and not is_own(name):
            raise ValueError(f"{name} is no attack; allowed are {', '.join(ATTACKS)}")
        own: Any = settings or {}
        if not isinstance(own, Mapping) or any(not isinstance(key, str) for key in own):
            raise ValueError(f"{name}: found {settings!r}, but settings are a mapping, as {{steps: 40}}")
        yield make(name, own)


def resolve(attack: Attack, defaults: Mapping[str, Any]) -> Setting:
    """Resolves every number of an attack.

    Args:
        attack: The attack; `defaults` gives the settings that it leaves out.
        defaults: The trajectory's value of each setting.
    """
    own = dict(attack.settings)
    numbers: dict[str, Any] = {name: own.get(name, defaults[name]) for name in settings_of(attack.name)}
    # An attack that takes no step size takes one step across the whole radius.
    return Setting(attack.name, **({"step_size": numbers["epsilon"]} | numbers))


def check(attack: Attack, setting: Setting, pixels: int, field: str = "eval_attacks") -> None:
    """Checks that an attack's numbers are consistent; plain PGD's are fields of the trajectory.

    Args:
        attack: The attack.
        setting: Its numbers.
        pixels: Pixels of an image.
        field: The field that lists the attack, for the error.

    Raises:
        ValueError: a radius or a step exceeds the largest distance between images, or all restarts start alike.
    """
    where = "pgd." if attack == Attack("pgd") else f"{field}: {attack}: "
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
        ValueError: it is longer than the largest distance between two images.
    """
    most = NORMS[norm].farthest(pixels)
    if value > most:
        raise ValueError(f"with norm {norm} it should be less than or equal to {most:g}")


def label(attack: Attack) -> str:
    """A full name in characters that every logger takes: `pgd steps 40 step_size 0.01`."""
    return str(attack).translate({ord("("): " ", ord(";"): " ", ord("="): " ", ord(")"): None})


def word(attack: Attack) -> int:
    """A number that stands for a full name wherever it seeds a generator, in any process and version."""
    return int.from_bytes(hashlib.sha256(str(attack).encode()).digest()[:4], "big")
