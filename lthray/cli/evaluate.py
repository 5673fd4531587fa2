"""`lthray evaluate`: measures stored tickets under another attack."""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lthray.cli.completion import complete_attack, complete_setting, complete_where
from lthray.cli.options import FAILED, INTERRUPTED, Address, DataDir, Folder, make_console, mistakes
from lthray.errors import InputError

if TYPE_CHECKING:
    from lthray.methods.attacks import Attack


class SplitName(StrEnum):
    """The images to measure on."""

    TEST = "test"
    VALIDATION = "validation"


def evaluate(
    folder: Folder,
    attack: Annotated[
        str,
        typer.Option(
            metavar="ATTACK",
            help="The attack: fgsm, pgd, autoattack, or one of the sweep's own code.",
            autocompletion=complete_attack,
        ),
    ],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            autocompletion=complete_setting,
            help="Overrides one of the trajectory's attack settings: epsilon, norm, attack_label, pgd.steps,"
            " pgd.restarts, ... May be repeated.",
        ),
    ] = None,
    rounds: Annotated[
        list[int] | None,
        typer.Option(
            "--round", min=0, metavar="N", help="Measure this round only. May be repeated.", show_default="all rounds"
        ),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="The images to measure on.")] = SplitName.TEST,
    images: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Measure on the first N images of the split.", show_default="all images"),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            autocompletion=complete_where,
            help="Measure only trajectories with this value of a field, or one of several:"
            " strategy=\\[reset,random]. May be repeated.",
        ),
    ] = None,
    data_dir: DataDir = None,
    address: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print which tickets are still to measure; measure nothing.")
    ] = False,
) -> None:
    """Measure stored tickets under another attack, or under the same attack with other settings, without training.

    Tickets that already have their row in DIR/evaluations are not measured again.

    Exit status: 0 all measured, 1 some failed, 2 bad input, 130 interrupted.
    """
    with mistakes():
        named = _attack(attack, set_ or [])
        conditions = _conditions(where or [])
        from lthray.cli.printing import measuring_page, remeasured_page
        from lthray.spec.evaluation import EvaluationRequest

        request = EvaluationRequest(named, split.value, images, frozenset(rounds or ()))
        if dry_run:
            from lthray.driver.selection import select
            from lthray.store.folder import Store

            store = Store(folder)
            sweep, trajectories = select(store, request, conditions)
            make_console(width=200).print(measuring_page(sweep, trajectories, request, store))
            return
        from lthray.api.evaluating import measure

        console = make_console()
        outcome = measure(folder, request, conditions, data_dir, address, console)
        console.print(remeasured_page(outcome, request, folder), soft_wrap=True)
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)


def _attack(attack: str, sets: Sequence[str]) -> "Attack":
    """The attack with the settings given with `--set`."""
    from lthray.methods.attacks import ATTACKS, SUITES
    from lthray.spec.attack_settings import is_own, make
    from lthray.spec.suggestions import did_you_mean
    from lthray.spec.yaml_text import read_assignment

    known = (*ATTACKS, *SUITES)
    if attack not in known and not is_own(attack):
        raise InputError(f"--attack {attack}: no such attack; there are {', '.join(known)}")
    keys = setting_names()
    settings = {}
    for assignment in sets:
        key, value = read_assignment("--set", assignment, "pgd.steps=100")
        if key not in keys:
            raise InputError(f"--set {assignment}: no setting of an attack{did_you_mean(key, keys)}")
        settings[keys[key]] = value
    try:
        return make(attack, settings)
    except ValueError as error:
        raise InputError(f"--set {' --set '.join(sets)}: {error}") from None


def setting_names() -> dict[str, str]:
    """The settings of an attack by the names of the trajectory's fields that they override."""
    from lthray.methods.attacks import SINGLE_STEP
    from lthray.spec.attack_settings import OwnSettings

    return {name if name in SINGLE_STEP else f"pgd.{name}": name for name in OwnSettings.model_fields}


def _conditions(where: Sequence[str]) -> dict[str, list[Any]]:
    """The values that each field may have, from its `--where`."""
    from lthray.spec.assignments import read_where

    return dict(map(read_where, where))
