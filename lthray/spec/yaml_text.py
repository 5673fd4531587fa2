"""Reads YAML as people write it, safely."""

import re
from typing import Any

import yaml

from lthray.errors import InputError, first_line


class _Loader(yaml.SafeLoader):
    """YAML as people write it: 1e-3 is a number, and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: set[str] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            problem = "is not text" if not isinstance(name, str) else "is given twice" if name in names else None
            if problem:
                raise yaml.constructor.ConstructorError(None, None, f"key {name!r} {problem}", key.start_mark)
            names.add(name)
        return super().construct_mapping(node, deep)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.constructor.ConstructorError(None, None, "aliases (*name) are not allowed", event.start_mark)
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def read_assignment(option: str, text: str, example: str) -> tuple[str, Any]:
    """Parses the argument of a command-line option: `key=value`, with a value in YAML.

    Raises:
        InputError: it is not `key=value`, or the value is not valid YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise InputError(f"{option} {text}: it should be key=value, for example {option} {example}")
    return key, read_yaml(value, f"{option} {key}")


def read_yaml(text: str, source: str) -> Any:
    """Parses `text`; `source` names it in errors.

    Raises:
        InputError: not valid YAML.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or first_line(error)
        raise InputError(f"{source}{place}: not valid YAML: {problem}") from None


def write_line(value: object) -> str:
    """A value as YAML on a single line, with lists and mappings in brackets."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
