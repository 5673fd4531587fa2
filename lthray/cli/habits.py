"""Arguments as Hydra takes them, which lthray writes in another way: a line that says how."""

import re
from collections.abc import Collection, Sequence
from typing import Any

from typer.core import TyperCommand

from lthray.cli.options import mistakes
from lthray.errors import InputError

MULTIRUN = ("-m", "--multirun")
_OVERRIDE = re.compile(r"(?P<sign>\+{0,2}|~)(?P<key>[A-Za-z_][\w.]*)(=(?P<value>.*))?", re.DOTALL)


class SweepCommand(TyperCommand):
    """A command that takes a sweep file and `--set`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments, after a look for those of Hydra's form."""
        taking = {name for option in self.params if not getattr(option, "is_flag", False) for name in option.opts}
        with mistakes():
            refuse_overrides(args, taking)
        return super().parse_args(ctx, args)


def refuse_overrides(arguments: Sequence[str], options: Collection[str]) -> None:
    """Refuses overrides that stand alone behind the sweep file, such as `seed=1`, `+seed=1` and `~seed`, and `-m`.

    Args:
        arguments: Those of the command.
        options: The options that take a value.

    Raises:
        InputError: there is one; the line says how it is written here.
    """
    alone = [
        argument
        for before, argument in zip(["", *arguments], arguments, strict=False)
        if before not in options and (argument in MULTIRUN or not argument.startswith("-"))
    ]
    for argument in alone:
        if argument in MULTIRUN:
            raise InputError(
                f"{argument}: there is no such option, because every sweep takes several values: --set seed=0,1,2, or"
                " grid: {seed: [0, 1, 2]} in the sweep file"
            )
    for argument in alone[1:]:  # the first is the sweep file
        override = _OVERRIDE.fullmatch(argument)
        if override and (override["sign"] or override["value"] is not None):
            raise InputError(f"{argument}: {_say_how(override['sign'], override['key'], override['value'])}")


def _say_how(sign: str, key: str, value: str | None) -> str:
    if sign == "~":
        return f"no key is removed here: delete it from the sweep file, or set it with --set {key}=VALUE"
    word = f"{key}={'VALUE' if value is None else value}"
    quoted = word if re.fullmatch(r"[\w.,=:/+-]+", word) else f"'{word}'"
    return f"write --set {quoted}" + (", which adds a key that the sweep file lacks too" if sign else "")
