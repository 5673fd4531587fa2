"""`lthray init`: lays a sweep file to begin with into the working folder."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from lthray.cli.options import make_console, mistakes
from lthray.errors import InputError


def init(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the sweep and of its file, NAME.yaml.")
    ] = "sweep",
    own: Annotated[
        bool, typer.Option("--own", help="Also write a small network of your own, NAME_net.py, which the sweep trains.")
    ] = False,
) -> None:
    """Write a sweep file to begin with into this folder: each section explained, small, on data that need no download.

    It overwrites nothing.
    """
    with mistakes():
        from lthray.spec.sweepfile import parse
        from lthray.spec.yaml_text import read_yaml

        parse({"name": name})
        network = f"{re.sub(r'[^A-Za-z0-9]', '_', name)}_net.py"
        model = (
            f"{network}:Net    # the class Net of that file"
            if own
            else "lenet-300-100    # or one of yours: FILE.py:CLASS"
        )
        quoted = name if isinstance(read_yaml(name, name), str) else f'"{name}"'  # YAML reads 1e4 as a number
        values = {"NAME": name, "QUOTED": quoted, "MODEL": model}
        texts = {f"{name}.yaml": Template(_template("sweep.yaml")).substitute(values)}
        texts |= {network: _template("network.py")} if own else {}
        for path in texts:
            if Path(path).exists():
                raise InputError(f"{path}: exists already, and nothing is overwritten; choose another NAME")
        for path, text in texts.items():
            try:
                Path(path).write_text(text, encoding="utf-8")
            except OSError as error:
                raise InputError(f"{path}: can't be written: {error.strerror or error}") from None
    make_console().print(f"wrote {' and '.join(texts)}; next: lthray sweep {name}.yaml", soft_wrap=True)


def _template(name: str) -> str:
    return (files("lthray.cli") / "templates" / name).read_text(encoding="utf-8")
