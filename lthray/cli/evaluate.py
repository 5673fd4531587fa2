"""`lthray evaluate`: stored tickets are measured under another attack."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console

from lthray.cli.options import FAILED, INTERRUPTED, Address, DataDir, Folder, mistakes
from lthray.errors import InputError


class SplitName(StrEnum):
    """What the images are of."""

    TEST = "test"
    VALIDATION = "validation"


def evaluate(
    folder: Folder,
    attack: Annotated[str, typer.Option(metavar="ATTACK", help="fgsm, pgd or autoattack.")],
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of the attack, where it is not to be the trajectory's: epsilon, norm, attack_label,"
            " pgd.steps, pgd.restarts, ... May be given more than once.",
        ),
    ] = None,
    rounds: Annotated[
        list[int] | None,
        typer.Option("--round", min=0, metavar="N", help="A round. May be given more than once. [dim]\\[all][/]"),
    ] = None,
    split: Annotated[SplitName, typer.Option(help="The images.")] = SplitName.TEST,
    images: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="The first N images of the split. [dim]\\[all][/]")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=VALUE",
            help="Only trajectories with this value, or one of a list: strategy=[reset,random]. May be given more than"
            " once.",
        ),
    ] = None,
    data_dir: DataDir = None,
    address: Address = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the trajectories and what is to do; measure nothing.")
    ] = False,
) -> None:
    """Measure stored tickets under another attack, or the same with other settings; nothing is trained.

    What has its row in DIR/evaluations is not measured again.

    Exit status: 0 all measured, 1 some failed, 2 bad input, 130 interrupted.
    """
    console = Console()
    with mistakes():
        named = _attack(attack, set_ or [])
        conditions = _conditions(where or [])
        from lthray.spec.evaluation import EvaluationRequest
        from lthray.store.folder import Store
        from lthray.sweep.selection import select

        store, request = Store(folder), EvaluationRequest(named, split.value, images, frozenset(rounds or ()))
        sweep, trajectories = select(store, request, conditions)
        if dry_run:
            from lthray.cli.printing import measuring_page

            wide = console if console.is_terminal else Console(width=200)
            wide.print(measuring_page(sweep, trajectories, request, store))
            return
        from platformdirs import user_cache_path

        from lthray.cli import live
        from lthray.cli.printing import remeasured_page
        from lthray.sweep.evaluate import run

        with live.watch(console) as notify:
            outcome = run(
                store, sweep, trajectories, request, data_dir or user_cache_path("lthray") / "data", address, notify
            )
        Console(soft_wrap=True).print(remeasured_page(outcome, request, folder))
    raise typer.Exit(INTERRUPTED if outcome.missing else FAILED if outcome.failures else 0)


def _attack(attack: str, sets: Sequence[str]) -> str:
    """The full name of an attack with its `--set`."""
    from lthray.methods.attacks import ATTACKS
    from lthray.spec.attack_settings import AUTOATTACK, OwnSettings, full_name

    known = (*ATTACKS, AUTOATTACK)
    if attack not in known:
        raise InputError(f"--attack {attack}: no such attack; there are {', '.join(known)}")
    common = ("epsilon", "norm", "attack_label")
    keys = {name if name in common else f"pgd.{name}": name for name in OwnSettings.model_fields}
    settings = {}
    for one in sets:
        key, value = _assignment("--set", one, "--set pgd.steps=100")
        if key not in keys:
            raise InputError(f"--set {one}: no setting of an attack; there are {', '.join(keys)}")
        settings[keys[key]] = value
    try:
        return full_name(attack, settings)
    except ValueError as error:
        raise InputError(f"--set {' --set '.join(sets)}: {error}") from None


def _conditions(where: Sequence[str]) -> dict[str, list[Any]]:
    from lthray.spec.field_names import FIELDS, nearest

    found: dict[str, list[Any]] = {}
    for one in where:
        key, value = _assignment("--where", one, "--where strategy=reset")
        if key not in FIELDS:
            raise InputError(f"--where {one}: unknown field {key}{nearest(key, FIELDS)}")
        found[key] = value if isinstance(value, list) else [value]
    return found


def _assignment(option: str, text: str, example: str) -> tuple[str, Any]:
    from lthray.spec.yaml_text import read_yaml

    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{option} {text}: it reads key=value, for example {example}")
    return key, read_yaml(value, f"{option} {key}")
