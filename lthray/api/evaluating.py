"""Evaluations of stored tickets from Python."""

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from lthray.api import live
from lthray.api.preparing import data_folder, resolve_address
from lthray.driver.opening import migrate
from lthray.driver.selection import select
from lthray.errors import InputError, RunError
from lthray.methods.attacks import Attack
from lthray.spec.attack_settings import make, parse
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.field_names import FIELDS, FULL_LIST, read_fields
from lthray.spec.suggestions import did_you_mean
from lthray.spec.sweepfile import load
from lthray.store.folder import SWEEP, Store

if TYPE_CHECKING:
    from lthray.analysis import Results as Loaded
    from lthray.api.results import Results
    from lthray.driver.evaluate import Remeasured


def evaluate(
    results: "str | os.PathLike[str] | Loaded",
    attack: str,
    *,
    settings: Mapping[str, object] | None = None,
    rounds: Iterable[int] = (),
    split: Literal["test", "validation"] = "test",
    images: int | None = None,
    where: Mapping[str, object] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    address: str | None = None,
    progress: bool = True,
) -> "Results":
    """Measures stored tickets under another attack, as `lthray evaluate` does; measured tickets are left out.

    Args:
        results: A results folder, or what `open` or `sweep` returned.
        attack: fgsm, pgd, autoattack, an attack of the sweep's own code, or a full name: `pgd(steps=100;restarts=5)`.
        settings: The attack's own settings; others are the trajectory's: `{"steps": 100, "attack_label": "predicted"}`.
        rounds: The rounds to measure; all by default.
        split: The images to measure on.
        images: How many of them, from the first on; all by default.
        where: Values by field; trajectories with other values are left out: `{"seed": [0, 1], "strategy": "reset"}`.
        data_dir: See `sweep`.
        address: See `sweep`.
        progress: Whether to print how far it is.

    Returns:
        The results, whose `evaluations()` have the new rows.

    Raises:
        InputError: the folder, the attack, a setting or a field is wrong, or nothing is there to measure.
        RunError: no ticket could be measured, or Ray died again and again.
        KeyboardInterrupt: it was interrupted; finished rows are kept.
    """
    from lthray.api.results import folder_of, open  # pandas and matplotlib, which the command does without

    folder = folder_of(results)
    named = _attack(attack, settings or {})
    request = EvaluationRequest(named, split, images, frozenset(rounds))
    conditions = _conditions(where or {})
    console = Console(markup=False, highlight=False, quiet=not progress)
    outcome = measure(folder, request, conditions, data_dir, resolve_address(address), console)
    if outcome.missing:
        raise KeyboardInterrupt(f"{outcome.missing} tickets are left to measure in {folder}")
    if outcome.failures and not outcome.done:
        failure = next(iter(outcome.failures.values()))
        raise RunError(f"no ticket was measured; trajectory {failure.spec.trajectory_id}: {failure.reason}")
    return open(folder)


def _attack(attack: str, settings: Mapping[str, object]) -> Attack:
    try:
        known = parse(attack)
        return make(known.name, {**dict(known.settings), **settings})
    except ValueError as error:
        raise InputError(f"attack {attack}: {error}") from None


def _conditions(where: Mapping[str, object]) -> dict[str, list[Any]]:
    """The values that each field may have."""
    for field in where:
        if field not in FIELDS:
            raise InputError(f"where: unknown field {field}{did_you_mean(field, FIELDS, FULL_LIST)}")
    listed = {field: value if isinstance(value, list) else [value] for field, value in where.items()}
    return dict(read_fields(listed))


def measure(
    folder: str,
    request: EvaluationRequest,
    conditions: Mapping[str, Sequence[Any]],
    data_dir: str | os.PathLike[str] | None,
    address: str | None,
    console: Console,
) -> "Remeasured":
    """Measures a folder's tickets that have no row yet, and shows on a console how far they are.

    Args:
        folder: The results folder.
        request: What to measure.
        conditions: Allowed values by field.
        data_dir: Where data sets are, or are downloaded to.
        address: A running Ray cluster, or None to start Ray on this machine alone.
        console: Where to show it.
    """
    from lthray.driver.evaluate import run

    store = Store(folder)
    store.require()
    migrate(store, *load(store.folder / SWEEP), partial(console.print, highlight=False, soft_wrap=True))
    sweep, trajectories = select(store, request, conditions)
    with live.watch(console) as notify:
        return run(store, sweep, trajectories, request, data_folder(data_dir), address, notify)
