"""What a shell offers while a command is typed: fields, values, presets, sweep files. Neither torch nor Ray is loaded.

A function gets the word typed so far and returns the words that it may become, each with a meaning where there is one.
"""

import os
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

Offers = list[tuple[str, str]]


def complete_sweep_file(incomplete: str) -> Offers:
    """YAML files, folders that may hold some, and the shipped sweeps."""
    from lthray.spec.shipped import shipped_files

    typed = Path(incomplete)
    folder = typed if incomplete.endswith("/") or not incomplete else typed.parent
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    folders = [f"{entry}/" for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    files = [str(entry) for entry in entries if entry.suffix in (".yaml", ".yml")]
    shipped = [name for name in shipped_files() if name.startswith(incomplete)]
    return [(name, "") for name in [*files, *folders, *shipped]]


def complete_set(incomplete: str) -> Offers:
    """Keys of a sweep file with `=`, then values; in a list of values, the last one."""
    from lthray.spec.field_names import FIELDS
    from lthray.spec.reference import describe_fields

    meanings = {field.name: field.meaning for field in describe_fields()}
    varied = {f"grid.{name}": meanings[name] for name in FIELDS}
    return _complete_assignment(incomplete, meanings | (varied if incomplete.startswith("grid.") else {}))


def complete_where(incomplete: str) -> Offers:
    """Fields of a trajectory with `=`, then values."""
    return _complete_assignment(incomplete, _meanings())


def complete_setting(incomplete: str) -> Offers:
    """Settings of an attack with `=`, then values."""
    from lthray.cli.evaluate import setting_names

    meanings = _meanings()
    return _complete_assignment(incomplete, {name: meanings[name] for name in setting_names()})


def complete_attack(incomplete: str) -> Offers:
    """Attacks that stored networks can be measured under."""
    from lthray.methods.attacks import ATTACKS, SUITES

    return _beginning_with(incomplete, dict.fromkeys((*ATTACKS, *SUITES), ""))


def complete_by(incomplete: str) -> Offers:
    """Fields, alone or for rows or columns."""
    place = next((place for place in ("row=", "column=") if incomplete.startswith(place)), "")
    fields = {f"{place}{name}": meaning for name, meaning in _meanings().items()}
    return _beginning_with(incomplete, fields | {"row=": "Fields by row.", "column=": "Fields by column."})


def complete_name(incomplete: str) -> Offers:
    """Fields, groups and sections that can be explained."""
    from lthray.spec.field_names import GROUPS
    from lthray.spec.reference import describe_fields, describe_group

    groups = {name: describe_group(name) for name in sorted(GROUPS)}
    return _beginning_with(incomplete, {field.name: field.meaning for field in describe_fields()} | groups)


def complete_protocol(incomplete: str) -> Offers:
    """The presets."""
    from lthray.spec.presets import PRESETS

    return _beginning_with(incomplete, dict.fromkeys(PRESETS, ""))


def _meanings() -> dict[str, str]:
    from lthray.spec.field_names import FIELDS
    from lthray.spec.reference import describe_fields

    return {field.name: field.meaning for field in describe_fields() if field.name in FIELDS}


def _beginning_with(incomplete: str, meanings: Mapping[str, str]) -> Offers:
    return [(name, meaning) for name, meaning in meanings.items() if name.startswith(incomplete)]


def _complete_assignment(incomplete: str, meanings: Mapping[str, str]) -> Offers:
    """`key=`, or `key=value` once the key is whole or no other is left."""
    key, equals, value = incomplete.partition("=")
    names = _beginning_with(incomplete, meanings)
    if not equals and len(names) != 1:
        return [(f"{name}=", meaning) for name, meaning in names]
    name = key if equals else names[0][0]
    earlier = re.match(r".*[\[,]\s*|", value, re.DOTALL)  # the values before the one that is typed
    before = f"{name}={earlier[0] if earlier else ''}"
    # A shell adds a blank behind a single offer, so the key alone is offered beside its values.
    return [*([] if equals else [(before, "")]), *((f"{before}{choice}", "") for choice in _choices(name))]


def _choices(name: str) -> list[str]:
    """Values of a field or key that its schema lists, else a few examples."""
    from lthray.spec.reference import declared, example_values
    from lthray.spec.schema import value_of
    from lthray.spec.yaml_text import write_line

    field = name.removeprefix("grid.")
    if field not in declared():
        return []
    schema = value_of(field)
    listed = [value for part in (schema, *schema.get("anyOf", ())) for value in _listed(part)]
    return list(dict.fromkeys(map(write_line, listed if len(listed) > 1 else [*listed, *example_values(field)])))


def _listed(schema: Mapping[str, Any]) -> Iterable[Any]:
    if schema.get("type") == "boolean":
        return (True, False)
    return (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else []))


def complete_in_bash(command: Callable[[], None]) -> None:
    """Runs the command's completion for bash, which splits words at `=` and wants what comes behind it alone.

    Args:
        command: Prints the offers for the words in the environment, a line each.
    """
    text, current = os.environ["COMP_WORDS"], int(os.environ["COMP_CWORD"])
    words, place, typed = join_words(text.split("\n" if "\n" in text else " "), current)
    os.environ.update(COMP_WORDS="\n".join(words), COMP_CWORD=str(place))
    printed = StringIO()
    try:
        with redirect_stdout(printed):
            command()
    finally:
        sys.stdout.write("".join(line.removeprefix(typed) for line in printed.getvalue().splitlines(keepends=True)))


def join_words(words: Collection[str], current: int) -> tuple[list[str], int, str]:
    """Puts words together again that bash has split at `=`.

    Args:
        words: Those of the command line.
        current: The place of the word that is typed.

    Returns:
        The words; the place of the word that is typed; and the part of it that bash does not replace.
    """
    joined: list[str] = []
    place, typed, after_equals = 0, "", False
    for position, word in enumerate(words):
        if joined and (word == "=" or after_equals):
            before = joined[-1] if after_equals else f"{joined[-1]}="
            joined[-1] += word
        else:
            before = ""
            joined.append(word)
        after_equals = word == "="
        if position == current:
            place, typed = len(joined) - 1, before
    return joined, place if current < len(words) else len(joined), typed
